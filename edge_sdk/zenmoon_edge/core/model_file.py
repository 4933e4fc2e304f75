"""What a runner reads of a .tflite file whatever engine runs it: the borders and the metadata.

Schema numbers: tensorflow/lite/schema/schema.fbs, version 3.
"""

from zenmoon_edge.core.errors import EdgeError
from zenmoon_edge.core.flatbuffer import Table, root
from zenmoon_edge.core.tensor import Tensor

QUANTIZE, DEQUANTIZE = 114, 6  # BuiltinOperator
FLOAT32 = 0  # TensorType

_VERSION = 3
# A wearable's model has a few dozen tensors of at most some thousand numbers; a file far beyond that is an attack or a mistake.
_MOST_TENSORS = 256
_MOST_OPERATORS = 64


class ModelError(EdgeError):
    """A file that cannot be run, or an engine that cannot run it.

    Reasons: `identifier` (no .tflite file), `truncated` (points outside itself), `schema`, `operator` (one that is not
    supported), `type`, `shape`, `scale` (of a tensor), `range` (sums that could leave 32 bits), `metadata`, `input` (a step
    of the wrong length, or no int8), `memory`, `engine` (the one that was asked for is not here).
    """


class ModelFile:
    """The file's tables, read in place.

    Args:
        model: the bytes of the .tflite file.

    Attributes:
        tensors, operators: their tables.
        codes: BuiltinOperator numbers, by operator code index.
        inputs, outputs: tensor indexes of the graph's borders.

    Raises:
        ModelError, FlatbufferError: the file is no graph of a size that a wearable runs.
    """

    def __init__(self, model: bytes) -> None:
        top = root(model, b"TFL3")
        if top.scalar(0, "I") != _VERSION:
            raise ModelError("schema", "schema version %d, not %d" % (top.scalar(0, "I"), _VERSION))
        graphs = top.tables(2)
        if len(graphs) != 1:
            raise ModelError("schema", "%d subgraphs, not one" % len(graphs))
        graph = graphs[0]
        self._buffers = top.tables(4)
        self._metadata = top.tables(6)
        self.tensors = graph.tables(0)
        self.operators = graph.tables(3)
        if len(self.tensors) > _MOST_TENSORS or len(self.operators) > _MOST_OPERATORS:
            raise ModelError("schema", "%d tensors, %d operators" % (len(self.tensors), len(self.operators)))
        self.codes = [max(code.scalar(0, "b"), code.scalar(3, "i")) for code in top.tables(1)]
        self.inputs = graph.vector(1, "i")
        self.outputs = graph.vector(2, "i")

    def tensor(self, index: int) -> Tensor:
        """A tensor with its constant data."""
        table = self.tensors[index]
        return Tensor(table, self.buffer(table.scalar(2, "I")))

    def buffer(self, index: int) -> bytes:
        """A buffer's content."""
        if index >= len(self._buffers):
            raise ModelError("truncated", "no buffer %d" % index)
        return self._buffers[index].content(0)

    def code(self, operator: Table) -> int:
        """BuiltinOperator of an operator; −1 where the file does not say."""
        index = operator.scalar(0, "I")
        return self.codes[index] if index < len(self.codes) else -1

    def int8_input(self, index: int) -> int:
        """The tensor that carries the int8 values of input `index`: itself, or what a QUANTIZE makes of a float32 input."""
        if self.tensors[index].scalar(1, "b") != FLOAT32:
            return index
        for operator in self.operators:
            if self.code(operator) == QUANTIZE and operator.vector(1, "i") == (index,):
                return self._other(operator.vector(2, "i"))
        raise ModelError("type", "the input is float32 and no QUANTIZE reads it")

    def int8_output(self, index: int) -> int:
        """The tensor that carries the int8 values of output `index`: itself, or what a DEQUANTIZE turns into float32."""
        if self.tensors[index].scalar(1, "b") != FLOAT32:
            return index
        for operator in self.operators:
            if self.code(operator) == DEQUANTIZE and operator.vector(2, "i") == (index,):
                return self._other(operator.vector(1, "i"))
        raise ModelError("type", "an output is float32 and no DEQUANTIZE makes it")

    def _other(self, indexes: "tuple[int, ...]") -> int:
        if len(indexes) != 1 or not 0 <= indexes[0] < len(self.tensors):
            raise ModelError("schema", "a QUANTIZE or DEQUANTIZE with %d tensors" % len(indexes))
        return indexes[0]

    def names(self) -> "dict[str, int]":
        """The metadata buffers: name → bytes."""
        return {str(entry.content(0), "utf-8"): len(self.buffer(entry.scalar(1, "I"))) for entry in self._metadata}

    def metadata(self, name: str) -> "bytes | None":
        """The metadata buffer of this name, or None."""
        for entry in self._metadata:
            if entry.content(0) == name.encode():
                return self.buffer(entry.scalar(1, "I"))
        return None


class Borders:
    """What goes in and comes out, in int8.

    Attributes:
        input: the int8 tensor; `quantise` makes its values.
        outputs: the int8 tensors in the file's order.
        steps: time steps of one call.
        float_input, float_outputs: whether the file itself has float32 there (a TFLM module then wants real numbers).

    Raises:
        ModelError: a graph with other borders than `[1, steps, features]` int8 or float32 in, int8 or float32 out.
    """

    def __init__(self, file: ModelFile) -> None:
        inputs, outputs = file.inputs, file.outputs
        if len(inputs) != 1 or not outputs or not all(0 <= i < len(file.tensors) for i in inputs + outputs):
            raise ModelError("schema", "a TinyLSTM has one input and at least one output")
        outside = Tensor(file.tensors[inputs[0]], b"")
        self.input_index = file.int8_input(inputs[0])
        self.output_indexes = [file.int8_output(i) for i in outputs]
        self.float_input = self.input_index != inputs[0]
        self.float_outputs = [i != j for i, j in zip(outputs, self.output_indexes)]  # noqa: B905 - MicroPython
        self.input = Tensor(file.tensors[self.input_index], b"")
        self.outputs = [Tensor(file.tensors[i], b"") for i in self.output_indexes]
        for tensor in [self.input] + self.outputs:
            tensor.require_int8()
        if len(outside.shape) != 3 or outside.shape[0] != 1 or not outside.size:
            raise ModelError("shape", "the input is not [1, steps, features] but %s" % (list(outside.shape),))
        if outside.size != self.input.size:
            raise ModelError("shape", "QUANTIZE of %d values gives %d" % (outside.size, self.input.size))
        self.shape = outside.shape
        self.steps = outside.shape[1]
