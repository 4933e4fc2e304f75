"""Runs an int8 TinyLSTM: reads the .tflite file itself and gives the integers that TensorFlow Lite Micro gives.

Operators: UNIDIRECTIONAL_SEQUENCE_LSTM, FULLY_CONNECTED, LOGISTIC, TANH, SOFTMAX, RESHAPE, STRIDED_SLICE, QUANTIZE (int8 → int8).
A file may hold one time step (a wearable streams) or a whole window. State carries over from `step` to `step` until
`reset`. Schema numbers: tensorflow/lite/schema/schema.fbs, version 3.
"""

from zenmoon_edge.core.errors import EdgeError
from zenmoon_edge.core.fixed_point import ScaleError, real
from zenmoon_edge.core.flatbuffer import FlatbufferError, Table, root
from zenmoon_edge.core.lstm import LSTM
from zenmoon_edge.core.operators import OPERATORS
from zenmoon_edge.core.tensor import GraphError, Operator, Tensor

_VERSION = 3
# A wearable's model has a few dozen tensors of at most some thousand numbers; a file far beyond that is an attack or a mistake.
_MOST_TENSORS = 256
_MOST_OPERATORS = 64


class ModelError(EdgeError):
    """A file that cannot be run.

    Reasons: `identifier` (no .tflite file), `truncated` (points outside itself), `schema`, `operator` (one that is not
    supported), `type`, `shape`, `scale` (of a tensor), `metadata`, `input` (a step of the wrong length).
    """


class TinyLSTM:
    """One model in memory with its state.

    Args:
        model: the bytes of the .tflite file.

    Attributes:
        input_size: int8 values that one step takes (features × time steps of the file).
        steps: time steps in one call; 1 in a streaming file.
        outputs: the output tensors in the file's order, each with `size`, `quantise` and `dequantise`.

    Raises:
        ModelError: see there. Nothing of a refused file is run.
    """

    def __init__(self, model: bytes) -> None:
        refused = None
        try:
            self._load(model)
        except (FlatbufferError, GraphError, ScaleError) as error:
            refused = ModelError(error.reason, error.detail)
        if refused:  # raised out here: MicroPython warns of every chained exception
            raise refused

    def _load(self, model: bytes) -> None:
        top = root(model, b"TFL3")
        if top.scalar(0, "I") != _VERSION:
            raise ModelError("schema", "schema version %d, not %d" % (top.scalar(0, "I"), _VERSION))
        graphs = top.tables(2)
        if len(graphs) != 1:
            raise ModelError("schema", "%d subgraphs, not one" % len(graphs))
        graph = graphs[0]
        self._buffers = top.tables(4)
        self._metadata = top.tables(6)
        tables = graph.tables(0)
        operators = graph.tables(3)
        if len(tables) > _MOST_TENSORS or len(operators) > _MOST_OPERATORS:
            raise ModelError("schema", "%d tensors, %d operators" % (len(tables), len(operators)))
        tensors = [Tensor(table, self._buffer(table.scalar(2, "I"))) for table in tables]
        codes = [max(code.scalar(0, "b"), code.scalar(3, "i")) for code in top.tables(1)]

        inputs = graph.vector(1, "i")
        outputs = graph.vector(2, "i")
        if len(inputs) != 1 or not outputs or not all(0 <= i < len(tensors) for i in inputs + outputs):
            raise ModelError("schema", "a TinyLSTM has one input and at least one output")
        self._input_index = inputs[0]
        self._output_indexes = outputs
        self.input = tensors[inputs[0]]
        self.outputs = [tensors[i] for i in outputs]
        for tensor in [self.input] + self.outputs:
            tensor.require_int8()
        if len(self.input.shape) != 3 or self.input.shape[0] != 1:
            raise ModelError("shape", "the input is not [1, steps, features] but %s" % (list(self.input.shape),))
        self.steps = self.input.shape[1]
        self.input_size = self.input.size

        self._plan: "list[tuple[Operator, int, int]]" = []
        self._states: "list[LSTM]" = []
        known = {inputs[0]}
        for operator in operators:
            self._add(operator, codes, tensors, known)
        if not all(i in known for i in outputs):
            raise ModelError("schema", "an output is computed by no operator")
        self._values: "list[list[int]]" = [[]] * len(tensors)

    def _add(self, operator: Table, codes: "list[int]", tensors: "list[Tensor]", known: "set[int]") -> None:
        index = operator.scalar(0, "I")
        if index >= len(codes) or codes[index] not in OPERATORS:
            raise ModelError("operator", "operator code %d" % codes[index] if index < len(codes) else "no such operator")
        inputs = operator.vector(1, "i")
        outputs = operator.vector(2, "i")
        if len(outputs) != 1 or not inputs or not all(-1 <= i < len(tensors) for i in inputs + outputs):
            raise ModelError("schema", "an operator with %d inputs and %d outputs" % (len(inputs), len(outputs)))
        source, target = inputs[0], outputs[0]
        if source not in known or target < 0 or target in known or tensors[target].data:
            raise ModelError("schema", "operators are not in the order of their data")
        run = OPERATORS[codes[index]]([tensors[i] if i >= 0 else None for i in inputs], tensors[target], operator.table(4))
        self._plan.append((run, source, target))
        if isinstance(run, LSTM):
            self._states.append(run)
        known.add(target)

    def _buffer(self, index: int) -> bytes:
        if index >= len(self._buffers):
            raise ModelError("truncated", "no buffer %d" % index)
        return self._buffers[index].content(0)

    def metadata(self, name: str) -> "bytes | None":
        """The metadata buffer of this name, or None.

        Raises:
            ModelError: the buffer lies outside the file.
        """
        try:
            for entry in self._metadata:
                if entry.content(0) == name.encode():
                    return self._buffer(entry.scalar(1, "I"))
        except FlatbufferError as error:
            raise ModelError(error.reason, error.detail) from None
        return None

    def reset(self) -> None:
        """Forgets everything: the state after loading."""
        for state in self._states:
            state.reset()

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
        values = self._values
        values[self._input_index] = x
        for run, source, target in self._plan:
            values[target] = run(values[source])
        result: "list[int]" = []
        for i in self._output_indexes:
            result += values[i]
        return result

    def quantise(self, x: "list[float]") -> "list[int]":
        """Real inputs as int8: half away from zero, clamped."""
        return self.input.quantise(x)

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
