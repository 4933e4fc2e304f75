"""The early hint of the parents' page, trained on simulated children: not validated on people."""

import struct
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core import early as core

from zenmoon_models.tinylstm import card as cards
from zenmoon_models.tinylstm import conversion, floating, network
from zenmoon_models.tinylstm import simulated_children as simulated
from zenmoon_models.tinylstm import simulated_hints as hints
from zenmoon_models.tinylstm.simulated_alarms import HORIZON, READY_MINUTES, Course, read

UNITS = 16
STEPS = 60
STRIDE = 20
LIMITS = (0.6, 0.68, 0.76)  # every training child has each of them: what is learned of real ones lies between 0.6 and 0.9
# Chunks without an alarm ahead are many and alike: shares that are kept, and weighted up by as much.
NEAR, NEAR_SHARE, FAR_SHARE = 0.25, 0.5, 0.05
ROUNDS = ((6, 3e-3), (5, 1.5e-3), (4, 5e-4))  # epochs, learning rate
COMMAND = "python -m zenmoon_models.tinylstm train alerts --shared DIR"
SOURCES = (
    "zenmoon_edge.core.early",
    "zenmoon_models.tinylstm.simulated_children",
    "zenmoon_models.tinylstm.simulated_alarms",
    "zenmoon_models.tinylstm.alerts",
    "zenmoon_models.tinylstm.simulated_hints",
    "zenmoon_models.tinylstm.floating",
    "zenmoon_models.tinylstm.network",
    "zenmoon_models.tinylstm.conversion",
    "zenmoon_models.tinylstm.scores",
)
HEAD = floating.Head("soon", 1)  # part of a logit: of a probability int8 would keep nothing below 1/256, where most minutes lie


def chunks(courses: list[Course], seed: int) -> network.Chunks:
    """Overlapping chunks between two resets: all with an alarm ahead, a share of the others that counts for the rest."""
    random = np.random.default_rng(seed)
    inputs, targets, weights = [], [], []
    for course in courses:
        ahead = course.ahead
        strain = course.child.values["stress_level"][course.at]
        for first in range(0, len(ahead) - STEPS, STRIDE):
            here = slice(first, first + STEPS)
            weight = course.counts[here] & (np.arange(STEPS) >= READY_MINUTES)
            if course.starts[first + 1 : first + STEPS].any() or not weight.any():
                continue
            near = strain[here].max() > course.limit - NEAR
            share = 1.0 if (ahead[here] & weight).any() else NEAR_SHARE if near else FAR_SHARE
            if random.random() < share:
                inputs.append(course.inputs[here])
                targets.append(ahead[here, None])
                weights.append(weight / share)
    weight = np.stack(weights).astype(np.float32)
    return network.Chunks(
        np.stack(inputs), {HEAD.name: np.stack(targets).astype(np.float32)}, {HEAD.name: weight / weight.mean(dtype=np.float64)}
    )


