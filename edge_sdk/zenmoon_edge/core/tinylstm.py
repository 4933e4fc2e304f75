"""Runs an int8 TinyLSTM: reads the .tflite file itself and gives the integers that TensorFlow Lite Micro gives.

Whatever is here does the work, and all of it gives the same integers: the native kernel (`core/native.py`), else TensorFlow
Lite Micro in a firmware that has it built in (`core/flashed.py`), else this package's own arithmetic (`core/graph.py`).
A file may hold one time step (a wearable streams) or a whole window. State carries over from call to call until `reset`.
"""

from zenmoon_edge.core.engine import Engine
from zenmoon_edge.core.errors import EdgeError
from zenmoon_edge.core.fixed_point import real
from zenmoon_edge.core.model_file import Borders, ModelError, ModelFile
from zenmoon_edge.core.native import Native, kernel
from zenmoon_edge.core.tensor import Tensor

_ENGINES = ("native", "microlite", "openmv", "portable")


class TinyLSTM:
    """One model in memory with its state.

    Args:
        model: the bytes of the .tflite file; they are read in place, so they stay in memory.
        engine: `native`, `microlite`, `openmv` or `portable`; None takes the first of them that is here. One that is asked
            for by name and is not here, or does not keep the state, is refused.

    Attributes:
        engine: the one that runs.
        input: the int8 tensor that goes in; where the file wants float32, the tensor that its QUANTIZE makes.
        input_size: int8 values that one call takes (features × time steps of the file).
        steps: time steps in one call; 1 in a streaming file.
        outputs: the int8 output tensors in the file's order, each with `size`, `quantise` and `dequantise`.

    Raises:
        ModelError: see there. Nothing of a refused file is run.
    """

    def __init__(self, model: bytes, engine: "str | None" = None) -> None:
        refused = None
        try:
            self._engine = _engine(model, engine)
            borders = Borders(ModelFile(model))
        except ModelError:
            raise
        except EdgeError as error:
            refused = ModelError(error.reason, error.detail)
        if refused:  # raised out here: MicroPython warns of every chained exception
            raise refused
        self._model = model
        self.engine = self._engine.name
        self.input: Tensor = borders.input
        self.outputs: "list[Tensor]" = borders.outputs
        self.steps: int = borders.steps
        self.input_size: int = borders.input.size

    def metadata(self, name: str) -> "bytes | None":
        """The metadata buffer of this name, or None.

        Raises:
            ModelError: the buffer lies outside the file.
        """
        refused = None
        try:
            return ModelFile(self._model).metadata(name)
        except ModelError:
            raise
        except EdgeError as error:
            refused = ModelError(error.reason, error.detail)
        raise refused

    def reset(self) -> None:
        """Forgets everything: the state after loading."""
        self._engine.reset()

    def step(self, x: "list[int]") -> "list[int]":
        """One call of the model.

        Args:
            x: int8 values, `input_size` of them.

        Returns:
            int8 values of all output tensors side by side, in the file's order.

        Raises:
            ModelError: `input`.
        """
        if len(x) != self.input_size:
            raise ModelError("input", "%d values instead of %d" % (len(x), self.input_size))
        if min(x) < -128 or max(x) > 127:
            raise ModelError("input", "a value outside -128...127")
        return self._engine.step(x)

    def run(self, x: bytes) -> bytes:
        """Many calls in a row; the state carries over, into the first and out of the last.

        Args:
            x: int8 as bytes, [calls, input_size].

        Returns:
            int8 as bytes, [calls, outputs].

        Raises:
            ModelError: `input`.
        """
        if len(x) % self.input_size:
            raise ModelError("input", "%d values are no multiple of %d" % (len(x), self.input_size))
        return self._engine.run(x, self.input_size)

    def quantise(self, x: "list[float]") -> "list[int]":
        """Real inputs as int8: half away from zero, clamped.

        Raises:
            ModelError: `input`: a value that is no number.
        """
        refused = None
        try:
            return self.input.quantise(x)
        except EdgeError as error:
            refused = ModelError(error.reason, error.detail)
        raise refused

    def dequantise(self, values: "list[int]") -> "list[list[float]]":
        """The result of `step` as real numbers, a list per output tensor."""
        result = []
        at = 0
        for output in self.outputs:
            result.append(output.dequantise(values[at : at + output.size]))
            at += output.size
        return result

    def input_quantisation(self) -> "tuple[float, int]":
        """(scale, zero point) of the input."""
        return real(self.input.scales[0]), self.input.zero_points[0]


def _engine(model: bytes, wanted: "str | None") -> "Engine":
    if wanted is not None and wanted not in _ENGINES:
        raise ModelError("engine", "%s is none of %s" % (wanted, ", ".join(_ENGINES)))
    if wanted in (None, "native"):
        functions = kernel()
        if functions is not None:
            return Native(functions, model)
        if wanted:
            raise ModelError("engine", "the native kernel is not here; next: put _tinylstm.mpy on the path, or build it")
    # Loaded only where it is needed: beside the kernel the portable engine would cost a wearable several times the memory.
    from zenmoon_edge.core.graph import Graph  # noqa: PLC0415

    if wanted != "portable":
        from zenmoon_edge.core.flashed import flashed  # noqa: PLC0415

        found = flashed(model, wanted)
        if found is not None:
            return found
        if wanted:
            raise ModelError("engine", "%s is not in this firmware, or it does not run this model as it should" % wanted)
    return Graph(model)


__all__ = ["ModelError", "TinyLSTM"]
