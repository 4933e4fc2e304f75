"""A simulated child at the command line. Simulated, not validated on people.

    python -m zenmoon_edge.simulator history --days 60 --end 2026-11-21T10:00+00:00 --zone Europe/Berlin --seed 7 --out FILE.jsonl
    python -m zenmoon_edge.simulator recording --begin 2026-11-20T08:00:00+00:00 --seconds 3600 --seed 7 --out DIR
    python -m zenmoon_edge.simulator recording --lesson --seed 7 --out DIR
    python -m zenmoon_edge.simulator draw --days 7 --end 2026-11-21T00:00:00+01:00 --seed 7 --out week.svg

Exit codes: 0 = done, 2 = the input or the output cannot be used.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from zenmoon_edge.simulator.calendar import Calendar, Trip
from zenmoon_edge.simulator.child import Child
from zenmoon_edge.simulator.epochs import METRICS
from zenmoon_edge.simulator.errors import SimulatorError
from zenmoon_edge.simulator.items import history, source_of
from zenmoon_edge.simulator.picture import week
from zenmoon_edge.simulator.recordings import write_lesson_with_test, write_recording
from zenmoon_edge.simulator.truth import Truth, truth


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    child = argparse.ArgumentParser(add_help=False)
    child.add_argument("--seed", type=int, default=7, help="another seed is another child (default 7)")
    child.add_argument("--age", type=float, default=10.0, help="years, 6 to 16 (default 10)")
    child.add_argument("--zone", default="Europe/Berlin", help="IANA zone at home (default Europe/Berlin)")
    child.add_argument("--holiday", type=_holiday, action="append", default=[], metavar="FIRST:LAST", help="days without school")
    child.add_argument("--trip", type=_trip, action="append", default=[], metavar="DAY:ZONE", help="a journey to another zone")
    span = argparse.ArgumentParser(add_help=False)
    span.add_argument("--days", type=float, default=60.0, help="length (default 60; a week for draw)")
    span.add_argument("--end", type=_moment, help="ISO 8601 with its zone (default now)")

    parser = argparse.ArgumentParser(
        prog="zenmoon_edge.simulator", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    items = commands.add_parser("history", parents=[child, span], help="epoch and sleep items, one JSON object a line")
    items.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    items.add_argument("--truth", type=Path, metavar="FILE.npz", help="also write what nobody can measure")
    recording = commands.add_parser("recording", parents=[child], help="an Empatica E4 folder for the virtual wearable")
    recording.add_argument("--out", type=Path, required=True, metavar="DIR")
    recording.add_argument("--seconds", type=int, default=3600, help="length (default 3600)")
    what = recording.add_mutually_exclusive_group(required=True)
    what.add_argument("--begin", type=_moment, help="from the child's life, ISO 8601 with its zone")
    what.add_argument("--lesson", action="store_true", help="an hour of lessons with a test from minute 12 on")
    draw = commands.add_parser("draw", parents=[child, span], help="the days as a picture")
    draw.add_argument("--out", type=Path, required=True, metavar="FILE.svg")
    draw.set_defaults(days=7.0)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    options = arguments(argv)
    try:
        calendar = Calendar(zone=options.zone, holidays=options.holiday, trips=sorted(options.trip))
        child = Child.drawn(options.seed, age=options.age, calendar=calendar)
        done = {"history": _history, "recording": _recording, "draw": _draw}[options.command](child, options)
    except SimulatorError as error:
        print(f"simulator: {error.detail}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"simulator: {error}. Next: choose an --out that can be written", file=sys.stderr)
        return 2
    print(f"{done} (simulated, not validated on people)")
    return 0


def _history(child: Child, options: argparse.Namespace) -> str:
    begin, end = _span(options)
    kinds: dict[str, int] = {}
    with options.out.open("w", encoding="utf-8") as file:
        for item in history(child, begin, end, source_of(child)):
            kinds[item["kind"]] = kinds.get(item["kind"], 0) + 1
            file.write(json.dumps(item, separators=(",", ":"), allow_nan=False) + "\n")
    if options.truth:
        _write_truth(options.truth, truth(child, begin, end))
    counted = ", ".join(f"{count} of {kind}" for kind, count in kinds.items())
    return f"{options.out}: {counted or 'no items: the band lay on its charger'}"


def _recording(child: Child, options: argparse.Namespace) -> str:
    if options.lesson:
        write_lesson_with_test(child, options.out, seconds=options.seconds)
    else:
        write_recording(child, options.begin, options.seconds, options.out)
    return f"{options.out}: {options.seconds} s"


def _draw(child: Child, options: argparse.Namespace) -> str:
    options.out.write_text(week(truth(child, *_span(options))), "utf-8")
    return str(options.out)


def _write_truth(path: Path, known: Truth) -> None:
    with path.open("wb") as file:
        metrics: dict[str, Any] = {name: known.epochs.values[:, number] for number, name in enumerate(METRICS)}
        np.savez_compressed(
            file,
            ts_ms=known.ts_ms,
            zone_offset_s=known.zone_offset_s,
            strain=known.strain,
            engagement=known.engagement,
            stage=known.stage,
            activity=known.activity,
            worn=known.worn,
            alarm_wanted=known.alarm_wanted,
            coverage=known.epochs.coverage,
            quality=known.epochs.quality,
            sent=known.epochs.working,
            chronotype_h=known.child.chronotype_h,
            **metrics,
        )


def _span(options: argparse.Namespace) -> tuple[datetime, datetime]:
    end = options.end or datetime.now(UTC)
    return end - timedelta(days=options.days), end


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text} has no zone: write it like 2026-11-21T00:00:00+00:00")
    return moment


def _holiday(text: str) -> tuple[date, date]:
    first, _, last = text.partition(":")
    return date.fromisoformat(first), date.fromisoformat(last or first)


def _trip(text: str) -> Trip:
    day, _, zone = text.partition(":")
    return Trip(date.fromisoformat(day), zone)


if __name__ == "__main__":
    sys.exit(main())
