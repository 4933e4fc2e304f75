"""The command line as a test calls it: the engines that are here, a file that no training changes, steps to run."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest
import zenmoon_edge.models
from zenmoon_edge import native
from zenmoon_edge.tinylstm import engines
from zenmoon_edge.tinylstm.__main__ import main

MODEL = Path(__file__).parent / "portable" / "small.tflite"  # no training changes it
SHIPPED = sorted(Path(zenmoon_edge.models.__file__).parent.glob("*.tflite"))
NATIVE = Path(__file__).resolve().parents[2] / ".toolchain" / "native"
BUILD = "python tools/toolchain.py"

needs_tflm = pytest.mark.skipif(importlib.util.find_spec("tflite_micro") is None, reason="needs tflite-micro")
ENGINES = [
    pytest.param("native", marks=pytest.mark.skipif(native.kernel() is None, reason=f"needs the kernel: {BUILD}")),
    "portable",
    pytest.param("micropython", marks=pytest.mark.skipif(engines.micropython() is None, reason=f"needs MicroPython: {BUILD}")),
    pytest.param(
        "micropython-native",
        marks=pytest.mark.skipif(
            engines.micropython() is None or not (NATIVE / "x64" / "_tinylstm.mpy").is_file(),
            reason=f"needs MicroPython and the native module for x64: {BUILD}",
        ),
    ),
    pytest.param(
        "wasm",
        marks=pytest.mark.skipif(
            shutil.which("node") is None or not (NATIVE / "tinylstm.wasm").is_file(),
            reason=f"needs Node and the WebAssembly kernel (clang): {BUILD}",
        ),
    ),
]


def steps(kind: str, n: int = 400) -> np.ndarray:
    random = np.random.default_rng(5)
    if kind == "saturating":
        return random.choice([-128, 127], (n, 8)).astype(np.int8)
    if kind == "wide":
        return random.integers(-128, 128, (n, 8)).astype(np.int8)
    return np.clip(random.normal(0, 25, (n, 8)), -128, 127).astype(np.int8)


def run(tmp_path: Path, engine: str | None, values: np.ndarray, model: Path = MODEL) -> np.ndarray:
    source, target = tmp_path / "in.npy", tmp_path / "out.npy"
    np.save(source, values)
    chosen = ["--engine", engine] if engine else []
    assert main(["run", str(model), "--input", str(source), "--output", str(target), *chosen]) == 0
    return np.load(target)


def written(tmp_path: Path, model: bytes) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(model)
    return path
