"""Replays real recordings through the whole path, one after the other, and accounts for every record of each.

    make replay-all                                            26 of stress_predict, three each of exam_stress and nurse_stress
    make replay-all ARGS="--only stress_predict/S05 --again"   one of them anew; a set's name stands for what is chosen of it

A result is kept in docs/evaluation/replay.json for as long as the programs have not changed: an interrupted run goes on, and a
recording that failed is replayed again. Of the sets that are published once a second three sessions are chosen by rule: the
shortest of at least a quarter of an hour, the one furthest off the wrist, and the shortest whose motion sensor is missing.

Exit codes: 0 = every record of every recording is stored exactly once, 1 = one does not balance, 2 = bad input, 3 = interrupted.
"""

from __future__ import annotations

import argparse
import gzip
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from results import PROGRAMS, ROOT, Results, code_hash

try:
    from zenmoon_models.datasets import exam_stress, nurse_stress
    from zenmoon_models.datasets.one_hertz import Session
    from zenmoon_models.errors import ModelsError
except ImportError as absent:
    print(
        f"replay: {absent.name} is not installed here.\nNext: run `make replay-all`, which sets up what it needs", file=sys.stderr
    )
    sys.exit(2)

DATA = ROOT.parent / "shared" / "data"
RESULTS = ROOT / "docs" / "evaluation" / "replay.json"
READERS = "models/zenmoon_models/datasets"  # what becomes of a second is part of what was measured
# Twice this keeps pace on two idle cores too (its p95 is 0.3 s instead of 0.15 s); half of that leaves room for other work.
SPEED = 120.0
AROUND_S = 8.0  # starting and ending a run, until one has been timed
SHORTEST_S = 15 * 60
LONGEST_S = 3.5 * 3600
HANGS_AFTER_S = 300.0  # beyond twice the time that the replay takes
CLEARED_UP_S = 60.0  # what the demo may take to end everything once it is told to
MOST = 3
SHOWN_LINES = 25  # of a run that failed


class Recording(NamedTuple):
    """Something to replay: `name` = set/recording, `seconds` its length, `folder` gives it as an E4 folder.

    `folder` gets an empty place where it may write one.
    """

    name: str
    seconds: int
    folder: Callable[[Path], Path]


class Outcome(NamedTuple):
    """Exit code of a run, its JSON (empty where it wrote none) and what it printed."""

    exit: int
    report: dict[str, Any]
    output: str


Run = Callable[[Path, float], Outcome]
Say = Callable[[str], None]


class Refused(Exception):  # noqa: N818 - reads as what happened
    """Bad input; the text names the cause and the next action."""


def chosen(sessions: Sequence[Session]) -> list[Session]:
    """The three of a set that are replayed: see the module. Where a rule finds none, the next shortest takes its place."""
    long_enough = sorted((s for s in sessions if s.seconds >= SHORTEST_S), key=lambda s: (s.seconds, s.name))
    moving = [s for s in long_enough if s.motion and s.seconds <= LONGEST_S]
    first = moving[:1]
    bare = sorted((s for s in moving if s not in first), key=lambda s: (-s.off_wrist, s.name))[:1]
    picked = [*first, *bare, *[s for s in long_enough if not s.motion][:1]]
    return [*picked, *[s for s in long_enough if s not in picked][: MOST - len(picked)]]


def find(data: Path, only: Sequence[str] = ()) -> list[Recording]:
    """The recordings of a data folder: those that are chosen, or those that are named.

    Raises:
        Refused: A set or a recording is not there, or cannot be read.
    """
    found: list[Recording] = []
    for wanted in only or SETS:
        name = wanted.partition("/")[0]
        if name not in SETS:
            raise Refused(f"{wanted!r} is of no set that is known ({', '.join(SETS)}).\nNext: name it as SET/RECORDING")
        if not (data / name).is_dir():
            raise Refused(f"there is no {name} in {data}.\nNext: name the folder that holds the public data sets with --data")
        try:
            everything, default = SETS[name](data / name)
        except ModelsError as error:
            raise Refused(f"{name}: {error}") from error
        mine = default if wanted == name else [recording for recording in everything if recording.name == wanted]
        if not mine:
            names = ", ".join(recording.name for recording in everything) or "none"
            raise Refused(f"there is no {wanted} in {data}.\nNext: choose one of {names}")
        found += mine
    return list({recording.name: recording for recording in found}.values())


