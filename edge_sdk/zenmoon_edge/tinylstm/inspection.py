"""What is in a .tflite file: operators, tensors, state, metadata, and what it costs to run."""

import hashlib
from typing import Any

from zenmoon_edge import native
from zenmoon_edge.core.errors import EdgeError
from zenmoon_edge.core.fixed_point import real
from zenmoon_edge.core.flatbuffer import Table
from zenmoon_edge.core.model_file import ModelFile
from zenmoon_edge.core.tensor import Tensor
from zenmoon_edge.core.tinylstm import TinyLSTM

_LSTM, _FULLY_CONNECTED = 44, 9
_HIDDEN_STATE, _CELL_STATE = 18, 19  # inputs of the LSTM operator
_OPERATORS = {  # BuiltinOperator; the last ones are what a converter leaves when it does not fuse the LSTM
    6: "DEQUANTIZE", 9: "FULLY_CONNECTED", 14: "LOGISTIC", 22: "RESHAPE", 25: "SOFTMAX", 28: "TANH",
    44: "UNIDIRECTIONAL_SEQUENCE_LSTM", 45: "STRIDED_SLICE", 114: "QUANTIZE",
    0: "ADD", 2: "CONCATENATION", 18: "MUL", 32: "CUSTOM", 39: "TRANSPOSE", 49: "SPLIT", 83: "PACK", 88: "UNPACK", 119: "WHILE",
}  # fmt: skip
_RUNS = "runs on the native kernel and the portable engine; `verify` asks TensorFlow Lite Micro too"
_TYPES = {0: ("float32", 4), 1: ("float16", 2), 2: ("int32", 4), 3: ("uint8", 1), 4: ("int64", 8), 7: ("int16", 2), 9: ("int8", 1)}


def inspect(model: bytes) -> dict[str, Any]:
    """Everything that `python -m zenmoon_edge.tinylstm inspect` shows.

    Args:
        model: the bytes of a .tflite file.

    Returns:
        `file`, `steps`, `features`, `outputs`, `operators`, `tensors`, `state`, `metadata`, `macs_per_step`, `kernel` (its memory)
        and `refused` (None where the native kernel and the portable engine run the file; only `verify` asks TFLM). Sizes in bytes;
        a scale stands for one step of an integer.

    Raises:
        EdgeError: the file cannot even be read.
    """
    file = ModelFile(model)
    tensors = [file.tensor(i) for i in range(len(file.tensors))]
    operators = [_operator(file, operator, tensors) for operator in file.operators]
    shape = tensors[file.inputs[0]].shape if file.inputs and file.inputs[0] in range(len(tensors)) else ()
    steps = shape[1] if len(shape) == 3 and shape[1] else 1
    return {
        "file": {"bytes": len(model), "sha256": hashlib.sha256(model).hexdigest()},
        "steps": steps,
        "features": shape[-1] if shape else 0,
        "outputs": [tensors[i].size for i in file.outputs if i in range(len(tensors))],
        "operators": operators,
        "tensors": [_tensor(i, file, tensor) for i, tensor in enumerate(tensors)],
        "state": [state for operator in file.operators for state in _state(file, operator, tensors)],
        "metadata": file.names(),
        "macs_per_step": sum(operator["macs"] for operator in operators) // steps,
        "kernel": {"memory_bytes": _memory(model)},
        "refused": _refusal(model),
    }


