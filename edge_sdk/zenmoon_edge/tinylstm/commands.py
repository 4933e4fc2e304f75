"""The commands that need numpy.

    python -m zenmoon_edge.tinylstm run MODEL.tflite --input IN.npy --output OUT.npy [--engine ENGINE]
    python -m zenmoon_edge.tinylstm inspect MODEL.tflite [--json]
    python -m zenmoon_edge.tinylstm verify MODEL.tflite

IN is float32 (quantised half away from zero, clamped) or int8, `[steps, features]`. OUT is int8, all output tensors side by side
in the file's order, one row per call of the model: one per step, or one per window for a file that holds T > 1 steps (then
`steps` must be a multiple of T). State is reset once, before the first step. Files with float32 borders take the same IN and give
the same int8 OUT: the integers that their QUANTIZE makes and that their DEQUANTIZE is handed.
"""

import argparse
import json
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zenmoon_edge import native
from zenmoon_edge.core.errors import EdgeError
from zenmoon_edge.core.tinylstm import TinyLSTM
from zenmoon_edge.tinylstm.engines import ENGINES, quantise
from zenmoon_edge.tinylstm.inspection import inspect, table
from zenmoon_edge.tinylstm.verification import compare


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status; where it is not 0, a message names the cause and what to do.

    0: done; of `verify`: all that ran are equal, and TFLM alone may refuse the file. 1: engines differ. 2: refused.
    """
    options = _parser().parse_args(arguments)
    try:
        model = _read(options.model)
        if options.command == "inspect":
            found = inspect(model)
            print(json.dumps(found, indent=1) if options.json else table(found))
            return 0
        if options.command == "verify":
            return _report(*compare(model))
        _run(model, options.input, options.output, options.engine)
    except EdgeError as error:
        print(sentence(error), file=sys.stderr)
        return 2
    except OSError as error:
        print(error, file=sys.stderr)
        return 2
    except MemoryError:
        print("This takes more memory than there is: give fewer steps, or a smaller model", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m zenmoon_edge.tinylstm", description="Runs int8 TinyLSTM files.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run one engine")
    run.add_argument("model", type=Path)
    run.add_argument("--input", type=Path, required=True, help="float32 or int8 [steps, features], .npy")
    run.add_argument("--output", type=Path, required=True, help="int8 [steps, outputs], .npy")
    run.add_argument("--engine", choices=ENGINES, help="default: native where it is built, else portable")
    look = commands.add_parser("inspect", help="show operators, tensors, state and cost")
    look.add_argument("model", type=Path)
    look.add_argument("--json", action="store_true", help="for programs")
    check = commands.add_parser("verify", help="run all engines and compare")
    check.add_argument("model", type=Path)
    commands.add_parser("build", help="compile the native kernel for this user")
    return parser


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OSError(f"{path} cannot be read ({error.strerror}): give the path of a .tflite file") from error


def _steps(path: Path) -> NDArray[Any]:
    next_action = "save the steps with numpy.save, as one array of float32 or int8"
    try:
        with path.open("rb") as file:
            steps = np.load(file, allow_pickle=False)
    except MemoryError as error:
        raise OSError(f"{path} says that it holds more than the memory takes: {next_action}") from error
    except OSError as error:
        raise OSError(f"{path} cannot be read ({error.strerror or error}): give the path of a .npy file") from error
    except (EOFError, ValueError, zipfile.BadZipFile) as error:  # numpy's words would advise to unpickle what nobody knows
        raise OSError(f"{path} is no .npy file of numbers, or damaged: {next_action}") from error
    if not isinstance(steps, np.ndarray):
        steps.close()
        raise OSError(f"{path} is no .npy file of one array: {next_action}")
    return steps


def _run(model: bytes, source: Path, target: Path, engine: str | None) -> None:
    engine = engine or ("native" if native.kernel() else "portable")
    result = ENGINES[engine](model, quantise(TinyLSTM(model, "portable"), _steps(source)))
    try:
        with target.open("wb") as file:
            np.save(file, result)
    except OSError as error:
        raise OSError(f"{target} cannot be written ({error.strerror or error}): give a path in a folder of your own") from error


def _report(different: dict[str, int], refused: dict[str, str], absent: dict[str, str]) -> int:
    for name, count in different.items():
        print(f"{name:20}{f'{count} calls differ' if count else 'equal'}")
    for name, said in refused.items():
        print(f"{name:20}refuses it: {said}")
    for name, reason in absent.items():
        print(f"{name:20}not here: {reason}")
    if any(different.values()):
        return 1
    return 2 if set(refused) - {"tflm"} else 0  # TFLM's limits are its own; ours all take the same files


_NEXT = {
    "identifier": "give a .tflite file",
    "truncated": "the file is damaged; get it again",
    "schema": "convert the model as docs/tinylstm.md shows; `inspect` lists what is in it",
    "operator": "convert the model as docs/tinylstm.md shows; `inspect` lists what is in it",
    "type": "quantise everything to int8, as docs/tinylstm.md shows",
    "shape": "give the model an input of [1, steps, features], as docs/tinylstm.md shows",
    "scale": "quantise again with representative data, as docs/tinylstm.md shows",
    "range": "train with smaller weights and biases (a weight decay is enough), or with fewer units",
}


def sentence(error: EdgeError) -> str:
    """Cause and next action. The errors of engines and of the kernel's build say theirs in `detail`."""
    if error.reason not in _NEXT:
        return error.detail
    return f"refused ({error.reason}): {error.detail}. Next: {_NEXT[error.reason]}"
