"""The engines that a computer can have, all behind one door: int8 calls in, int8 outputs out, state reset once before the first.

Files with float32 borders take int8 here too; TFLM is handed the real numbers that these stand for.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zenmoon_edge import native
from zenmoon_edge.core.errors import EdgeError
from zenmoon_edge.core.model_file import Borders, ModelFile
from zenmoon_edge.core.tensor import Tensor
from zenmoon_edge.core.tinylstm import TinyLSTM

Int8 = NDArray[np.int8]

_PACKAGES = Path(__file__).resolve().parents[2]
_TOOLCHAIN = _PACKAGES.parent / ".toolchain"
_TOOLCHAIN_COMMAND = "in a checkout of the project, run `python tools/toolchain.py`"
_ARENA_BYTES = 1 << 22  # a wearable's models need a few KB, a window's some more
_ON_MICROPYTHON = """
import sys
from zenmoon_edge.core.tinylstm import TinyLSTM
with open(sys.argv[1], "rb") as file:
    model = TinyLSTM(file.read(), sys.argv[4])
with open(sys.argv[2], "rb") as source, open(sys.argv[3], "wb") as target:
    while True:
        calls = source.read(64 * model.input_size)
        if not calls:
            break
        target.write(model.run(calls))
"""
_ON_NODE = """
import { readFileSync, writeFileSync } from "node:fs";
const [modelPath, inPath, outPath, kernelPath] = process.argv.slice(2);
const model = readFileSync(modelPath), input = readFileSync(inPath);
const { exports: kernel } = (await WebAssembly.instantiate(readFileSync(kernelPath))).instance;
let free = kernel.memory.buffer.byteLength;
const place = (bytes) => {
  const at = free;
  free += (bytes + 15) & ~15;
  const lacking = free - kernel.memory.buffer.byteLength;
  if (lacking > 0) kernel.memory.grow(Math.ceil(lacking / 65536));
  return at;
};
const put = (bytes) => {
  const at = place(bytes.length);
  new Uint8Array(kernel.memory.buffer).set(bytes, at);
  return at;
};
const accepted = (code) => {
  if (code < 0) throw new Error(`the kernel refuses with code ${code}`);
  return code;
};
const modelAt = put(model);
const size = accepted(kernel.tinylstm_size(modelAt, model.length));
const memoryAt = place(size);
accepted(kernel.tinylstm_load(modelAt, model.length, memoryAt, size));
const calls = input.length / kernel.tinylstm_inputs(memoryAt);
const inAt = put(input);
const outBytes = calls * kernel.tinylstm_outputs(memoryAt);
const outAt = place(outBytes);
accepted(kernel.tinylstm_run(modelAt, memoryAt, inAt, outAt, calls));
writeFileSync(outPath, new Uint8Array(kernel.memory.buffer, outAt, outBytes));
"""


class EngineError(EdgeError):
    """An engine that cannot run: `absent` (detail names what installs it), `failed` (it refuses the file or ended), `input`."""


def quantise(model: TinyLSTM, values: NDArray[Any]) -> Int8:
    """IN as int8 `[calls, values per call]`: float32 is quantised as TFLM does, half away from zero, clamped.

    Raises:
        EngineError: `input` for another type or shape.
    """
    features = model.input_size // model.steps
    if values.ndim != 2 or values.shape[1] != features or len(values) % model.steps:
        raise EngineError(
            "input", f"the model takes [steps, {features}], steps a multiple of {model.steps}, not {list(values.shape)}"
        )
    if values.dtype == np.float32:
        if not np.isfinite(values).all():
            raise EngineError("input", "the input holds values that are no finite numbers")
        scale, zero_point = model.input_quantisation()
        # As Tensor.quantise: TFLM divides in single precision, where the half could not be added exactly.
        with np.errstate(over="ignore"):
            quotient = (values / np.float32(scale)).astype(np.float64)
        rounded = np.trunc(np.clip(quotient, -512, 512) + np.copysign(0.5, quotient))
        values = np.clip(rounded + zero_point, -128, 127).astype(np.int8)
    elif values.dtype != np.int8:
        raise EngineError("input", f"the input is {values.dtype}, not float32 or int8")
    return values.reshape(-1, model.input_size)


def run_native(model: bytes, calls: Int8) -> Int8:
    """The kernel under CPython.

    Raises:
        EngineError: `absent`.
    """
    if native.kernel() is None:
        raise EngineError("absent", f"the kernel is not built: run `{native.BUILD_COMMAND}`")
    return _run(TinyLSTM(model, "native"), calls)


def run_portable(model: bytes, calls: Int8) -> Int8:
    """This package's own arithmetic under CPython."""
    return _run(TinyLSTM(model, "portable"), calls)


def run_micropython(model: bytes, calls: Int8) -> Int8:
    """This package's own arithmetic under MicroPython's desktop port.

    Raises:
        EngineError: `absent` or `failed`.
    """
    return _run_micropython(model, calls, "portable", [])


def run_micropython_native(model: bytes, calls: Int8) -> Int8:
    """The kernel as a native module of MicroPython's desktop port, as on a wearable.

    Raises:
        EngineError: `absent` or `failed`.
    """
    module = _TOOLCHAIN / "native" / "x64" / "_tinylstm.mpy"
    if not module.is_file():
        raise EngineError("absent", f"the native module is not built: {_TOOLCHAIN_COMMAND}")
    return _run_micropython(model, calls, "native", [str(module.parent)])


