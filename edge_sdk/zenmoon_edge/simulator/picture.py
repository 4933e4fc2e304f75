"""A week of a simulated life as SVG: one row a date, by the clock on the wall."""

from html import escape

import numpy as np
from numpy.typing import NDArray

from zenmoon_edge.simulator.calendar import Day
from zenmoon_edge.simulator.chance import Flags
from zenmoon_edge.simulator.nights import Stage
from zenmoon_edge.simulator.plans import Activity
from zenmoon_edge.simulator.truth import Truth

_LEFT, _TOP, _WIDTH, _ROW, _STRAIN = 92, 44, 960, 58, 36
_EVERY_MIN = 5  # one point of the curve
_BANDS = {"sleep": "#5b6fb5", "school": "#e9d8a6", "sport": "#9bc99b"}
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.small{font-size:10px;fill:#666}"
    ".strain{fill:none;stroke:#b2432f;stroke-width:1.4}.gap{fill:#bbb}.alarm{fill:#b2432f}.grid{stroke:#ddd}"
)


def week(truth: Truth) -> str:
    """The SVG of the dates that `truth` touches.

    Bands: sleep, school, sport. Line: latent strain, 0 to 1. Grey below: the band said nothing. Red below: an alarm was wanted.
    """
    height = _TOP + _ROW * len(truth.days) + 24
    rows = [row for number, day in enumerate(truth.days) for row in _row(truth, day, _TOP + number * _ROW)]
    hours = [
        f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP - 8}" y2="{height - 24}"/>'
        f'<text class="small" x="{x - 6}" y="{_TOP - 14}">{h:02d}</text>'
        for h in range(0, 25, 3)
        for x in [_LEFT + round(h / 24 * _WIDTH)]
    ]
    title = f"A simulated child, seed {truth.child.seed} – not validated on people"
    legend = "line: strain, 0 to 1 · blue: sleep · sand: school · green: sport · grey: the band said nothing · red: alarm wanted"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 20} {height}" role="img">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style>",
            f'<rect width="100%" height="100%" fill="#fff"/><text x="12" y="18">{escape(title)}</text>',
            *hours,
            *rows,
            f'<text class="small" x="12" y="{height - 8}">{escape(legend)}</text>',
            "</svg>",
            "",
        ]
    )


def _row(truth: Truth, day: Day, top: int) -> list[str]:
    first = int(truth.ts_ms[0]) // 60_000
    here = slice(max(0, day.begin - first), max(0, day.begin + day.minutes - first))
    wall = day.wall()[max(0, first - day.begin) :][: len(truth.strain[here])]
    activity, bottom = truth.activity[here], top + _STRAIN
    school = np.isin(activity, [Activity.LESSON, Activity.TEST, Activity.BREAK])
    parts = [f'<text x="12" y="{top + 14}">{day.date:%a %d %b}</text>']
    parts.append(f'<text class="small" x="12" y="{top + 28}">{"school" if day.school else "free"}</text>')
    for name, flags in (("sleep", truth.stage[here] != Stage.WAKE), ("school", school), ("sport", activity == Activity.SPORT)):
        parts += _boxes(wall, flags, top, _STRAIN, f'fill="{_BANDS[name]}" fill-opacity="0.55"')
    parts += _boxes(wall, ~truth.worn[here], bottom + 3, 4, 'class="gap"')
    parts += _boxes(wall, truth.alarm_wanted[here], bottom + 8, 4, 'class="alarm"')
    for piece in np.split(np.arange(len(wall)), np.flatnonzero(np.diff(wall) != 1) + 1):
        points = " ".join(f"{_x(wall[i]):.1f},{bottom - _STRAIN * truth.strain[here][i]:.1f}" for i in piece[::_EVERY_MIN])
        parts.append(f'<polyline class="strain" points="{points}"/>')
    return parts


def _boxes(wall: NDArray[np.int32], flags: Flags, top: int, height: int, style: str) -> list[str]:
    """A rectangle for each run; one that clocks interrupt is two."""
    breaks = np.flatnonzero((np.diff(wall) != 1) | (np.diff(flags.astype(np.int8)) != 0)) + 1
    return [
        f'<rect x="{_x(wall[run[0]]):.1f}" y="{top}" width="{len(run) / 1440 * _WIDTH:.1f}" height="{height}" {style}/>'
        for run in np.split(np.arange(len(wall)), breaks)
        if len(run) and flags[run[0]]
    ]


def _x(minute: float) -> float:
    return _LEFT + float(minute) / 1440 * _WIDTH
