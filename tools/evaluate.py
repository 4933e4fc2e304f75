"""Scores what ships on a data folder: `python tools/evaluate.py {stress,sleep} --data DIR [--json FILE]`.

    stress   the wearable's strain on a folder in the layout of stress_predict, exam_stress or nurse_stress
    sleep    sleep and wake, in the layout of walch_sleep_accel

The model is the shipped file and is never fitted on DIR; controls are, leaving the person out that they are scored on. Tables
are found by their columns and unknown files are ignored. The table goes to standard output, progress to standard error, and the
same folder gives the same bytes in FILE. What the keys of the JSON mean: docs/evaluation.md.

Exit codes: 0 = scored, 2 = bad data or something is not installed (the message names the cause and the next action).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

# One thread a process: the recordings are read in two processes, and sums of several threads are not always the same.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

TASKS = {"stress": "the wearable's strain", "sleep": "sleep and wake"}


class Refused(Exception):  # noqa: N818 - reads as what happened
    """Nothing was scored; the text names the cause and the next action."""


def score(task: str, data: Path) -> tuple[dict[str, Any], str]:
    """The figures of a task and their table.

    Raises:
        Refused: bad data, or a package is not installed.
    """
    try:
        module = import_module(f"zenmoon_models.evaluation.{task}")
        errors = import_module("zenmoon_models.errors")
    except ImportError as absent:
        raise Refused(f"{absent.name} is not installed here.\nNext: run `make test`, which sets up what this needs") from absent
    try:
        result = module.evaluate(data)
        return result, module.table(result)
    except errors.ModelsError as error:
        raise Refused(error.detail) from error


def write(path: Path, result: dict[str, Any]) -> None:
    """Writes the figures, whole or not at all."""
    draft = path.with_name(path.name + ".new")
    draft.write_text(json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    draft.replace(path)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = parser.add_subparsers(dest="task", required=True)
    for name, what in TASKS.items():
        task = tasks.add_parser(name, help=what)
        task.add_argument("--data", type=Path, required=True, metavar="DIR", help="the folder of the recordings")
        task.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    options = parser.parse_args(argv)
    try:
        if options.json and not options.json.absolute().parent.is_dir():
            raise Refused(f"{options.json} cannot be written: its folder is not there.\nNext: make the folder")
        result, table = score(options.task, options.data)
        if options.json:
            write(options.json, result)
    except (Refused, OSError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
