"""Runs any int8 TinyLSTM file on the engines that are here, and compares them.

    python -m zenmoon_edge.tinylstm run MODEL.tflite --input IN.npy --output OUT.npy --engine portable
    python -m zenmoon_edge.tinylstm verify MODEL.tflite

IN is float32 (quantised half away from zero, clamped) or int8, `[steps, features]`. OUT is int8, all output tensors side
by side in the file's order, one row per call of the model: one per step, or one per window for a file that holds T > 1
steps (then `steps` must be a multiple of T). State is reset once, before the first step.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zenmoon_edge.core.errors import EdgeError
from zenmoon_edge.core.tinylstm import TinyLSTM

Int8 = NDArray[np.int8]

_ARENA_BYTES = 1 << 20  # TFLM ends the process when its arena is too small; wearables' models need a few KB
_VERIFY_CALLS = 400
_PACKAGES = Path(__file__).resolve().parents[1]
_ON_MICROPYTHON = """
import sys
from zenmoon_edge.core.tinylstm import TinyLSTM
with open(sys.argv[1], "rb") as file:
    model = TinyLSTM(file.read())
with open(sys.argv[2], "rb") as source, open(sys.argv[3], "wb") as target:
    while True:
        step = source.read(model.input_size)
        if not step:
            break
        target.write(bytes([q & 255 for q in model.step([q - 256 if q > 127 else q for q in step])]))
"""


class EngineError(EdgeError):
    """An engine that cannot run: `absent` (detail names the command that installs it), `failed`, `input`."""


def quantise(model: TinyLSTM, values: NDArray[Any]) -> Int8:
    """IN as int8 `[calls, values per call]`.

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
        quotient = values / np.float32(scale)
        rounded = np.trunc(quotient + np.copysign(np.float32(0.5), quotient))
        values = np.clip(rounded.astype(np.float64) + zero_point, -128, 127).astype(np.int8)
    elif values.dtype != np.int8:
        raise EngineError("input", f"the input is {values.dtype}, not float32 or int8")
    return values.reshape(-1, model.input_size)


def run_portable(model: bytes, calls: Int8) -> Int8:
    """This package's runner under CPython."""
    runner = TinyLSTM(model)
    return _rows([runner.step(row) for row in calls.tolist()], runner)


def run_micropython(model: bytes, calls: Int8) -> Int8:
    """The same runner under MicroPython's desktop port.

    Raises:
        EngineError: `absent` or `failed`.
    """
    executable = micropython()
    if executable is None:
        raise EngineError("absent", "MicroPython is not built: run `python tools/toolchain.py`")
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("model", "in", "out", "run.py")]
        paths[0].write_bytes(model)
        paths[1].write_bytes(calls.tobytes())
        paths[3].write_text(_ON_MICROPYTHON)
        done = subprocess.run(
            [str(executable), str(paths[3]), *map(str, paths[:3])],
            env={**os.environ, "MICROPYPATH": f"{_PACKAGES}:.frozen"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise EngineError("failed", f"MicroPython: {(done.stderr or done.stdout).strip()[-400:]}")
        return np.fromfile(paths[2], np.int8).reshape(len(calls), -1)


def run_tflm(model: bytes, calls: Int8) -> Int8:
    """TensorFlow Lite Micro itself, from its wheel.

    Raises:
        EngineError: `absent`.
    """
    try:
        runtime = import_module("tflite_micro").runtime
    except ImportError as error:
        raise EngineError("absent", f"TFLM is not installed ({error.name}): run `pip install --pre tflite-micro pyyaml`") from error
    runner = TinyLSTM(model)  # refuses what TFLM would answer by ending the process
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=_ARENA_BYTES)
    interpreter.reset()
    rows = []
    for row in calls:
        interpreter.set_input(row.reshape(runner.input.shape), 0)
        interpreter.invoke()
        rows.append(np.concatenate([interpreter.get_output(i).ravel() for i in range(len(runner.outputs))]))
    return _rows(rows, runner)


ENGINES: dict[str, Callable[[bytes, Int8], Int8]] = {
    "portable": run_portable,
    "micropython": run_micropython,
    "tflm": run_tflm,
}


def verify(model: bytes, *, calls: int = _VERIFY_CALLS, seed: int = 1) -> tuple[dict[str, int], dict[str, str]]:
    """Runs every engine on the same random steps, half of them over the whole range and half of ordinary size.

    Returns:
        (calls whose output differs from the portable engine's, per engine that ran; why the others did not run).
    """
    runner = TinyLSTM(model)
    random = np.random.default_rng(seed)
    wide = random.integers(-128, 128, (calls, runner.input_size))
    ordinary = random.normal(0, 30, (calls, runner.input_size))
    steps = np.clip(np.where(np.arange(calls)[:, None] % 2, wide, ordinary), -128, 127).astype(np.int8)
    reference = run_portable(model, steps)
    different: dict[str, int] = {}
    absent: dict[str, str] = {}
    for name, engine in ENGINES.items():
        try:
            different[name] = int((engine(model, steps) != reference).any(axis=1).sum())
        except EngineError as error:
            if error.reason != "absent":
                raise
            absent[name] = error.detail
    return different, absent


def micropython() -> Path | None:
    """The desktop port: ZENMOON_MICROPYTHON, else the checkout's .toolchain, else the search path."""
    named = os.environ.get("ZENMOON_MICROPYTHON")
    built = _PACKAGES.parent / ".toolchain" / "micropython" / "micropython"
    found = named or (str(built) if built.is_file() else shutil.which("micropython"))
    return Path(found) if found else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done (verify: all equal), 1 engines differ, 2 refused; the message names the cause and what to do."""
    parser = argparse.ArgumentParser(prog="python -m zenmoon_edge.tinylstm", description="Runs int8 TinyLSTM files.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run one engine")
    run.add_argument("model", type=Path)
    run.add_argument("--input", type=Path, required=True, help="float32 or int8 [steps, features], .npy")
    run.add_argument("--output", type=Path, required=True, help="int8 [steps, outputs], .npy")
    run.add_argument("--engine", choices=ENGINES, default="portable")
    check = commands.add_parser("verify", help="run all engines and compare")
    check.add_argument("model", type=Path)
    options = parser.parse_args(arguments)
    try:
        model = options.model.read_bytes()
        if options.command == "verify":
            return _report(*verify(model))
        steps = np.load(options.input, allow_pickle=False)
        if not isinstance(steps, np.ndarray):
            raise ValueError(f"{options.input} is no .npy file of one array: save the steps with numpy.save")
        calls = quantise(TinyLSTM(model), steps)
        with options.output.open("wb") as file:
            np.save(file, ENGINES[options.engine](model, calls))
    except (EdgeError, EOFError, OSError, ValueError) as error:
        print(error.detail if isinstance(error, EngineError) else error, file=sys.stderr)
        return 2
    return 0


def _report(different: dict[str, int], absent: dict[str, str]) -> int:
    for name, count in different.items():
        print(f"{name:12} {'equal' if not count else f'{count} of {_VERIFY_CALLS} calls differ'}")
    for name, reason in absent.items():
        print(f"{name:12} not here: {reason}")
    return 1 if any(different.values()) else 0


def _rows(rows: Sequence[Any], runner: TinyLSTM) -> Int8:
    width = sum(output.size for output in runner.outputs)
    return np.array(rows, np.int8).reshape(len(rows), width)


if __name__ == "__main__":
    sys.exit(main())
