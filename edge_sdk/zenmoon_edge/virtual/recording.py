"""Reads an Empatica E4 folder: NAME.csv or NAME.csv.gz for ACC, EDA, TEMP (required), BVP, HR and IBI.

A file holds its start (unix seconds, UTC), its rate in Hz and then one sample a line; IBI holds its start and
then `offset_s,interval_s`. Every sample is placed by its own file's start (HR begins ten seconds after the rest).

What is refused (RecordingError): a folder or required file that is not there or holds no sample, a start that
cannot be read, a rate that is not the sensor's, starts that do not belong together.
What is tolerated (a line in `Recording.warnings`, the samples concerned are absent): a missing or emptied BVP, HR
or IBI, a compressed stream or last line that was cut off, samples that are no finite number, and a
signal that ends early. A recording is as long as its longest sampled signal, so a truncated
BVP takes away the contact bit and not the rest of the day; a started second at the end is dropped. Empty lines at
the end of a file are no samples; between samples each stands for an absent one.
"""

import gzip
import math
import zlib
from array import array
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple

from zenmoon_edge.core.errors import EdgeError
from zenmoon_edge.core.second import Second

REPLAY_MAGIC = b"ZMR1"
_STARTS_APART_S = 600  # files of one session start within seconds of each other
_CONSECUTIVE_S = 0.05  # a beat follows the one before if its offset agrees with its interval this well
_LATEST_START = 253_402_300_800  # the year 10000, where calendars end
_LONGEST_LINE = 1024  # bytes; three numbers take 30
_INTERVALS = 255  # beats and gaps that a packed second can hold; a heart gives it five

Sample = tuple[float, ...] | None


class RecordingError(EdgeError):
    """A recording that cannot be replayed: `missing`, `empty`, `start`, `rate`. `detail` names cause and next action."""


class _Signal(NamedTuple):
    name: str
    rate: int
    columns: int
    required: bool


_SIGNALS = (
    _Signal("ACC", 32, 3, True),
    _Signal("EDA", 4, 1, True),
    _Signal("TEMP", 4, 1, True),
    _Signal("BVP", 64, 1, False),
    _Signal("HR", 1, 1, False),
)


