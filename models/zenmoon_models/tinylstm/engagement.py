"""The phone's engagement model, trained on simulated children: not validated on people."""

import struct
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core import engagement as core

from zenmoon_models.tinylstm import card as cards
from zenmoon_models.tinylstm import conversion, floating, network, scores
from zenmoon_models.tinylstm import simulated_children as simulated
from zenmoon_models.tinylstm.simulated_children import Minutes

UNITS = 16
STEPS = 90
STRIDE = 45
CHILDREN = 48  # of the training children: with more of them training takes longer than it is worth; chosen
WARM_UP = 20  # minutes of a chunk that teach nothing, and that the phone waits on the wrist
ASLEEP_WEIGHT = 0.25  # engagement is nought asleep: easy, and a third of the minutes
ENGAGED = 0.6  # of the simulated truth: about the upper two fifths of the waking minutes
ROUNDS = ((14, 4e-3), (6, 1.5e-3), (4, 5e-4))  # epochs, learning rate
METRICS = ("heart_rate_bpm", "rmssd_ms", "eda_us", "temperature_c", "motion_g", "stress_level")  # as core.engagement takes them
COMMAND = "python -m zenmoon_models.tinylstm train engagement --shared DIR"
SOURCES = (
    "zenmoon_edge.core.engagement",
    "zenmoon_models.tinylstm.simulated_children",
    "zenmoon_models.tinylstm.engagement",
    "zenmoon_models.tinylstm.floating",
    "zenmoon_models.tinylstm.network",
    "zenmoon_models.tinylstm.conversion",
    "zenmoon_models.tinylstm.scores",
)
_HEAD = floating.Head("engagement", 1, "sigmoid")
_COVERED = 0.5  # of a minute, for it to be scored
_DIGITS = 4

Values = NDArray[np.float64]
Controls = dict[str, tuple[Any, Callable[["Sequence"], Any]]]


class Sequence(NamedTuple):
    """One child's minutes on the wrist, in the order of time.

    Attributes:
        child: whose.
        at: which of the child's minutes.
        inputs: [n, core.INPUTS].
        starts: where the model is reset before the minute.
    """

    child: Minutes
    at: NDArray[np.intp]
    inputs: NDArray[np.float32]
    starts: NDArray[np.bool_]


def read(child: Minutes) -> Sequence:
    """The inputs that the phone computes, by the phone's code."""
    minutes = core.Minutes()
    columns = zip(*(simulated.optional(child.values[name]) for name in METRICS), strict=True)
    at, inputs, starts, absent = [], [], [], core.ABSENT_MINUTES
    for i, (coverage, values) in enumerate(zip(child.coverage.tolist(), columns, strict=True)):
        if coverage <= 0:
            absent += 1
            continue
        at.append(i)
        inputs.append(minutes.step(list(values), coverage))
        starts.append(absent >= core.ABSENT_MINUTES)
        absent = 0
    return Sequence(child, np.array(at, np.intp), np.array(inputs, np.float32), np.array(starts, np.bool_))


def chunks(sequences: list[Sequence]) -> network.Chunks:
    """Overlapping chunks between two resets; the first minutes of each teach nothing."""
    inputs, targets, weights = [], [], []
    for sequence in sequences:
        truth = sequence.child.engagement[sequence.at]
        weight = np.where(sequence.child.awake[sequence.at], 1.0, ASLEEP_WEIGHT)
        weight = weight * (sequence.child.coverage[sequence.at] >= _COVERED)
        for first in range(0, len(truth) - STEPS, STRIDE):
            here = slice(first, first + STEPS)
            if not sequence.starts[first + 1 : first + STEPS].any():
                inputs.append(sequence.inputs[here])
                targets.append(truth[here, None])
                weights.append(np.where(np.arange(STEPS) < WARM_UP, 0.0, weight[here]))
    return network.Chunks(
        np.stack(inputs),
        {_HEAD.name: np.stack(targets).astype(np.float32)},
        {_HEAD.name: np.stack(weights).astype(np.float32)},
    )