def table(found: dict[str, Any]) -> str:
    """`inspect`'s result for people."""
    refused = found["refused"]
    memory = found["kernel"]["memory_bytes"]
    a_call = "one step" if found["steps"] == 1 else f"{found['steps']} steps"
    outputs = " + ".join(str(size) for size in found["outputs"])
    lines = [
        f"{found['file']['bytes']} bytes, sha256 {found['file']['sha256'][:16]}",
        f"{a_call} a call: {found['features']} features a step in, {outputs} values a call out",
        f"{found['macs_per_step']} multiplications with a weight (MACs) a step",
        f"memory beside the file: {f'{memory} bytes' if memory is not None else 'unknown, the kernel is not built or refuses'}",
        f"refused: {refused['reason']}: {refused['detail']}" if refused else _RUNS,
        "",
    ]
    lines += _columns(
        ["operator", "tensors in", "out", "MACs a call"],
        [
            [o["name"], " ".join(map(str, o["inputs"])), " ".join(map(str, o["outputs"])), str(o["macs"] or "")]
            for o in found["operators"]
        ],
    )
    lines.append("")
    lines += _columns(
        ["tensor", "name", "type", "shape", "scale", "zero point", "bytes", "role"],
        [
            [
                str(t["index"]),
                t["name"],  # streaming files carry none
                t["type"],
                "x".join(map(str, t["shape"])) or "scalar",
                _several([f"{scale:.6g}" for scale in t["scales"]]),
                _several([str(zero) for zero in t["zero_points"]]),
                str(t["bytes"]),
                t["role"],
            ]
            for t in found["tensors"]
        ],
    )
    lines.append("")
    lines += _columns(
        ["state", "values", "after a reset"], [[s["name"], f"{s['values']} {s['type']}", str(s["reset"])] for s in found["state"]]
    )
    lines += [f"metadata {name}: {size} bytes" for name, size in found["metadata"].items()]
    return "\n".join(lines)


def _operator(file: ModelFile, operator: Table, tensors: list[Tensor]) -> dict[str, Any]:
    code = file.code(operator)
    inputs, outputs = operator.vector(1, "i"), operator.vector(2, "i")
    return {
        "name": _OPERATORS.get(code, f"operator {code}"),
        "code": code,
        "inputs": [i for i in inputs if i >= 0],
        "outputs": list(outputs),
        "macs": _macs(code, [tensors[i] if i in range(len(tensors)) else None for i in inputs]),
    }


def _macs(code: int, inputs: list[Tensor | None]) -> int:
    """Multiplications with a weight in one call."""
    if code == _LSTM and len(inputs) > _HIDDEN_STATE and (x := inputs[0]) and (hidden := inputs[_HIDDEN_STATE]):
        steps = x.shape[1] if len(x.shape) == 3 else 1
        return 4 * hidden.size * (x.size + hidden.size * steps)
    if code == _FULLY_CONNECTED and len(inputs) > 1 and (x := inputs[0]) and (weights := inputs[1]) and len(weights.shape) == 2:
        return x.size * weights.shape[0]
    return 0


def _tensor(index: int, file: ModelFile, tensor: Tensor) -> dict[str, Any]:
    kind, width = _TYPES.get(tensor.type, (f"type {tensor.type}", 0))
    states = [i for operator in file.operators if file.code(operator) == _LSTM for i in operator.vector(1, "i")[_HIDDEN_STATE:20]]
    made = any(index in operator.vector(2, "i") for operator in file.operators)
    role = "constant" if tensor.data else "state" if index in states else "computed" if made else "unused"
    return {
        "index": index,
        "name": file.tensors[index].content(3).decode("utf-8", "replace"),
        "type": kind,
        "shape": list(tensor.shape),
        "scales": [real(bits) for bits in tensor.scales],
        "zero_points": list(tensor.zero_points),
        "bytes": len(tensor.data) or tensor.size * width,
        "role": "input" if index in file.inputs else "output" if index in file.outputs else role,
    }


def _state(file: ModelFile, operator: Table, tensors: list[Tensor]) -> list[dict[str, Any]]:
    inputs = operator.vector(1, "i")
    if file.code(operator) != _LSTM or len(inputs) <= _CELL_STATE:
        return []
    states = [("hidden", inputs[_HIDDEN_STATE]), ("cell", inputs[_CELL_STATE])]
    return [
        {
            "name": f"{name} (tensor {i})",
            "type": _TYPES.get(tensors[i].type, ("?", 0))[0],
            "values": tensors[i].size,
            "reset": tensors[i].zero_point() if name == "hidden" else 0,
        }
        for name, i in states
        if i in range(len(tensors))
    ]


def _memory(model: bytes) -> int | None:
    kernel = native.kernel()
    try:
        return kernel.size(model) if kernel else None
    except ValueError:
        return None


def _refusal(model: bytes) -> dict[str, str] | None:
    try:
        TinyLSTM(model, "portable")
    except EdgeError as error:
        return {"reason": error.reason, "detail": error.detail}
    return None


def _several(values: list[str]) -> str:
    """One value, or the first of a row's many."""
    return values[0] + (f" … ({len(values)})" if len(values) > 1 else "") if values else ""


def _columns(heads: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [heads, *rows]]
