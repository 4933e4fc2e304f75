"""How early hints are scored: the shipped file through the page's portable code, and what a page might do without it."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core import early as core

from zenmoon_models.tinylstm import floating, scores
from zenmoon_models.tinylstm import simulated_children as simulated
from zenmoon_models.tinylstm.simulated_alarms import HORIZON, Alarm, Course, read, soon
from zenmoon_models.tinylstm.simulated_children import Minutes

FALSE_A_DAY = (0.25, 1.0)
"""Hints that no alarm follows: a quarter a day is about as many as there are alarms, so that every other hint comes true. The page
says that there is a sign of a rise from the threshold on that gives the first of them; the other is scored beside it."""
LIMITS = (0.75, 0.6)  # scored: the default, and what two weeks of most of these children come to
_TREND_MINUTES = 10
_THRESHOLD_COURSES = 45  # of the training children's, which is enough to place a threshold
_DAY_MINUTES = 1440
_EVERY = 4  # of the training minutes fit the controls: a million is plenty for them
_DIGITS = 4

Values = NDArray[np.float64]
Score = Callable[[Course], Values]


class Child(NamedTuple):
    """What a score said of one child's minutes: NaN where it was silent or nothing was to be said."""

    score: Values
    alarms: Sequence[Alarm]


class Hints(NamedTuple):
    """At one threshold. false_a_day: hints that no alarm followed; hinted: share of alarms with a hint before them; lead: median
    minutes from the first hint to the alarm's beginning, of those hinted (NaN without any)."""

    threshold: float
    false_a_day: float
    hinted: float
    lead: float


def hints(children: Sequence[Child], threshold: float) -> Hints:
    """What a page would have shown: minutes at or above the threshold, those less than `HORIZON` apart being one hint."""
    false, days, leads, total = 0, 0.0, [], 0
    for child in children:
        shown = np.flatnonzero(child.score >= threshold)  # NaN is never at least anything
        days += len(child.score) / _DAY_MINUTES
        ahead = soon(len(child.score), child.alarms)
        for hint in np.split(shown, np.flatnonzero(np.diff(shown) >= HORIZON) + 1) if len(shown) else []:
            false += not ahead[hint].any()
        for alarm in child.alarms:
            total += 1
            before = shown[(shown >= alarm.begin - HORIZON) & (shown < alarm.begin)]
            leads += [alarm.begin - int(before[0])] if len(before) else []
    return Hints(
        threshold,
        false / days if days else float("nan"),
        len(leads) / total if total else float("nan"),
        float(np.median(leads)) if leads else float("nan"),
    )


def threshold_at(children: Sequence[Child], false_a_day: float, steps: int = 200) -> float:
    """The lowest threshold, among so many quantiles of the highest scores, with at most so many false hints a day."""
    said = np.concatenate([child.score[~np.isnan(child.score)] for child in children])
    # The rarest minutes decide: quantiles spaced evenly in the logarithm of what lies above them.
    candidates = np.unique(np.quantile(said, 1 - np.logspace(-5, -1, steps)))
    chosen = float(candidates[-1])
    for candidate in candidates[::-1].tolist():
        if hints(children, candidate).false_a_day > false_a_day:
            break
        chosen = candidate
    return chosen


def average_precision(label: NDArray[np.bool_], score: Values) -> float:
    """Area under precision over recall in steps, ties together; NaN without positives. Chance gives the share of positives."""
    values, inverse = np.unique(score, return_inverse=True)
    positives = np.bincount(inverse, weights=label, minlength=len(values))[::-1]
    rows = np.bincount(inverse, minlength=len(values))[::-1]
    total = positives.sum()
    if not total:
        return float("nan")
    return float((positives * np.cumsum(positives) / np.cumsum(rows)).sum() / total)


def threshold(model: bytes, training: list[Course]) -> float:
    """The probability from which on the page speaks of a sign: the first of `FALSE_A_DAY` on training children."""
    chosen = threshold_at([_child(s, streamed(model, s)) for s in training[:_THRESHOLD_COURSES]], FALSE_A_DAY[0])
    return 0.99 * chosen  # the file keeps it in single precision, which must not lose the very step that was chosen


def streamed(model: bytes, course: Course) -> Values:
    """What the shipped runner says at each minute of the course; where it is silent, NaN."""
    runner = core.Early(model)
    values = course.child.values
    columns = zip(
        simulated.optional(values["stress_level"]),
        simulated.optional(values["heart_rate_bpm"]),
        course.child.coverage.tolist(),
        strict=True,
    )
    said = [runner.step(strain, heart_rate, coverage, course.limit) for strain, heart_rate, coverage in columns]
    return np.array([np.nan if value is None else value for value in said])[course.at]


