"""The caller's memory and the model's bytes: what the kernel may touch, and what it may not."""

import ctypes

import numpy as np
import pytest
from kernel_library import Model, library
from random_models import random_model
from zenmoon_edge.native import Kernel

MODELS = [random_model(seed) for seed in (3, 4, 5, 6)]


@pytest.fixture(params=MODELS, ids=lambda model: model.words.split(":")[0])
def model(request: pytest.FixtureRequest):
    return request.param


def test_a_copy_of_the_memory_is_a_saved_state(model) -> None:
    running = Model(model.data)
    x = model.inputs("wide", 20)
    running.run(x[:10])
    saved = bytes(running.memory)
    expected = running.run(x[10:])
    other = Model(model.data)
    other.memory = bytearray(saved)
    np.testing.assert_array_equal(other.run(x[10:]), expected)
    running.reset()
    assert running.run(x[10:]).tobytes() != expected.tobytes(), "the state matters"


def test_many_calls_at_once_equal_single_calls(model) -> None:
    x = model.inputs("wide", 15)
    whole = Model(model.data).run(x)
    one_by_one = Model(model.data)
    np.testing.assert_array_equal(np.concatenate([one_by_one.run(x[i : i + 1]) for i in range(15)]), whole)


def test_the_model_may_lie_anywhere_and_is_not_changed(model) -> None:
    kernel = Kernel(library())
    x = model.inputs("wide", 10)
    expected = Model(model.data).run(x)
    for offset in range(1, 4):
        block = bytearray(b"\xa5" * offset + model.data + b"\xa5" * 8)
        view = memoryview(block)[offset : offset + len(model.data)]
        memory = bytearray(kernel.size(view))
        kernel.load(view, memory)
        y = bytearray(expected.size)
        kernel.run(view, memory, x.tobytes(), y)
        assert bytes(y) == expected.tobytes()
        assert bytes(block) == b"\xa5" * offset + model.data + b"\xa5" * 8


def test_nothing_outside_the_memory_that_it_asks_for_is_written_and_all_of_it_is_needed(model) -> None:
    functions = ctypes.CDLL(str(library()))
    size = functions.tinylstm_size(model.data, len(model.data))
    x = model.inputs("saturating", 4).tobytes()
    blocks = []
    for fill in (0x00, 0xFF):
        block = (ctypes.c_uint8 * (size + 64))(*[fill] * (size + 64))
        start = ctypes.addressof(block) + 32
        assert start % 4 == 0
        assert functions.tinylstm_load(model.data, len(model.data), ctypes.c_void_p(start), size) == 0
        outputs = functions.tinylstm_outputs(ctypes.c_void_p(start))
        y = (ctypes.c_uint8 * (4 * outputs + 16))(*[fill] * (4 * outputs + 16))
        assert functions.tinylstm_run(model.data, ctypes.c_void_p(start), x, y, 4) == 0
        assert set(block[:32]) == set(block[32 + size :]) == {fill}
        assert set(y[4 * outputs :]) == {fill}
        blocks.append(bytes(block[32 : 32 + size]))
        assert functions.tinylstm_load(model.data, len(model.data), ctypes.c_void_p(start), size - 1) == -9
    a, b = blocks
    assert a[-4:] == b[-4:], "the last word is used"
    assert sum(p != q for p, q in zip(a, b, strict=True)) < 64, "all but the gaps of the alignment"


def test_memory_that_is_not_aligned_or_was_never_filled_is_refused(model) -> None:
    functions = ctypes.CDLL(str(library()))
    size = functions.tinylstm_size(model.data, len(model.data))
    block = (ctypes.c_uint32 * (size // 4 + 2))()
    start = ctypes.addressof(block)
    assert functions.tinylstm_load(model.data, len(model.data), ctypes.c_void_p(start + 1), size) == -9
    assert functions.tinylstm_load(model.data, len(model.data), None, size) == -9
    assert functions.tinylstm_inputs(ctypes.c_void_p(start)) == -9
    assert functions.tinylstm_run(model.data, ctypes.c_void_p(start), b"", b"", 1) == -9