class Recording:
    """One Empatica E4 folder. `open` checks the heads of all files; samples are read as `seconds` goes on.

    Attributes:
        folder: where it lies.
        start: UTC of the first second.
        warnings: what was tolerated, in plain words; complete once `seconds` has come to its end.
    """

    def __init__(self, folder: Path, starts: dict[str, float], warnings: list[str]) -> None:
        self.folder = folder
        self.warnings = warnings
        self._starts = starts
        self._origin = min(starts.values())
        self.start = datetime.fromtimestamp(self._origin, UTC)

    @classmethod
    def open(cls, folder: Path | str) -> "Recording":
        """Opens a folder.

        Raises:
            RecordingError: see the module.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise RecordingError("missing", f"{folder} is not a folder: name the folder of an Empatica E4 session")
        starts: dict[str, float] = {}
        warnings: list[str] = []
        for signal in _SIGNALS:
            start = _head(folder, signal, warnings)
            if start is not None:
                starts[signal.name] = start
        if max(starts.values()) - min(starts.values()) > _STARTS_APART_S:
            listed = ", ".join(f"{name} {start:.0f}" for name, start in starts.items())
            raise RecordingError("start", f"the files of {folder} start too far apart ({listed}): one session per folder")
        return cls(folder, starts, warnings)

    def seconds(self) -> Iterator[Second]:
        """Every whole second from the first start to the end of the longest signal; ticks count from 0."""
        streams = {
            signal.name: _samples(self.folder, signal, self._starts[signal.name] - self._origin, self.warnings)
            for signal in _SIGNALS
            if signal.name in self._starts
        }
        beats = self._intervals()
        ended: dict[str, int] = {}
        index = 0
        while True:
            taken: dict[str, list[Sample]] = {}
            whole = False
            for signal in _SIGNALS:
                stream = streams.get(signal.name)
                samples = list(islice(stream, signal.rate)) if stream else []
                whole = whole or len(samples) == signal.rate
                if stream and len(samples) < signal.rate:
                    ended.setdefault(signal.name, index)
                taken[signal.name] = samples
            if not whole:
                break
            yield _second(index, taken, beats.get(index, []))
            index += 1
        self.warnings.extend(
            f"{name} ends after {at} of {index} s" for name, at in ended.items() if at < index - _STARTS_APART_S / 60
        )

    def write_replay(self, path: Path | str, limit_s: int | None = None) -> int:
        """Writes the seconds as a replay file: b"ZMR1", then `u16 length | packed second` for each.

        Args:
            path: the file to write.
            limit_s: stop after so many seconds; None = all.

        Returns:
            The number of seconds written.
        """
        count = 0
        with Path(path).open("wb") as file:
            file.write(REPLAY_MAGIC)
            for second in islice(self.seconds(), limit_s):
                packed = second.pack()
                file.write(len(packed).to_bytes(2, "little") + packed)
                count += 1
        return count

    def _intervals(self) -> dict[int, list[float]]:
        """Second → intervals in ms that end in it; a 0 stands where beats were missed."""
        path = _find(self.folder, "IBI")
        lines = _lines(path, self.warnings) if path else iter(())
        first = next(lines, "").split(",")[0]
        if path is None or not first.strip():
            self.warnings.append("IBI is missing or empty: no heart rate variability")
            return {}
        start = _number(first)
        if start is None:
            raise RecordingError("start", f"{path}: the first line {first[:40]!r} is no start time: restore the file")
        offset_s = start - self._origin
        if abs(offset_s) > _STARTS_APART_S:
            raise RecordingError("start", f"{path} starts {offset_s:.0f} s from the other files: one session per folder")
        seconds: dict[int, list[float]] = {}
        previous = -math.inf
        unreadable = 0
        for line in filter(None, lines):
            row = _row(line, 2)
            if row is None:
                unreadable += 1
                continue
            at, interval = row
            here = seconds.setdefault(math.floor(at + offset_s), [])
            if len(here) > _INTERVALS - 2:
                unreadable += 1
                continue
            if abs(at - previous - interval) > _CONSECUTIVE_S:
                here.append(0.0)
            here.append(round(min(6.5535, max(0.0, interval)) * 10_000) / 10)
            previous = at
        if unreadable:
            self.warnings.append(f"IBI: {unreadable} unreadable lines left out")
        if not seconds:
            self.warnings.append("IBI holds no beats: no heart rate variability")
        return seconds


def _second(index: int, taken: dict[str, list[Sample]], intervals: list[float]) -> Second:
    def column(name: str) -> list[float]:
        return [sample[0] for sample in taken[name] if sample is not None]

    rate = column("HR")
    return Second(
        tick_ms=(index + 1) * 1000,
        acc=[_bounded(value, 127) for sample in taken["ACC"] if sample is not None for value in sample],
        bvp=[_bounded(value * 10, 32767) for value in column("BVP")],
        # In single precision a number can still turn out infinite.
        eda_us=[value for value in array("f", column("EDA")) if math.isfinite(value)],
        temperature_c=[_bounded(value * 100, 32767) / 100 for value in column("TEMP")],
        heart_rate_bpm=_bounded(rate[0] * 100, 65534) / 100 if rate and rate[0] > 0 else None,
        intervals_ms=intervals,
    )


def _bounded(value: float, highest: int) -> int:
    return math.floor(max(-highest - 1, min(highest, value)) + 0.5)


def _find(folder: Path, name: str) -> Path | None:
    for path in (folder / f"{name}.csv", folder / f"{name}.csv.gz"):
        if path.is_file():
            return path
    return None


def _lines(path: Path, warnings: list[str]) -> Iterator[str]:
    """Whole lines only: what a truncated stream or a last line without its end held is left out."""
    try:
        with path.open("rb") as raw:
            file: IO[bytes] = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw  # type: ignore[assignment]
            # Never more than a line in memory, whatever the file is.
            for line in iter(lambda: file.readline(_LONGEST_LINE), b""):
                if not line.endswith(b"\n"):
                    # Whether digits were lost cannot be seen.
                    warnings.append(f"{path.name}: the last line has no end and was left out")
                    return
                yield line.decode("ascii", "replace").strip()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        warnings.append(f"{path.name} is damaged or cut off ({error}); what comes before is used")


def _head(folder: Path, signal: _Signal, warnings: list[str]) -> float | None:
    """Checks start and rate; the start, or None for an optional file that is not there."""
    path = _find(folder, signal.name)
    if path is None:
        if signal.required:
            raise RecordingError("missing", f"{folder} has no {signal.name}.csv or {signal.name}.csv.gz: copy it there")
        warnings.append(f"{signal.name} is missing: its values are absent")
        return None
    lines = _lines(path, [])
    start_line, rate_line = next(lines, ""), next(lines, "")
    if not start_line:
        if signal.required:
            raise RecordingError("empty", f"{path} is empty or damaged from its first line on: restore it")
        warnings.append(f"{signal.name} is empty: its values are absent")
        return None
    start = _number(start_line.split(",")[0])
    if start is None or not 0 < start < _LATEST_START:
        raise RecordingError("start", f"{path}: the first line {start_line[:40]!r} is no start time in unix seconds")
    rates = {_number(field) for field in rate_line.split(",")} if rate_line else set()
    if not rates and not signal.required:
        warnings.append(f"{signal.name} ends before its rate: its values are absent")
        return None
    if rates != {float(signal.rate)}:
        raise RecordingError(
            "rate",
            f"{path}: the second line {rate_line[:40]!r} is not the {signal.rate} Hz of an E4's {signal.name}: "
            "resample the file or restore the original",
        )
    if signal.required and not any(lines):
        raise RecordingError("empty", f"{path} holds no sample after its head: restore it")
    return start


def _samples(folder: Path, signal: _Signal, late_s: float, warnings: list[str]) -> Iterator[Sample]:
    """All samples from the recording's origin on; None = absent."""
    path = _find(folder, signal.name)
    if path is None:
        return
    for _ in range(round(late_s * signal.rate)):
        yield None
    unreadable = blank = 0
    for line in islice(_lines(path, warnings), 2, None):
        if not line:
            blank += 1
            continue
        for _ in range(blank):
            yield None
        row = _row(line, signal.columns)
        unreadable += blank + (row is None)
        blank = 0
        yield row
    if unreadable:
        warnings.append(f"{signal.name}: {unreadable} samples are no numbers and count as absent")


def _row(line: str, columns: int) -> Sample:
    fields = line.split(",")
    if len(fields) != columns:
        return None
    try:
        values = tuple([float(field) for field in fields])
    except ValueError:
        return None
    return values if all(map(math.isfinite, values)) else None


def _number(text: str) -> float | None:
    row = _row(text, 1)
    return row[0] if row else None
