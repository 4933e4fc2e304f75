"""A simulated history as a phone would import it: `epoch` and `sleep` items, in the order of their time.

The numbers of the items are those of their minute and date, so that spans that overlap give the same items, not new ones.
Simulated, not validated on people.
"""

import hashlib
import math
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from zenmoon_edge.importing import Source
from zenmoon_edge.simulator.chance import Chance
from zenmoon_edge.simulator.child import Child
from zenmoon_edge.simulator.epochs import METRICS
from zenmoon_edge.simulator.life import Life
from zenmoon_edge.simulator.nights import Night, Stage
from zenmoon_edge.simulator.truth import MINUTE_MS, of, span

FIRMWARE = zlib.crc32(b"zenmoon_edge.simulator")
MODEL = zlib.crc32(b"simulated child 0")
"""What made the values: no model, so that no strain of a wearable is taken for comparable."""

_NIGHT_SEQ, _NAP_SEQ = 1 << 31, 3 << 30  # minutes since 1970 stay below for two thousand years
_MISSED_MIN = 3  # a phone does not notice shorter awakenings; chosen
_WORN_SHARE = 0.6  # of a night that must have been worn for a phone to make an episode of it; chosen


class Sleep(NamedTuple):
    """An episode of sleep as it is sent: some minutes beside the truth, as actigraphy is.

    Attributes:
        onset: first minute asleep, UTC since 1970.
        ended: first minute awake for good.
        asleep_min: between them.
        awakenings: that were noticed.
        efficiency: asleep, as a share of the time in bed.
    """

    onset: int
    ended: int
    asleep_min: int
    awakenings: int
    efficiency: float


def source_of(child: Child) -> Source:
    """A source of this child's own: the same device and boot each time, so that an import repeated changes nothing."""
    digest = hashlib.sha256(f"zenmoon simulated child {child.seed}".encode()).digest()
    return Source(int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:12], "big"), firmware=FIRMWARE, model=MODEL)


def history(child: Child, begin: datetime, end: datetime, source: Source) -> Iterator[dict[str, Any]]:
    """Items of the child's life from `begin` to before `end`.

    Minutes in which the band lay on its charger have no item; nights that the span holds in part, or that the band was not worn,
    neither.

    Args:
        child: whose life.
        begin: with its zone.
        end: with its zone.
        source: who says it; numbers are given by this function.

    Raises:
        SimulatorError: `span` for a moment without a zone, or no whole minute between them.
    """
    first, last = span(begin, end)
    return _items(Life(child), first, last, source)


def sleep(life: Life, night: Night) -> Sleep | None:
    """What a phone makes of an episode; None where the band was not worn."""
    chance = Chance(life.child.seed).of(night.date.toordinal(), "nap measured" if night.nap else "night measured")
    errors = np.clip(chance.standard_normal(3), -2.5, 2.5)
    covered = [
        life.date(on).epochs.coverage[max(0, night.onset - life.day(on).begin) : max(0, night.wake - life.day(on).begin)]
        for on in life.dates(night.onset, night.wake)
    ]
    if np.concatenate(covered).mean() < _WORN_SHARE:
        return None
    onset, ended = night.onset + round(4 * float(errors[0])), night.wake + round(3 * float(errors[1]))
    asleep_min = min(ended - onset, night.asleep_min + round(8 * float(errors[2])))
    edges = np.flatnonzero(np.diff((night.stages == Stage.WAKE).astype(np.int8), prepend=0, append=0))
    noticed = int(np.count_nonzero(np.diff(edges)[::2] >= _MISSED_MIN))
    in_bed = max(ended - min(night.lights_out, onset), asleep_min)
    return Sleep(onset, ended, asleep_min, noticed, round(asleep_min / in_bed, 3))


def _items(life: Life, begin: int, end: int, source: Source) -> Iterator[dict[str, Any]]:
    for on in life.dates(begin, end):
        day = life.day(on)
        part = of(life, max(begin, day.begin), min(end, day.begin + day.minutes))
        sleeps = {
            measured.ended: (night, measured)
            for night in life.nights(on)[:-1]
            if (measured := sleep(life, night)) and begin <= measured.onset and measured.ended < end
        }
        sent = part.epochs
        columns = zip(
            (part.ts_ms // MINUTE_MS).tolist(),
            part.zone_offset_s.tolist(),
            sent.coverage.tolist(),
            sent.quality.tolist(),
            [[None if math.isnan(value) else value for value in row] for row in sent.values.tolist()],
            sent.working.tolist(),
            strict=True,
        )
        for at, offset_s, coverage, quality, values, working in columns:
            if working:
                yield source.epoch(
                    at * MINUTE_MS,
                    dict(zip(METRICS, values, strict=True)),
                    coverage=coverage,
                    quality=quality,
                    zone_offset_s=offset_s,
                    seq=at,
                )
            if at in sleeps:
                yield _sleep_item(life, source, *sleeps[at])


def _sleep_item(life: Life, source: Source, night: Night, measured: Sleep) -> dict[str, Any]:
    on = life.child.calendar.at(measured.onset)
    return source.sleep(
        measured.onset * MINUTE_MS,
        measured.ended * MINUTE_MS,
        asleep_s=measured.asleep_min * 60,
        awakenings=measured.awakenings,
        efficiency=measured.efficiency,
        nap=night.nap,
        zone_offset_s=int(life.day(on).offsets_s[measured.onset - life.day(on).begin]),
        seq=(_NAP_SEQ if night.nap else _NIGHT_SEQ) + night.date.toordinal(),
    )
