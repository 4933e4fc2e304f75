"""From the trained network to the file a wearable runs: int8, one step at a time, calibration inside.

The fused operator is converted over a whole window (so that the ranges of its state are measured), then every activation
tensor is cut to one step: the state tensors carry over and 60 single steps equal one window to the bit.
"""

import struct
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core.features import INPUTS
from zenmoon_edge.core.strain import METADATA
from zenmoon_edge.core.tinylstm import TinyLSTM

from zenmoon_models.errors import ModelsError
from zenmoon_models.tinylstm.network import EXPECTED, STEPS, build

READY_STEPS = 10  # 40 s: by then the smoothing has taken in most of what it averages
SMOOTHING_GAIN = 0.0952  # 1 − exp(−4 s / 40 s)
QUANTILES = 33
REPRESENTATIVES = 300


def quantise(tensorflow: Any, tf_keras: Any, trained: Any, windows: NDArray[np.float32]) -> bytes:
    """Full int8 with int8 in- and outputs, ranges measured on `windows` [n, STEPS, 8]."""
    twin = build(tf_keras, batch=1, steps=STEPS, every_step=False)
    for name in ("lstm", "strain", "expectation"):
        twin.get_layer(name).set_weights(trained.get_layer(name).get_weights())
    chosen = windows[np.linspace(0, len(windows) - 1, min(len(windows), REPRESENTATIVES)).astype(int)]
    converter = tensorflow.lite.TFLiteConverter.from_keras_model(twin)
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([window[None]] for window in chosen)
    converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tensorflow.int8
    converter.inference_output_type = tensorflow.int8
    return bytes(converter.convert())


def stream(window_model: bytes) -> bytes:
    """The same model for one step a call."""
    schema = _schema()
    model = _load(schema, window_model)
    for tensor in model.subgraphs[0].tensors:
        shape = [] if tensor.shape is None else list(tensor.shape)
        if len(shape) == 3 and shape[1] == STEPS:
            tensor.shape = [shape[0], 1, shape[2]]
            if tensor.shapeSignature is not None:
                tensor.shapeSignature = tensor.shape
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    if codes.count(schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM) != 1:
        raise ModelsError("conversion", f"the converter did not fuse the LSTM (operators {codes}): use the pinned TensorFlow")
    return _save(model)


def calibrate(model: bytes, surprises: NDArray[np.float64]) -> bytes:
    """Writes the metadata that `zenmoon_edge.core.strain` reads; surprises of the training people give the quantiles."""
    outputs = TinyLSTM(model).outputs
    sizes = [output.size for output in outputs]
    quantiles = np.quantile(surprises, np.linspace(0, 1, QUANTILES)).astype(np.float32)
    data = struct.pack(
        f"<8Bf{QUANTILES}f",
        1,
        INPUTS,
        sizes.index(1),
        sizes.index(2),
        *EXPECTED,
        READY_STEPS,
        QUANTILES,
        SMOOTHING_GAIN,
        *quantiles.tolist(),
    )
    schema = _schema()
    tree = _load(schema, model)
    kept = [entry for entry in tree.metadata or [] if entry.name != METADATA.encode()]
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(data, np.uint8)
    entry = schema.MetadataT()
    entry.name = METADATA.encode()
    entry.buffer = len(tree.buffers)
    tree.buffers.append(buffer)
    tree.metadata = [*kept, entry]
    return _save(tree)


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
