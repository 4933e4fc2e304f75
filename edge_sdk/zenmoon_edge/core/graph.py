"""The portable engine: the graph prepared once from the file, then run on lists of integers. Needs nothing but Python.

Operators: UNIDIRECTIONAL_SEQUENCE_LSTM, FULLY_CONNECTED, LOGISTIC, TANH, SOFTMAX, RESHAPE, STRIDED_SLICE, QUANTIZE (int8 → int8).
A QUANTIZE of a float32 input and a DEQUANTIZE to a float32 output are the graph's borders: what runs here is int8 from end to end.
"""

from zenmoon_edge.core.engine import Engine
from zenmoon_edge.core.flatbuffer import Table
from zenmoon_edge.core.lstm import LSTM
from zenmoon_edge.core.model_file import DEQUANTIZE, FLOAT32, QUANTIZE, Borders, ModelError, ModelFile
from zenmoon_edge.core.operators import OPERATORS
from zenmoon_edge.core.tensor import Operator, Tensor


class Graph(Engine):
    """One model in memory with its state.

    Attributes:
        borders: what goes in and comes out.
        values: int8 values of all computed tensors together.
        stateful: whether anything carries over from step to step.

    Raises:
        ModelError, FlatbufferError, GraphError, ScaleError: nothing of a refused file is run.
    """

    name = "portable"

    def __init__(self, model: bytes) -> None:
        file = ModelFile(model)
        tensors = [file.tensor(i) for i in range(len(file.tensors))]
        self.borders = Borders(file)
        self._input_index = self.borders.input_index
        self._output_indexes = self.borders.output_indexes
        self._plan: "list[tuple[Operator, int, int]]" = []
        self._states: "list[LSTM]" = []
        known = {file.inputs[0]}
        for operator in file.operators:
            self._add(operator, file, tensors, known)
        if not all(i in known for i in file.outputs):
            raise ModelError("schema", "an output is computed by no operator")
        self.stateful = bool(self._states)
        self.values = sum([tensor.size for tensor in tensors if not tensor.data])
        self._values: "list[list[int]]" = [[]] * len(tensors)

    def _add(self, operator: Table, file: ModelFile, tensors: "list[Tensor]", known: "set[int]") -> None:
        code = file.code(operator)
        if code not in OPERATORS and code != DEQUANTIZE:
            raise ModelError("operator", "operator code %d" % code if code >= 0 else "no such operator")
        inputs = operator.vector(1, "i")
        outputs = operator.vector(2, "i")
        if len(outputs) != 1 or not inputs or not all(-1 <= i < len(tensors) for i in inputs + outputs):
            raise ModelError("schema", "an operator with %d inputs and %d outputs" % (len(inputs), len(outputs)))
        source, target = inputs[0], outputs[0]
        if source not in known or target < 0 or target in known or tensors[target].data:
            raise ModelError("schema", "operators are not in the order of their data")
        if code == DEQUANTIZE or (code == QUANTIZE and tensors[source].type == FLOAT32):
            self._border(code, source, target, tensors)
        else:
            run = OPERATORS[code]([tensors[i] if i >= 0 else None for i in inputs], tensors[target], operator.table(4))
            self._plan.append((run, source, target))
            if isinstance(run, LSTM):
                self._states.append(run)
        known.add(target)

    def _border(self, code: int, source: int, target: int, tensors: "list[Tensor]") -> None:
        """QUANTIZE and DEQUANTIZE at the graph's ends change nothing here."""
        inside, outside = (target, source) if code == QUANTIZE else (source, target)
        tensors[inside].require_int8()
        if tensors[outside].type != FLOAT32:
            raise ModelError("type", "type %d where float32 is needed" % tensors[outside].type)
        if tensors[inside].size != tensors[outside].size:
            raise ModelError("shape", "%d values become %d" % (tensors[source].size, tensors[target].size))
        if code == QUANTIZE and inside != self._input_index:
            raise ModelError("schema", "float32 inside the graph")

    def reset(self) -> None:
        """Forgets everything: the state after loading."""
        for state in self._states:
            state.reset()

    def step(self, x: "list[int]") -> "list[int]":
        """One call: int8 values in, int8 values of all outputs side by side, in the file's order."""
        values = self._values
        values[self._input_index] = x
        for run, source, target in self._plan:
            values[target] = run(values[source])
        result: "list[int]" = []
        for i in self._output_indexes:
            result += values[i]
        return result
