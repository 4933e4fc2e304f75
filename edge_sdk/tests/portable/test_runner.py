"""Which engine runs a model, and that each of them keeps the contract: the same integers, carried state, reset."""

import os
import sys

import zenmoon_edge.core.tinylstm as module
from zenmoon_edge.core.flashed import proven
from zenmoon_edge.core.graph import Graph
from zenmoon_edge.core.native import Native, kernel
from zenmoon_edge.core.tinylstm import ModelError, TinyLSTM

try:
    import gc

    gc.mem_alloc  # noqa: B018 - MicroPython counts its heap, CPython does not
except AttributeError:
    gc = None


def small():
    """A model of 8 inputs, 16 units and two heads that no training changes."""
    with open(__file__.rsplit("/", 1)[0] + "/small.tflite", "rb") as file:
        return file.read()


def steps(n, size=8):
    seed = 7
    values = []
    for _ in range(n):
        step = []
        for _ in range(size):
            seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
            step.append(((seed >> 16) & 127) - 64)
        values.append(step)
    return values


def as_bytes(values):
    return bytes([q & 255 for step in values for q in step])


# What the two firmwares offer, on top of the portable engine. `kept` says what a kernel does with its state.


class FakeTensor:
    def __init__(self, values):
        self._values = values

    def getValue(self, index):
        return self._values[index]

    def setValue(self, index, value):
        self._values[index] = value


class FakeInterpreter:
    """microlite.interpreter: callbacks around an invoke, no reset."""

    def __init__(self, model, arena_bytes, input_callback, output_callback):
        if not isinstance(model, bytearray):
            raise TypeError("microlite reads a bytearray's memory")
        if arena_bytes < 6000:
            raise MemoryError
        self._graph = self.graph_of(bytes(model))
        self._callbacks = (input_callback, output_callback)
        self._input = [0] * self._graph.borders.input.size
        self._outputs = []

    forgets = False

    def graph_of(self, model):
        return Graph(model)

    def invoke(self):
        self._callbacks[0](self)
        if self.forgets:
            self._graph.reset()
        result = self._graph.step(list(self._input))
        self._outputs = []
        for border in self._graph.borders.outputs:
            self._outputs.append(result[: border.size])
            result = result[border.size :]
        self._callbacks[1](self)
        return 0

    def getInputTensor(self, index):
        return FakeTensor(self._input)

    def getOutputTensor(self, index):
        return FakeTensor(self._outputs[index])


class ForgetfulInterpreter(FakeInterpreter):
    """As TFLM's CMSIS-NN kernel: each call begins at zero."""

    forgets = True


class StickyInterpreter(FakeInterpreter):
    """A module that hands out one and the same memory: a new interpreter remembers the old one."""

    def graph_of(self, model):
        if not _graphs:
            _graphs.append(Graph(model))
        return _graphs[0]


_graphs = []


class BrokenInterpreter(FakeInterpreter):
    def invoke(self):
        return 1


class FakeModel:
    """ml.Model: a path in, real numbers out, the input tensor's memory handed to a callable."""

    def __init__(self, path, load_to_fb=False):
        with open(path, "rb") as file:
            self._graph = Graph(file.read())

    def predict(self, inputs):
        borders = self._graph.borders
        buffer = bytearray(borders.input.size)
        inputs[0](buffer, borders.shape, ord("b"))
        result = self._graph.step([q - 256 if q > 127 else q for q in buffer])
        outputs = []
        for border in borders.outputs:
            outputs.append(FakeArray(border.dequantise(result[: border.size])))
            result = result[border.size :]
        return outputs


class FakeArray:
    def __init__(self, values):
        self._values = values

    def flatten(self):
        return self._values


class Firmware:
    """A module, as `import` finds it."""

    def __init__(self, **names):
        for name, value in names.items():
            setattr(self, name, value)


def flashed(model, name, firmware, engine=None):
    """A runner on a firmware that has this module and no native kernel."""
    found, module.kernel = module.kernel, lambda: None
    sys.modules[name] = firmware
    try:
        return TinyLSTM(model, engine)
    finally:
        del sys.modules[name]
        module.kernel = found


def assert_same(runner, model, n=40):
    reference = TinyLSTM(model, "portable")
    for _ in range(2):
        for x in steps(n):
            assert runner.step(x) == reference.step(x)
        runner.reset()
        reference.reset()
    assert runner.run(as_bytes(steps(n))) == reference.run(as_bytes(steps(n)))


def reason(call, *arguments):
    try:
        call(*arguments)
    except ModelError as error:
        return error.reason
    raise AssertionError("accepted")