def run_wasm(model: bytes, calls: Int8) -> Int8:
    """The kernel as WebAssembly under Node, as in a browser.

    Raises:
        EngineError: `absent` or `failed`.
    """
    kernel = _TOOLCHAIN / "native" / "tinylstm.wasm"
    if not kernel.is_file():
        raise EngineError("absent", f"the WebAssembly kernel is not built: {_TOOLCHAIN_COMMAND}")
    node = shutil.which("node")
    if node is None:
        raise EngineError("absent", "Node is not installed (Debian, Ubuntu: `apt install nodejs`)")
    return _run_program(model, calls, name="Node", script=("run.mjs", _ON_NODE), before=[node], after=[str(kernel)])


def run_tflm(model: bytes, calls: Int8) -> Int8:
    """TensorFlow Lite Micro itself, from its wheel.

    Raises:
        EngineError: `absent`, or `failed`: TFLM refuses a file that this project's engines run.
    """
    try:
        runtime = import_module("tflite_micro").runtime
    except ImportError as error:
        raise EngineError("absent", f"TFLM is not installed ({error.name}): run `pip install --pre tflite-micro pyyaml`") from error
    runner = TinyLSTM(model, "portable")  # refuses what TFLM would answer by ending the process
    borders = Borders(ModelFile(model))
    result = np.empty((len(calls), sum(output.size for output in runner.outputs)), np.int8)
    try:
        _interpret(runtime.Interpreter.from_bytes(model, arena_size=_ARENA_BYTES), borders, calls, result)
    except RuntimeError as error:
        raise EngineError(
            "failed",
            f"TFLM refuses this file: {error}, within {_ARENA_BYTES >> 20} MiB (its own words stand above); "
            "next: run it on another engine, or convert it as docs/tinylstm.md shows",
        ) from error
    return result


def _interpret(interpreter: Any, borders: Borders, calls: Int8, result: Int8) -> None:
    """Fills `result` with TFLM's answers."""
    interpreter.reset()
    for call, row in zip(calls, result, strict=True):
        interpreter.set_input((_real(borders.input, call) if borders.float_input else call).reshape(borders.shape), 0)
        interpreter.invoke()
        at = 0
        for i, output in enumerate(borders.outputs):
            values = interpreter.get_output(i).ravel()
            row[at : at + output.size] = output.quantise(values.tolist()) if borders.float_outputs[i] else values
            at += output.size


ENGINES: Mapping[str, Callable[[bytes, Int8], Int8]] = {
    "native": run_native,
    "portable": run_portable,
    "micropython": run_micropython,
    "micropython-native": run_micropython_native,
    "wasm": run_wasm,
    "tflm": run_tflm,
}


def micropython() -> Path | None:
    """The desktop port: ZENMOON_MICROPYTHON, else the checkout's .toolchain, else the search path."""
    named = os.environ.get("ZENMOON_MICROPYTHON")
    built = _TOOLCHAIN / "micropython" / "micropython"
    found = named or (str(built) if built.is_file() else shutil.which("micropython"))
    return Path(found) if found else None


def _run(runner: TinyLSTM, calls: Int8) -> Int8:
    width = sum(output.size for output in runner.outputs)
    return np.frombuffer(runner.run(calls.tobytes()), np.int8).reshape(len(calls), width)


def _run_micropython(model: bytes, calls: Int8, engine: str, folders: list[str]) -> Int8:
    executable = micropython()
    if executable is None:
        raise EngineError("absent", f"MicroPython is not built: {_TOOLCHAIN_COMMAND}")
    if shutil.which(executable) is None:
        raise EngineError(
            "absent", f"{executable} is no program: name MicroPython's in ZENMOON_MICROPYTHON, or unset it; {_TOOLCHAIN_COMMAND}"
        )
    path = ":".join([str(_PACKAGES), *folders, ".frozen"])
    return _run_program(
        model,
        calls,
        name="MicroPython",
        script=("run.py", _ON_MICROPYTHON),
        before=[str(executable), "-X", "heapsize=64m"],
        after=[engine],
        environment={"MICROPYPATH": path},
    )


def _run_program(
    model: bytes,
    calls: Int8,
    *,
    name: str,
    script: tuple[str, str],
    before: Sequence[str],
    after: Sequence[str],
    environment: Mapping[str, str] | None = None,
) -> Int8:
    """Runs `BEFORE SCRIPT MODEL IN OUT AFTER` and gives what it has written to OUT."""
    width = sum(output.size for output in Borders(ModelFile(model)).outputs)
    try:
        with tempfile.TemporaryDirectory() as folder:
            model_file, source, target, program = (Path(folder, part) for part in ("model", "in", "out", script[0]))
            model_file.write_bytes(model)
            source.write_bytes(calls.tobytes())
            program.write_text(script[1])
            done = subprocess.run(
                [*before, str(program), str(model_file), str(source), str(target), *after],
                env={**os.environ, **(environment or {})},
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
            if done.returncode:
                said = (done.stderr or done.stdout).strip()[-400:]
                raise EngineError("failed", f"{name} ended with {done.returncode}: {said}; next: run it on another engine")
            return np.fromfile(target, np.int8).reshape(len(calls), width)
    except OSError as error:
        raise EngineError("failed", f"{name} cannot be run here ({error}); next: run it on another engine") from error


def _real(border: Tensor, call: Int8) -> NDArray[np.float32]:
    return np.array(border.dequantise(call.tolist()), np.float32)