def _stress_predict(folder: Path) -> tuple[list[Recording], list[Recording]]:
    folders = sorted(path for path in folder.glob("S[0-9][0-9]") if path.is_dir())
    everything = [Recording(f"{folder.name}/{path.name}", _length_s(path), _as_it_lies(path)) for path in folders]
    return everything, everything


def _as_it_lies(folder: Path) -> Callable[[Path], Path]:
    return lambda _: folder


def _length_s(folder: Path) -> int:
    """Seconds of an E4 folder by its skin temperature: for the time that is left, not for the accounting."""
    for path, opened in ((folder / "TEMP.csv", Path.open), (folder / "TEMP.csv.gz", gzip.open)):
        if path.is_file():
            with opened(path, "rb") as file:
                return max(0, sum(1 for _ in file) - 2) // 4
    return 0


def _sessions(reader: Any) -> Callable[[Path], tuple[list[Recording], list[Recording]]]:
    """`reader` is a module with `sessions` and `write_e4`, as exam_stress."""

    def recording(folder: Path, session: Session) -> Recording:
        return Recording(f"{folder.name}/{session.name}", session.seconds, lambda new: reader.write_e4(session, new))

    def both(folder: Path) -> tuple[list[Recording], list[Recording]]:
        sessions = reader.sessions(folder)
        everything = {session.name: recording(folder, session) for session in sessions}
        return list(everything.values()), [everything[session.name] for session in chosen(sessions)]

    return both


SETS: dict[str, Callable[[Path], tuple[list[Recording], list[Recording]]]] = {
    "stress_predict": _stress_predict,
    "exam_stress": _sessions(exam_stress),
    "nurse_stress": _sessions(nurse_stress),
}


def balanced(result: dict[str, Any]) -> bool:
    """Every record that was sent is stored once and unaltered, and the run itself said so."""
    wrong = [result.get(key, 1) for key in ("lost", "duplicates", "conflicts", "refused", "altered")]
    wrong.append(result.get("other_kinds", {}).get("lost", 1))
    return result["exit"] == 0 and not any(wrong) and result["records_sent"] == result["records_stored"] > 0


def replay(
    recordings: Sequence[Recording], results: Results, run: Run, *, speed: float, again: bool = False, say: Say = print
) -> bool:
    """Replays what has no balanced result yet; True when at the end everything balances.

    Args:
        recordings: What to replay, in this order.
        results: Where results are kept; every one is written before the next run starts.
        run: Replays an E4 folder at a speed.
        speed: Recording seconds per second. A kept result counts whatever its speed was.
        again: Replay also what has a balanced result.
        say: Gets each line of progress, and the table.
    """
    kept = {recording.name: results.current(recording.name) for recording in recordings}
    todo = [recording for recording in recordings if again or not balanced(kept[recording.name] or {"exit": None})]
    say(f"{len(recordings)} recordings, {len(recordings) - len(todo)} of them kept from before")
    around: list[float] = []
    for number, recording in enumerate(todo, 1):
        each = sum(around) / len(around) if around else AROUND_S
        left_s = sum(r.seconds / speed + each for r in todo[number - 1 :])
        say(f"[{number}/{len(todo)}] {recording.name}: {recording.seconds} s at {speed:g} times, about {_minutes(left_s)} left")
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="zenmoon-replay-") as temporary:
            try:
                outcome = run(recording.folder(Path(temporary) / recording.name.rpartition("/")[2]), speed)
            except ModelsError as error:  # one session that cannot be read keeps none of the others from being replayed
                outcome = Outcome(2, {}, str(error))
        around.append(max(0.0, time.monotonic() - started - recording.seconds / speed))
        result = results.keep(
            recording.name, {**outcome.report, "exit": outcome.exit, "speed": speed, "recording_s": recording.seconds}
        )
        kept[recording.name] = result
        if balanced(result):
            say(f"      {result['records_sent']} records, each stored exactly once, in {time.monotonic() - started:.0f} s")
        else:
            say("\n".join([*outcome.output.splitlines()[-SHOWN_LINES:], f"      FAILED (exit {outcome.exit})"]))
    for line in table({name: result for name, result in kept.items() if result}):
        say(line)
    return all(balanced(result or {"exit": None}) for result in kept.values())


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def table(results: dict[str, dict[str, Any]]) -> list[str]:
    """What was measured, a line each; a – where a run did not come that far."""
    lines = [f"{'recording':<32}{'seconds':>8}{'times':>6}{'sent':>7}{'stored':>7}{'p95 ms':>8}{'wall s':>8}  account"]
    for name, result in results.items():
        numbers = [result.get(key, "–") for key in ("recording_s", "speed", "records_sent", "records_stored")]
        latency = (result.get("latency_ms") or {}).get("p95", "–")
        row = "".join(f"{value:>{width}}" for value, width in zip([*numbers, latency], (8, 6, 7, 7, 8), strict=True))
        word = "balanced" if balanced(result) else "DOES NOT BALANCE" if "records_sent" in result else f"exit {result['exit']}"
        lines.append(f"{name:<32}{row}{result.get('wall_s', '–'):>8}  {word}")
    good = [result for result in results.values() if balanced(result)]
    sent = sum(result["records_sent"] for result in good)
    hours = sum(result["recording_s"] for result in good) / 3600
    return [*lines, f"{len(good)} of {len(results)} balance: {sent} records of {hours:.1f} h, each stored exactly once"]