def train(shared: Path | None, out: Path, *, seed: int) -> Path:
    """Trains, quantises, verifies and scores; writes engagement.tflite, .json and .md.

    Args:
        shared: not used: the data are simulated.
        out: folder of the files.
        seed: of the training; the children's seeds are fixed.

    Raises:
        ModelsError: a missing package, or a conversion that is not the same on every engine.
    """
    del shared
    tensorflow, tf_keras = network.keras(seed)
    print("simulating children", flush=True)
    kept = simulated.children(simulated.TRAINING, CHILDREN)
    apart, shifted = simulated.children(simulated.HELD_OUT), simulated.children(simulated.SHIFTED)
    training = [read(child) for child in kept]
    data = chunks(training)
    print(f"training on {len(kept)} children, {len(data.inputs)} chunks of {STEPS} minutes", flush=True)
    trained = floating.initial(core.INPUTS, UNITS, (_HEAD,), seed)
    for epochs, rate in ROUNDS:
        settings = network.Settings(epochs=epochs, learning_rate=rate, dropout=0.0, losses={_HEAD.name: "mse"})
        trained = network.train(tf_keras, trained, data, settings, seed=seed)
    model = conversion.convert(tensorflow, tf_keras, trained, data.inputs)
    head = struct.pack(core.HEAD, core.VERSION, core.INPUTS, WARM_UP)
    model = conversion.agreed(conversion.attach(model, core.METADATA, head))

    print("scoring the children held out", flush=True)
    figures = evaluate(model, trained, training, [read(c) for c in apart], [read(c) for c in shifted], seed=seed)
    facts = cards.card(
        "engagement",
        model,
        purpose="how much the simulated child is taken up by what it does, 0–1, each minute, on the phone",
        limits=simulated.LIMITS,
        data=cards.data_facts(simulated, population=simulated.POPULATION, sha256=simulated.digest(kept, apart, shifted)),
        training=[child.name for child in kept],
        held_out=[child.name for child in apart],
        settings={
            "seed": seed,
            "units": UNITS,
            "chunk_minutes": STEPS,
            "rounds": " + ".join(f"{epochs} epochs at {rate:g}" for epochs, rate in ROUNDS),
            "tensorflow": version("tensorflow"),
        },
        sources=SOURCES,
        figures=figures,
    )
    floating.save(trained, floating.FOLDER / "engagement.npz")
    return cards.write(out, "engagement", model, facts, page(facts))


def evaluate(
    model: bytes,
    trained: floating.Network,
    training: list[Sequence],
    held_out: list[Sequence],
    shifted: list[Sequence],
    *,
    seed: int,
) -> dict[str, Any]:
    """Waking minutes on the wrist; the shipped file through the phone's own code, controls beside it."""
    controls = _controls(training, seed)
    return {
        "held_out": _group(model, trained, controls, held_out, seed),
        "shifted": _group(model, trained, controls, shifted, seed),
        "engaged_from": ENGAGED,
    }


def scored(model: bytes, sequence: Sequence) -> tuple[Values, NDArray[np.bool_]]:
    """(engagement by the shipped runner, whether the minute counts), for each minute of the sequence."""
    runner = core.Engagement(model)
    columns = zip(*(simulated.optional(sequence.child.values[name]) for name in METRICS), strict=True)
    said = [runner.step(list(values), coverage) for coverage, values in zip(sequence.child.coverage.tolist(), columns, strict=True)]
    values = np.array([np.nan if value is None else value for value in said])[sequence.at]
    child, index = sequence.child, sequence.at
    return values, ~np.isnan(values) & child.awake[index] & (child.coverage[index] >= _COVERED)