def test_without_kernel_or_firmware_the_portable_engine_runs():
    assert flashed(small(), "nothing", None).engine == "portable"


def test_a_flashed_microlite_that_carries_its_state_is_used():
    runner = flashed(small(), "microlite", Firmware(interpreter=FakeInterpreter))
    assert runner.engine == "microlite"
    assert_same(runner, small())


def test_openmvs_ml_that_carries_its_state_is_used():
    try:
        runner = flashed(small(), "ml", Firmware(Model=FakeModel))
        assert runner.engine == "openmv"
        assert_same(runner, small())
    finally:
        for name in os.listdir("."):
            if name.startswith("tinylstm-") and name.endswith(".tflite"):
                os.remove(name)


def test_a_flashed_tflm_that_forgets_its_state_is_not_used():
    firmware = Firmware(interpreter=ForgetfulInterpreter)
    runner = flashed(small(), "microlite", firmware)
    assert runner.engine == "portable"
    assert_same(runner, small())
    assert reason(flashed, small(), "microlite", firmware, "microlite") == "engine"


def test_a_flashed_tflm_that_cannot_reset_is_not_used():
    assert flashed(small(), "microlite", Firmware(interpreter=StickyInterpreter)).engine == "portable"


def test_a_flashed_tflm_that_fails_is_not_used():
    assert flashed(small(), "microlite", Firmware(interpreter=BrokenInterpreter)).engine == "portable"
    assert flashed(small(), "microlite", Firmware()).engine == "portable"


def test_an_engine_is_proven_only_by_a_sequence_that_shows_its_state():
    class Silent(Graph):
        """Whatever it remembers, nothing of it comes out."""

        def step(self, x):
            return [0]

    silent = Silent(small())
    assert not proven(silent, silent)
    silent.stateful = False
    assert proven(silent, silent)


def test_a_refused_file_is_refused_whatever_is_flashed():
    assert reason(flashed, small()[:900], "microlite", Firmware(interpreter=FakeInterpreter)) == "truncated"


def test_an_engine_that_is_not_here_is_refused_by_name():
    assert reason(flashed, small(), "nothing", None, "native") == "engine"
    assert reason(flashed, small(), "nothing", None, "openmv") == "engine"
    assert reason(TinyLSTM, small(), "fastest") == "engine"


def test_a_run_of_many_calls_equals_the_steps_and_carries_the_state_on():
    for engine in engines():
        model = TinyLSTM(small(), engine)
        expected = as_bytes([model.step(x) for x in steps(30)])
        model.reset()
        assert model.run(as_bytes(steps(30)[:11])) + model.run(as_bytes(steps(30)[11:])) == expected
        assert model.run(b"") == b""


def test_values_that_are_no_step_of_int8_are_refused():
    for engine in engines():
        model = TinyLSTM(small(), engine)
        before = model.step([0] * 8)
        model.reset()
        assert reason(model.step, [0] * 9) == "input"
        assert reason(model.step, [0, 0, 0, 128, 0, 0, 0, 0]) == "input"
        assert reason(model.step, [0, 0, 0, -129, 0, 0, 0, 0]) == "input"
        assert reason(model.run, bytes(12)) == "input"
        assert model.step([0] * 8) == before, "a refused step changes nothing"


def test_the_kernel_gives_the_portable_engines_integers():
    if kernel() is None:
        return  # test_runner.py says so, and how to build it
    model = TinyLSTM(small())
    assert model.engine == "native"
    assert_same(model, small(), 200)


def test_each_refusal_of_the_kernel_becomes_a_reason_with_a_sentence():
    class Refusing:
        def __init__(self, code):
            self._code = code

        def size(self, model):
            raise ValueError(self._code)

    found = []
    for code in range(-1, -10, -1):
        try:
            Native(Refusing(code), b"")
        except ModelError as error:
            assert len(error.detail) > 10
            found.append(error.reason)
    assert found == ["identifier", "truncated", "schema", "operator", "type", "shape", "scale", "range", "memory"]


def test_beside_the_kernel_a_model_costs_a_small_part_of_the_memory():
    if kernel() is None or gc is None:
        return
    used = {}
    data = small()
    for engine in ("portable", "native"):
        gc.collect()
        before = gc.mem_alloc()
        model = TinyLSTM(data, engine)
        gc.collect()
        used[engine] = gc.mem_alloc() - before
        model.step([0] * 8)
        del model
    assert used["native"] * 3 < used["portable"], used


def engines():
    return ("portable", "native") if kernel() else ("portable",)
