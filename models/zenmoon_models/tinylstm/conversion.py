"""From the trained network to the file that ships: int8, one step at a time, with what belongs to it inside.

The fused operator is converted over a whole window (so that the ranges of its state are measured), then every activation
tensor is cut to one step: the state tensors carry over, and 60 single steps equal one window of 60 to the bit.
"""

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core.tinylstm import TinyLSTM
from zenmoon_edge.tinylstm import quantise as quantise_inputs
from zenmoon_edge.tinylstm import verify

from zenmoon_models.errors import ModelsError
from zenmoon_models.tinylstm.floating import Network, forward
from zenmoon_models.tinylstm.network import build

REPRESENTATIVES = 300


def convert(tensorflow: Any, tf_keras: Any, network: Network, windows: NDArray[np.float32]) -> bytes:
    """`quantise`, then `stream`: the file for one step a call."""
    return stream(quantise(tensorflow, tf_keras, network, windows))


def quantise(tensorflow: Any, tf_keras: Any, network: Network, windows: NDArray[np.float32]) -> bytes:
    """Full int8 with int8 in- and outputs, ranges measured on `windows` [n, steps, features]; takes a whole window a call."""
    twin = build(tf_keras, network, batch=1, steps=windows.shape[1], every_step=False)
    chosen = windows[np.linspace(0, len(windows) - 1, min(len(windows), REPRESENTATIVES)).astype(int)]
    converter = tensorflow.lite.TFLiteConverter.from_keras_model(twin)
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([window[None]] for window in chosen)
    converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tensorflow.int8
    converter.inference_output_type = tensorflow.int8
    model = bytes(converter.convert())
    schema = _schema()
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in _load(schema, model).operatorCodes]
    if codes.count(schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM) != (network.units > 0):
        raise ModelsError("conversion", f"the converter did not fuse the LSTM (operators {codes}): use the pinned TensorFlow")
    return model


def stream(window_model: bytes) -> bytes:
    """The same model for one step a call, without the names that only a reader of the graph would see."""
    schema = _schema()
    model = _load(schema, window_model)
    graph = model.subgraphs[0]
    steps = graph.tensors[graph.inputs[0]].shape[1]
    for tensor in graph.tensors:
        shape = [] if tensor.shape is None else list(tensor.shape)
        if len(shape) == 3 and shape[1] == steps:
            tensor.shape = [shape[0], 1, shape[2]]
        tensor.shapeSignature = None
        tensor.name = None
    return _save(model)


def outputs(model: bytes, network: Network, inputs: NDArray[np.float32]) -> dict[str, int]:
    """Which output tensor of a streaming file is which head: its order is the converter's, so the values decide.

    Args:
        model: a streaming file.
        network: what it was made from.
        inputs: [n, features], a sequence on which no two heads agree.

    Raises:
        ModelsError: `conversion` when a head is not to be found, or two look alike.
    """
    runner = TinyLSTM(model)
    expected = forward(network, inputs)
    rows = [runner.dequantise(runner.step(call)) for call in quantise_inputs(runner, inputs.astype(np.float32)).tolist()]
    found: dict[str, int] = {}
    for head in network.heads:
        distance = [
            float(np.mean(np.abs(np.array([row[i] for row in rows]) - expected[head.name]))) if tensor.size == head.size else np.inf
            for i, tensor in enumerate(runner.outputs)
        ]
        found[head.name] = int(np.argmin(distance))
    if len(set(found.values())) < len(network.heads):
        raise ModelsError("conversion", f"the file's outputs cannot be told apart: {found}")
    return found


def attach(model: bytes, name: str, data: bytes) -> bytes:
    """The model with `data` as its metadata buffer `name`; one of that name that is already there is replaced."""
    schema = _schema()
    tree = _load(schema, model)
    kept = [entry for entry in tree.metadata or [] if entry.name != name.encode()]
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(data, np.uint8)
    entry = schema.MetadataT()
    entry.name = name.encode()
    entry.buffer = len(tree.buffers)
    tree.buffers.append(buffer)
    tree.metadata = [*kept, entry]
    return _save(tree)


def agreed(model: bytes) -> bytes:
    """The model itself, once every engine that is here gives TFLM's integers for it.

    Raises:
        ModelsError: `conversion` when one differs, or TFLM is not here.
    """
    different, absent = verify(model)
    if any(different.values()) or "tflm" in absent:
        raise ModelsError("conversion", f"the engines do not agree (calls that differ: {different}; not here: {absent})")
    return model


def _schema() -> Any:
    try:
        return import_module("tflite_micro.tensorflow.lite.micro.python.schema_py_generated")
    except ImportError as error:
        raise ModelsError("extra", f"tflite-micro cannot be used ({error}): run `pip install 'zenmoon-models[train]'`") from error


def _load(schema: Any, model: bytes) -> Any:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(model), 0))


def _save(model: Any) -> bytes:
    flatbuffers = import_module("flatbuffers")
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
