"""Ratios against named peers, in one run: `make bench`, or `python tools/bench.py [kernel] [page] [--quick]`.

kernel: instructions of the TinyLSTM kernel on emulated cores, its code and memory, and its time beside TensorFlow Lite Micro on
this machine (kernel_bench/). page: how fast the parents' page is in a browser on a running demo (page_speed.py).
Without a name: both. Writes docs/evaluation/kernel.json and page_speed.json. Exit status: 0, or 1 where a limit is exceeded.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from kernel_bench import report
from kernel_bench.desktop import Differ
from kernel_bench.emulated import EmulationError
from zenmoon_edge.core.errors import EdgeError

EVALUATION = Path(__file__).resolve().parent.parent / "docs" / "evaluation"


def kernel(folder: Path, *, quick: bool) -> bool:
    """Measures the kernel, prints the table, writes the JSON. Returns whether every limit holds."""
    with tempfile.TemporaryDirectory() as work:
        found = report.measure(Path(work), quick=quick)
    print(report.table(found), flush=True)
    (folder / "kernel.json").write_text(json.dumps(found, indent=2) + "\n")
    return report.kept(found)


def page(options: argparse.Namespace, folder: Path) -> bool:
    """The same for the page."""
    import page_speed  # noqa: PLC0415 - the kernel is measured without a browser too
    from shown_demo import shown  # noqa: PLC0415

    with shown(options, "--speed", page_speed.SPEED) as demo:
        found = page_speed.measure(demo)
    print(page_speed.table(found), flush=True)
    (folder / "page_speed.json").write_text(json.dumps(found, indent=2) + "\n")
    return page_speed.kept(found)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=["kernel", "page", []], help="without a name: both")
    parser.add_argument("--quick", action="store_true", help="kernel: fewer rounds and no profile; for a look while working")
    parser.add_argument("--folder", type=Path, default=EVALUATION, help="where the JSON files are written")
    parser.add_argument("--address", help="page: of a running demo; without it one is started and ended again")
    parser.add_argument("--email", default="parent@example.org", help="page: as the running demo has printed it")
    parser.add_argument("--password", help="page: as the running demo has printed it")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    what, held = options.what or ["kernel", "page"], []
    try:
        if "kernel" in what:
            held.append(kernel(options.folder, quick=options.quick))
    except (Differ, EdgeError, EmulationError) as error:
        print(error, file=sys.stderr)
        held.append(False)
    if "page" in what:
        held.append(page(options, options.folder))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