def train(shared: Path | None, out: Path, *, seed: int) -> Path:
    """Trains, quantises, verifies and scores; writes alerts.tflite, .json and .md.

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
    kept = simulated.children(simulated.TRAINING)
    apart, shifted = simulated.children(simulated.HELD_OUT), simulated.children(simulated.SHIFTED)
    training = [read(child, limit) for child in kept for limit in LIMITS]
    data = chunks(training, seed)
    print(f"training on {len(kept)} children, {len(data.inputs)} chunks of {STEPS} minutes", flush=True)

    def loss(truth: Any, output: Any) -> Any:
        return tf_keras.losses.binary_crossentropy(truth, core.LOGITS * output, from_logits=True)

    trained = floating.initial(core.INPUTS, UNITS, (HEAD,), seed)
    for epochs, rate in ROUNDS:
        settings = network.Settings(epochs=epochs, batch=128, learning_rate=rate, dropout=0.0, losses={HEAD.name: loss})
        trained = network.train(tf_keras, trained, data, settings, seed=seed)
    draft = attach(conversion.convert(tensorflow, tf_keras, trained, representatives(trained, data)), 0.5)
    model = conversion.agreed(attach(draft, hints.threshold(draft, training)))

    print("scoring the children held out", flush=True)
    figures = hints.evaluate(model, trained, training, apart, shifted, seed=seed)
    facts = cards.card(
        "alerts",
        model,
        purpose=f"early hint for parents: may the simulated child's alarm begin within {HORIZON} minutes, 0–1, in the page",
        limits=[*simulated.LIMITS, "Off until a parent turns it on; it never raises, delays or silences an alarm."],
        data=cards.data_facts(simulated, population=simulated.POPULATION, sha256=simulated.digest(kept, apart, shifted)),
        training=[child.name for child in kept],
        held_out=[child.name for child in apart],
        settings={
            "seed": seed,
            "units": UNITS,
            "chunk_minutes": STEPS,
            "limits": " ".join(f"{limit:g}" for limit in LIMITS),
            "rounds": " + ".join(f"{epochs} epochs at {rate:g}" for epochs, rate in ROUNDS),
            "false_hints_a_day": hints.FALSE_A_DAY[0],
            "tensorflow": version("tensorflow"),
        },
        sources=SOURCES,
        figures=figures,
    )
    floating.save(trained, floating.FOLDER / "alerts.npz")
    return cards.write(out, "alerts", model, facts, page(facts))


def representatives(trained: floating.Network, data: network.Chunks) -> NDArray[np.float32]:
    """Chunks from the lowest last logit to the highest: int8 shall reach as far as the network does, and alarms ahead are rare."""
    last = floating.forward(trained, data.inputs)[HEAD.name][:, -1, 0]
    order = np.argsort(last, kind="stable")
    return np.asarray(data.inputs[order[np.linspace(0, len(order) - 1, min(len(order), conversion.REPRESENTATIVES)).astype(int)]])


def attach(model: bytes, threshold: float) -> bytes:
    """The model with what `zenmoon_edge.core.early` and the page read from it."""
    head = struct.pack(core.HEAD, core.VERSION, core.INPUTS, READY_MINUTES, HORIZON, threshold)
    return conversion.attach(model, core.METADATA, head)


def _hinted(rate: str) -> Callable[[dict[str, Any]], float | None]:
    return lambda row: row["hinted"][rate]


def page(facts: dict[str, Any]) -> str:
    """The card for people."""
    figures = facts["held_out_figures"]
    names = {
        "int8": "**shipped model (int8)**",
        "float": "same network in float",
        "logistic_regression": "logistic regression on the minute's inputs",
        "strain_only": "strain against the limit, alone",
        "trend": "line through the last ten minutes, 15 minutes on",
        "clock_only": "time of day and weekday alone",
    }
    rates = [f"{rate:g}" for rate in hints.FALSE_A_DAY]
    by: dict[str, Callable[[dict[str, Any]], float | None]] = {
        "AUROC": lambda row: row["auroc"],
        "average precision": lambda row: row["average_precision"],
        **{f"alarms hinted at, {rate} false a day": _hinted(rate) for rate in rates},
        f"median lead, min, {rates[0]} false a day": lambda row: row["lead_min"][rates[0]],
    }
    sections = []
    for key, title in (("held_out", "Children held out"), ("shifted", "Children of another age, season and temper")):
        for limit, group in figures[key].items():
            low, high = group["int8"]["ci95_average_precision"]
            equals = [
                f"{words} ({column})"
                for name, words in names.items()
                for column, figure in by.items()
                if name not in ("int8", "float") and (figure(group[name]) or 0) >= (figure(group["int8"]) or 0)
            ]
            text = (
                f"{group['children']} simulated children that training never saw, {group['rows']} minutes, "
                f"{group['alarms']} alarms. Within {HORIZON} minutes of {group['share']:.2%} of the minutes an alarm began: the "
                f"average precision of chance. Of the shipped model, 95 % over children: {low:.3f}–{high:.3f}. Each row's "
                "threshold for so many false hints a day is set on these children themselves. "
                f"At least as good as the shipped model: {'; '.join(equals) or 'none'}."
            )
            rows = [(words, *(figure(group[name]) for figure in by.values())) for name, words in names.items()]
            sections.append(cards.Section(f"{title}, limit {limit}", text, ("scored", *by), rows))
            shipped = group["shipped_threshold"]
            bins = [(f"{b['low']:.1f}–{b['high']:.1f}", b["n"], b["probability"], b["share"]) for b in group["calibration"]]
            text = (
                f"At the threshold in the file ({shipped['threshold']:.3f}): {shipped['false_a_day']:.2f} false hints a day, "
                f"{shipped['hinted']:.0%} of the alarms hinted at. Calibration error {group['ece']:.4f}."
            )
            sections.append(cards.Section("As shipped", text, ("said", "minutes", "mean said", "came true"), bins))
    text = (
        "Compare with the clock first: the simulator puts tests into lessons and quarrels into afternoons, which AUROC over whole "
        "days rewards. A clock cannot say on which day, nor in which quarter of an hour: that is what average precision and the "
        "alarms hinted at show. No input of the model is a clock. The simulator lets strain rise within three to fifteen minutes, "
        "so much of it cannot be seen fifteen minutes ahead."
    )
    sections.append(cards.Section("How to read this", text))
    return cards.page(facts, sections, command=COMMAND)
