"""The shipped models on what they were made from: every engine and every emulated board gives TensorFlow Lite Micro's integers.

One person each in `make test`; everybody in `make soak`. State carries over from the first step of a person to the last.
"""

import base64
from collections.abc import Iterator
from pathlib import Path

import emulator
import numpy as np
import pytest
import zenmoon_edge.models
from emulator import Emulator
from zenmoon_edge.core.tinylstm import TinyLSTM
from zenmoon_edge.tinylstm import ENGINES, EngineError, quantise
from zenmoon_models.datasets import stress_predict, walch
from zenmoon_models.tinylstm import engagement, sequences, simulated_alarms, simulated_children, sleep_sequences

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
MODELS = Path(zenmoon_edge.models.__file__).parent
BOARDS = {"qemu-arm": "armv7m", "qemu-rv32": "rv32imc"}
LIMIT = 0.75
EVERYBODY = 10_000
STEPS_AT_ONCE = 400  # input, output and their base64 have to fit into a board's memory beside the model

_RUN = """
import binascii, _tinylstm
model = _files["model"]
memory = bytearray(_tinylstm.size(model))
_tinylstm.load(model, memory)
def steps(x):
    x = binascii.a2b_base64(x)
    y = bytearray(len(x) // _tinylstm.inputs(memory) * _tinylstm.outputs(memory))
    _tinylstm.run(model, memory, x, y)
    print(str(binascii.b2a_base64(y), "ascii"), end="")
"""


def people(name: str, most: int) -> Iterator[tuple[str, np.ndarray]]:
    """(who, inputs [n, inputs] float32) as the device computes them."""
    if name == "wearable":
        for person in stress_predict.people(SHARED / "stress_predict")[:most]:
            yield person.name, sequences.read(person).inputs
    elif name == "sleep":
        for night in walch.nights(SHARED / walch.FOLDER)[:most]:
            yield night.person, sleep_sequences.read(night).inputs
    else:
        for child in simulated_children.children(simulated_children.HELD_OUT, min(most, 4)):
            read = engagement.read(child) if name == "engagement" else simulated_alarms.read(child, LIMIT)
            yield child.name, read.inputs


def steps(name: str, most: int) -> tuple[bytes, list[tuple[str, np.ndarray]]]:
    """The model's file and everybody's int8 steps."""
    if name in ("wearable", "sleep") and not SHARED.is_dir():
        pytest.skip(f"the recordings are not here: {SHARED}")
    model = (MODELS / f"{name}.tflite").read_bytes()
    runner = TinyLSTM(model)
    return model, [(who, quantise(runner, inputs.astype(np.float32))) for who, inputs in people(name, most)]


def compared(name: str, most: int) -> int:
    model, everybody = steps(name, most)
    for who, calls in everybody:
        wanted = ENGINES["tflm"](model, calls)
        assert len(np.unique(wanted, axis=0)) > 20, f"{who}: outputs that hardly move show nothing"
        for engine in ENGINES:
            try:
                found = ENGINES[engine](model, calls)
            except EngineError as error:
                if error.reason != "absent":
                    raise
                continue
            np.testing.assert_array_equal(found, wanted, err_msg=f"{engine}, {who}")
    return sum(len(calls) for _, calls in everybody)


def on_board(board: str, name: str, most: int) -> int:
    module = ROOT / ".toolchain" / "native" / BOARDS[board] / "_tinylstm.mpy"
    if why := emulator.why_no_emulator(board):
        pytest.skip(why)
    model, everybody = steps(name, most)
    with Emulator(board) as running:
        running.put("_tinylstm.mpy", module.read_bytes())
        running.put("model", model)
        running.exec(_RUN)
        for who, calls in everybody:
            wanted = ENGINES["native"](model, calls)
            running.exec("_tinylstm.reset(memory)")
            for at in range(0, len(calls), STEPS_AT_ONCE):
                part = calls[at : at + STEPS_AT_ONCE]
                said = running.exec(f"steps({base64.b64encode(part.tobytes())!r})")
                found = np.frombuffer(base64.b64decode(said), np.int8).reshape(len(part), -1)
                np.testing.assert_array_equal(found, wanted[at : at + len(part)], err_msg=f"{board}, {who}, step {at}")
    return sum(len(calls) for _, calls in everybody)


@pytest.mark.parametrize("name", ["wearable", "sleep", "engagement", "alerts"])
def test_every_engine_agrees_on_one_persons_data(name: str) -> None:
    assert compared(name, 1) > 500


@pytest.mark.parametrize("board", BOARDS)
def test_an_emulated_board_agrees_on_one_persons_data(board: str) -> None:
    assert on_board(board, "wearable", 1) > 500


@pytest.mark.soak
@pytest.mark.parametrize("name", ["wearable", "sleep", "engagement", "alerts"])
def test_every_engine_agrees_on_everybodys_data(name: str) -> None:
    print(f"{name}: {compared(name, EVERYBODY)} steps, all equal")


@pytest.mark.soak
@pytest.mark.parametrize("name", ["wearable", "sleep", "engagement", "alerts"])
@pytest.mark.parametrize("board", BOARDS)
def test_an_emulated_board_agrees_on_everybodys_data(board: str, name: str) -> None:
    print(f"{board}, {name}: {on_board(board, name, EVERYBODY)} steps, all equal")