def demo(folder: Path, speed: float) -> Outcome:
    """Runs `tools/demo.py` on a folder, as a user does. A run that hangs is ended and counts as failed."""
    with tempfile.TemporaryDirectory(prefix="zenmoon-replay-") as temporary:
        report, log = Path(temporary) / "report.json", Path(temporary) / "output.txt"
        command = [sys.executable, str(ROOT / "tools" / "demo.py"), "--once", "--recording", str(folder)]
        command += ["--speed", f"{speed:g}", "--json", str(report)]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
            try:
                process.wait(HANGS_AFTER_S + 2 * _length_s(folder) / speed)
            except subprocess.TimeoutExpired:
                output.write(b"no end within twice the time that it takes\n")
            finally:
                # Interrupted here, the demo may be as well; in either case it has to clear up before we go on.
                code = _ended(process)
        found = json.loads(report.read_text()) if report.exists() else {}
        return Outcome(code, found, log.read_text(errors="replace"))


def _ended(process: subprocess.Popen[bytes]) -> int:
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(CLEARED_UP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def arguments() -> argparse.Namespace:
    """Parses and checks the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR", default=DATA, help="holds the public data sets (../shared/data)")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="a set, or SET/RECORDING; may be repeated")
    parser.add_argument("--speed", type=float, default=SPEED, help=f"recording seconds per second (default {SPEED:g})")
    parser.add_argument("--again", action="store_true", help="replay also what has a balanced result")
    parser.add_argument("--results", type=Path, metavar="FILE", default=RESULTS, help="where results are kept")
    options = parser.parse_args()
    if not 0.1 <= options.speed <= 240:
        parser.error("--speed takes 0.1 to 240. Next: choose a speed in that range")
    if not options.results.resolve().parent.is_dir():
        parser.error(f"--results: the folder {options.results.resolve().parent} does not exist. Next: create it")
    return options


def main() -> int:
    """Command line."""
    options = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        recordings = find(options.data, options.only)
        results = Results(options.results, code_hash((*PROGRAMS, READERS)))
        everything = replay(
            recordings, results, demo, speed=options.speed, again=options.again, say=lambda line: print(line, flush=True)
        )
    except Refused as error:
        print(f"replay: {error}", file=sys.stderr)
        return 2
    except json.JSONDecodeError as error:
        print(f"replay: {options.results} is no JSON ({error}).\nNext: restore it or take it away", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nreplay: interrupted. Next: run it again, it goes on with what is left", file=sys.stderr)
        return 3
    return 0 if everything else 1


if __name__ == "__main__":
    sys.exit(main())
