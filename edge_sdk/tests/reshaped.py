"""Other files made from a shipped one with the flatbuffer schema of TFLM's wheel: windows, float32 borders, hostile graphs."""

from importlib import import_module
from typing import Any

import flatbuffers

FLOAT32 = 0


def schema() -> Any:
    return import_module("tflite_micro.tensorflow.lite.micro.python.schema_py_generated")


def load(model: bytes) -> Any:
    return schema().ModelT.InitFromObj(schema().Model.GetRootAs(bytearray(model), 0))


def save(tree: Any) -> bytes:
    builder = flatbuffers.Builder(0)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def window(model: bytes, steps: int) -> bytes:
    """The streaming model for so many steps a call."""
    tree = load(model)
    for tensor in tree.subgraphs[0].tensors:
        shape = [] if tensor.shape is None else list(tensor.shape)
        if len(shape) == 3 and shape[1] == 1:
            tensor.shape = [shape[0], steps, shape[2]]
            if tensor.shapeSignature is not None:
                tensor.shapeSignature = tensor.shape
    return save(tree)


def float_borders(model: bytes) -> bytes:
    """The same model with a QUANTIZE before its input and a DEQUANTIZE behind each output."""
    tree = load(model)
    graph = tree.subgraphs[0]
    operators = list(graph.operators)
    quantise = _border(tree, schema().BuiltinOperator.QUANTIZE)
    dequantise = _border(tree, schema().BuiltinOperator.DEQUANTIZE)
    inputs = [_real(graph, i) for i in graph.inputs]
    outputs = [_real(graph, i) for i in graph.outputs]
    before = [_operator(quantise, real, inside) for real, inside in zip(inputs, graph.inputs, strict=True)]
    behind = [_operator(dequantise, inside, real) for real, inside in zip(outputs, graph.outputs, strict=True)]
    graph.operators = before + operators + behind
    graph.inputs, graph.outputs = inputs, outputs
    return save(tree)


def without_operator(model: bytes, name: str) -> bytes:
    """The model with one operator turned into something that no engine runs."""
    tree = load(model)
    wanted = getattr(schema().BuiltinOperator, name)
    for code in tree.operatorCodes:
        if max(code.builtinCode, code.deprecatedBuiltinCode) == wanted:
            code.builtinCode = code.deprecatedBuiltinCode = schema().BuiltinOperator.CONV_2D
    return save(tree)


def _border(tree: Any, number: int) -> int:
    code = schema().OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = number
    code.version = 1
    tree.operatorCodes.append(code)
    return len(tree.operatorCodes) - 1


def _real(graph: Any, index: int) -> int:
    tensor = schema().TensorT()
    tensor.shape = graph.tensors[index].shape
    tensor.type = FLOAT32
    tensor.name = b"real"
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _operator(code: int, source: int, target: int) -> Any:
    operator = schema().OperatorT()
    operator.opcodeIndex = code
    operator.inputs, operator.outputs = [source], [target]
    return operator