def _group(model: bytes, trained: floating.Network, controls: Controls, sequences: list[Sequence], seed: int) -> dict[str, Any]:
    rows: dict[str, list[Values]] = {name: [] for name in ("truth", "int8", "float", *controls)}
    for sequence in sequences:
        values, counts = scored(model, sequence)
        rows["truth"].append(sequence.child.engagement[sequence.at][counts])
        rows["int8"].append(values[counts])
        rows["float"].append(_float(trained, sequence)[counts])
        for name, (fitted, columns) in controls.items():
            rows[name].append(fitted.predict(columns(sequence))[counts])
    truth = rows.pop("truth")
    whole = np.concatenate(truth)
    result: dict[str, Any] = {
        "children": len(sequences),
        "rows": len(whole),
        "engaged_share": _rounded(float((whole >= ENGAGED).mean())),
    }
    for name, parts in rows.items():
        people = list(zip(truth, parts, strict=True))
        result[name] = {
            "correlation": _rounded(float(np.corrcoef(whole, np.concatenate(parts))[0, 1])),
            "mae": _rounded(float(np.abs(whole - np.concatenate(parts)).mean())),
            "auroc": _rounded(_auroc(people)),
        }
        if name == "int8":
            result[name]["ci95_auroc"] = [_rounded(v) for v in scores.interval(people, _auroc, seed=seed, resamples=200)]
    result["mean_difference_int8_float"] = _rounded(
        float(np.abs(np.concatenate(rows["int8"]) - np.concatenate(rows["float"])).mean())
    )
    return result


def _float(trained: floating.Network, sequence: Sequence) -> Values:
    parts = np.split(sequence.inputs, np.flatnonzero(sequence.starts)[1:])
    return np.concatenate([floating.forward(trained, part)[_HEAD.name][:, 0] for part in parts])


def _controls(training: list[Sequence], seed: int) -> Controls:
    """Fitted on the same children's waking minutes: motion alone, all inputs of the minute, and the clock alone."""
    linear = import_module("sklearn.linear_model").LinearRegression
    boosted = import_module("sklearn.ensemble").HistGradientBoostingRegressor
    motion = core.INPUT_NAMES.index("motion")
    made: Controls = {
        "motion_only": (linear(), lambda s: s.inputs[:, [motion]]),
        "linear_regression": (linear(), lambda s: s.inputs),
        "clock_only": (boosted(random_state=seed), lambda s: s.child.clock[s.at]),
    }
    truth = [s.child.engagement[s.at] for s in training]
    counts = [s.child.awake[s.at] & (s.child.coverage[s.at] >= _COVERED) for s in training]
    for fitted, columns in made.values():
        parts = [columns(s)[kept] for s, kept in zip(training, counts, strict=True)]
        fitted.fit(np.concatenate(parts), np.concatenate([t[kept] for t, kept in zip(truth, counts, strict=True)]))
    return made


def _auroc(people: list[tuple[Values, Values]]) -> float:
    return scores.auroc(np.concatenate([p[0] for p in people]) >= ENGAGED, np.concatenate([p[1] for p in people]))


def _rounded(value: float) -> float:
    return round(value, _DIGITS)


def page(facts: dict[str, Any]) -> str:
    """The card for people."""
    figures = facts["held_out_figures"]
    names = {
        "int8": "**shipped model (int8)**",
        "float": "same network in float",
        "linear_regression": "linear regression on the minute's inputs",
        "motion_only": "motion alone",
        "clock_only": "time of day and weekday alone",
    }
    columns = ("scored", "correlation", "mean error", f"AUROC of engagement ≥ {figures['engaged_from']}")
    sections = []
    for key, title in (("held_out", "Children held out"), ("shifted", "Children of another age, season and temper")):
        group = figures[key]
        low, high = group["int8"]["ci95_auroc"]
        text = (
            f"{group['children']} simulated children that training never saw, {group['rows']} waking minutes on the wrist, "
            f"{group['engaged_share']:.0%} engaged. AUROC of the shipped model, 95 % over children: {low:.3f}–{high:.3f}."
        )
        rows = [(words, *(group[name][k] for k in ("correlation", "mae", "auroc"))) for name, words in names.items()]
        sections.append(cards.Section(title, text, columns, rows))
    text = (
        "The simulated day runs by the clock, so the clock alone does well there; no input of the model is a clock. What the model "
        "adds to the clock it reads from heart rate, skin and motion as the simulator makes them, which no child has confirmed."
    )
    sections.append(cards.Section("How to read this", text))
    return cards.page(facts, sections, command=COMMAND)