def evaluate(
    model: bytes, trained: floating.Network, training: list[Course], held_out: list[Minutes], shifted: list[Minutes], *, seed: int
) -> dict[str, Any]:
    """By group and limit: every score's figures on the same minutes, and the shipped file's at its own threshold."""
    controls = _controls(training, seed)
    every: dict[str, Score] = {
        "int8": lambda course: streamed(model, course),
        "float": lambda course: _float(trained, course),
        **controls,
    }
    shown = core.Early(model).threshold
    return {
        key: {f"{limit:g}": _group(every, [read(child, limit) for child in children], shown, seed) for limit in LIMITS}
        for key, children in (("held_out", held_out), ("shifted", shifted))
    }


def _group(every: dict[str, Score], courses: list[Course], shown: float, seed: int) -> dict[str, Any]:
    label = [course.ahead[course.counts] for course in courses]
    whole = np.concatenate(label)
    result: dict[str, Any] = {
        "children": len(courses),
        "rows": len(whole),
        "alarms": sum(len(course.found) for course in courses),
        "share": round(float(whole.mean()), 6),
    }
    for name, score in every.items():
        values = [score(course) for course in courses]
        parts = [value[course.counts] for value, course in zip(values, courses, strict=True)]
        children = [_child(course, value) for course, value in zip(courses, values, strict=True)]
        allowed = {f"{rate:g}": hints(children, threshold_at(children, rate)) for rate in FALSE_A_DAY}
        joined = np.concatenate(parts)
        result[name] = {
            "auroc": _rounded(scores.auroc(whole, joined)),
            "average_precision": _rounded(average_precision(whole, joined)),
            "hinted": {rate: _rounded(found.hinted) for rate, found in allowed.items()},
            "lead_min": {rate: _rounded(found.lead) for rate, found in allowed.items()},
        }
        if name == "int8":
            people = list(zip(label, parts, strict=True))
            interval = scores.interval(people, _precision, seed=seed, resamples=200)
            result[name]["ci95_average_precision"] = [_rounded(bound) for bound in interval]
            own = hints(children, shown)
            result["shipped_threshold"] = {key: _rounded(value) for key, value in own._asdict().items()}
            error, bins = scores.calibration(whole, joined)
            result["ece"] = round(error, 6)
            result["calibration"] = [
                {
                    "low": one.low,
                    "high": one.high,
                    "n": one.n,
                    "probability": _rounded(one.probability),
                    "share": _rounded(one.share),
                }
                for one in bins
            ]
    return result


def _child(course: Course, values: Values) -> Child:
    """The score in the child's own minutes, NaN where it does not count."""
    score = np.full(len(course.child.coverage), np.nan)
    score[course.at] = np.where(course.counts, values, np.nan)
    return Child(score, course.found)


def _float(trained: floating.Network, course: Course) -> Values:
    parts = np.split(course.inputs, np.flatnonzero(course.starts)[1:])
    return np.concatenate([floating.forward(trained, part)["soon"][:, 0] for part in parts])


def _controls(training: list[Course], seed: int) -> dict[str, Score]:
    linear = import_module("sklearn.linear_model").LogisticRegression(max_iter=1000)
    clock = import_module("sklearn.ensemble").HistGradientBoostingClassifier(random_state=seed)
    label = np.concatenate([s.ahead[s.counts] for s in training])[::_EVERY]
    linear.fit(np.concatenate([s.inputs[s.counts] for s in training])[::_EVERY], label)
    clock.fit(np.concatenate([_clock(s)[s.counts] for s in training])[::_EVERY], label)
    return {
        "logistic_regression": lambda s: np.asarray(linear.predict_proba(s.inputs)[:, 1]),
        "strain_only": lambda s: s.child.values["stress_level"][s.at] - s.limit,
        "trend": lambda s: _trend(s.child.values["stress_level"])[s.at] - s.limit,
        "clock_only": lambda s: np.asarray(clock.predict_proba(_clock(s))[:, 1]),
    }


def _clock(course: Course) -> Values:
    clock = course.child.clock[course.at]
    return np.column_stack([clock, np.full(len(clock), course.limit)])


def _trend(strain: Values) -> Values:
    """A least-squares line through the last ten minutes, carried on by the horizon; the strain itself where one is missing."""
    x = np.arange(_TREND_MINUTES) - (_TREND_MINUTES - 1) / 2
    padded = np.concatenate([np.full(_TREND_MINUTES - 1, np.nan), strain])
    windows = np.lib.stride_tricks.sliding_window_view(padded, _TREND_MINUTES)
    line = windows.mean(1) + (windows @ x) / (x @ x) * (x[-1] + HORIZON)
    return np.asarray(np.where(np.isnan(line), strain, line))


def _precision(people: list[tuple[NDArray[np.bool_], Values]]) -> float:
    return average_precision(np.concatenate([p[0] for p in people]), np.concatenate([p[1] for p in people]))


def _rounded(value: float) -> float | None:
    return None if value != value else round(value, _DIGITS)  # noqa: PLR0124 - JSON knows no NaN
