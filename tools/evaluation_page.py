"""Scores what ships on every public set and writes docs/evaluation.md: `make evaluate`.

Results are kept in docs/evaluation/{stress,exam,nurse,sleep}.json, each for as long as neither the model, the code nor the data
has changed (docs/evaluation/made_from.json): an interrupted run goes on. Without the data only the page is made anew.

Exit codes: 0 = written, 2 = bad data or something is not installed (the message names the cause and the next action).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import evaluate
from results import ROOT, code_hash

DATA = ROOT.parent / "shared" / "data"
RESULTS = ROOT / "docs" / "evaluation"
PAGE = ROOT / "docs" / "evaluation.md"
MADE_FROM = "made_from.json"
CODE = ("models/zenmoon_models", "edge_sdk/zenmoon_edge/core", "edge_sdk/zenmoon_edge/virtual", "edge_sdk/zenmoon_edge/models")
# What a result hangs on beside code: the cards (who was in training) and the float networks.
BESIDE = ("edge_sdk/zenmoon_edge/models/*.json", "models/zenmoon_models/tinylstm/float/*.npz")


class Part(NamedTuple):
    """A part of the page: the task of tools/evaluate.py and the set's folder."""

    task: str
    folder: str


PARTS = {
    "stress": Part("stress", "stress_predict"),
    "exam": Part("stress", "exam_stress"),
    "nurse": Part("stress", "nurse_stress"),
    "sleep": Part("sleep", "walch_sleep_accel"),
}


def made_from(folder: Path) -> str:
    """16 hex digits over everything that a result hangs on: code, models, cards and the bytes of the data."""
    total = hashlib.sha256(code_hash(CODE, "tools/evaluate.py").encode())
    files = [path for pattern in BESIDE for path in ROOT.glob(pattern)]
    files += [path for path in folder.rglob("*") if path.is_file()]
    for path in sorted(files):
        total.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


def score(data: Path, results: Path, *, again: bool = False) -> None:
    """Scores what has no current result; each is written before the next begins.

    Raises:
        evaluate.Refused: bad data, or a package is not installed.
    """
    results.mkdir(exist_ok=True)
    known = results / MADE_FROM
    sources: dict[str, str] = json.loads(known.read_text()) if known.is_file() else {}
    for name, part in PARTS.items():
        if find_spec(f"zenmoon_models.evaluation.{part.task}") is None or not (data / part.folder).is_dir():
            print(f"{name}: nothing to score it with, or no {data / part.folder}", file=sys.stderr)
            continue
        source = made_from(data / part.folder)
        if sources.get(name) == source and (results / f"{name}.json").is_file() and not again:
            print(f"{name}: kept from before", file=sys.stderr)
            continue
        print(f"{name}: scoring {data / part.folder}", file=sys.stderr, flush=True)
        result, _ = evaluate.score(part.task, data / part.folder)
        evaluate.write(results / f"{name}.json", result)
        evaluate.write(known, dict(sorted((sources | {name: source}).items())))
        sources[name] = source


def write_page(results: Path, page: Path) -> None:
    """The page and its pictures from the results that are there."""
    made = import_module("zenmoon_models.evaluation.page")
    found: dict[str, dict[str, Any]] = {
        name: json.loads(path.read_text("utf-8")) for name in PARTS if (path := results / f"{name}.json").is_file()
    }
    tables = {
        name: import_module(f"zenmoon_models.evaluation.{PARTS[name].task}").table(result)
        for name, result in found.items()
        if PARTS[name].task != "stress"
    }
    for name, drawing in made.drawings(found).items():
        (page.parent / name).write_text(drawing, "utf-8")
    page.write_text(made.page(found, tables), "utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="the folder that holds the data sets' folders")
    parser.add_argument("--again", action="store_true", help="score also what has a current result")
    options = parser.parse_args(argv)
    try:
        score(options.data, RESULTS, again=options.again)
        write_page(RESULTS, PAGE)
    except (evaluate.Refused, OSError) as error:
        print(f"evaluation: {error}", file=sys.stderr)
        return 2
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
