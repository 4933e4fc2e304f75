"""The phone's sleep model: asleep or awake, and the stage, from 30 s epochs, on Walch's nights of 24 adults.

People are held out before anything else. The size is chosen by cross-validation over the others. Only the threshold, one number, is
set on everybody, each scored by a network that has not seen them: people differ, and 17 are few. What does not depend on it, AUROC
and the wake found at an equal share of sleep, is clean; what is counted at the threshold is marked as set here, and is tested on
other nights (`tools/evaluate.py sleep`). The model ships only where it finds more wake than the count rules that are used
everywhere do at the same sensitivity; else the card says that the rule ships and no file is written.
"""

import struct
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core.sleep import INPUTS, METADATA, METADATA_FORMAT, STAGES

from zenmoon_models.datasets import walch
from zenmoon_models.tinylstm import card as cards
from zenmoon_models.tinylstm import conversion, floating, network
from zenmoon_models.tinylstm import sleep_held_out as held
from zenmoon_models.tinylstm.sleep_held_out import People
from zenmoon_models.tinylstm.sleep_page import COMMAND, page
from zenmoon_models.tinylstm.sleep_scores import RULES, Scored, assured_threshold, specificity_at
from zenmoon_models.tinylstm.sleep_sequences import CHUNK, WARM_UP, Sequence, chunks, read, split

__all__ = ["COMMAND", "SOURCES", "page", "train"]

HELD_OUT = 7
UNITS = (8, 16)  # that cross-validation chooses from
FOLDS = 4
SADEH_SCALES = (0.3, 1.0, 3.0, 10.0)  # Walch's counts are in no unit of the published rule: the best for the rule is taken
SETTINGS = network.Settings(epochs=20, batch=16, learning_rate=4e-3, dropout=0.3)
WITHOUT_HEART_RATE = 3  # every third night is learnt a second time as if heart rate had not come
SOURCES = (
    "zenmoon_edge.core.sleep",
    "zenmoon_models.datasets.walch",
    "zenmoon_models.tinylstm.sleep",
    "zenmoon_models.tinylstm.sleep_sequences",
    "zenmoon_models.tinylstm.sleep_scores",
    "zenmoon_models.tinylstm.sleep_held_out",
    "zenmoon_models.tinylstm.floating",
    "zenmoon_models.tinylstm.network",
    "zenmoon_models.tinylstm.conversion",
    "zenmoon_models.tinylstm.scores",
)
_HEADS = (floating.Head("asleep", 1, "sigmoid"), floating.Head("stage", len(STAGES), "softmax"))
_FULL = 255


def train(shared: Path | None, out: Path, *, seed: int) -> Path:
    """Trains, quantises, verifies and scores; writes sleep.tflite, .json and .md.

    Args:
        shared: the folder that holds `walch_sleep_accel`.
        out: folder of the files.
        seed: of the split and of the training.

    Raises:
        ModelsError: `data` without the nights, `extra` for a missing package, `conversion` when the engines disagree.
    """
    tensorflow, tf_keras = network.keras(seed)
    folder = Path(shared or ".") / walch.FOLDER
    nights = walch.nights(folder)
    apart = split([night.person for night in nights], HELD_OUT, seed)
    training = _people([night for night in nights if night.person not in apart])
    held_out = _people([night for night in nights if night.person in apart])
    print(f"{len(training.nights)} people to train on, {len(held_out.nights)} held out", flush=True)

    tried = {units: _cross_validated(tf_keras, training, units, seed) for units in UNITS}
    units = max(tried, key=lambda number: specificity_at(tried[number]))
    rules = _rules(training, held_out, seed)
    print(f"training {units} units on everybody that is not held out", flush=True)
    trained = _fit(tf_keras, training, units, seed)
    unseen = tried[units] + held.in_float(trained, held_out)
    level = int(np.floor(assured_threshold(unseen, seed=seed) * _FULL))
    model = conversion.convert(tensorflow, tf_keras, trained, chunks(training.sequences).inputs)
    order = conversion.outputs(model, trained, training.sequences[0].inputs[:CHUNK])
    head = struct.pack(METADATA_FORMAT, 1, INPUTS, order["asleep"], order["stage"], WARM_UP, level)
    model = conversion.agreed(conversion.attach(model, METADATA, head))

    print("scoring the people held out", flush=True)
    chosen = {
        "cross_validation": {f"{number} units": round(specificity_at(people), 4) for number, people in tried.items()},
        "best_rule_on_training_people": round(max(found["specificity_at_90"] for found in rules.values()), 4),
    }
    figures = held.figures(model, trained, training=training, held_out=held_out, rules=rules, threshold=level / _FULL, seed=seed)
    ships = figures["advantage"]["specificity"] > 0
    facts = cards.card(
        "sleep",
        model,
        purpose="asleep or awake and the stage (light, deep, REM) of every 30 s, from movement and heart rate, on the phone"
        if ships
        else "the count rule ships instead: the model did not find more wake at the same sensitivity",
        limits=held.LIMITS,
        data=cards.data_facts(walch, population="adults", sha256=walch.digest(folder)),
        training=[night.person for night in training.nights],
        held_out=[night.person for night in held_out.nights],
        settings={
            "seed": seed,
            "units": units,
            "chunk_epochs": CHUNK,
            "epochs": SETTINGS.epochs,
            "batch": SETTINGS.batch,
            "learning_rate": SETTINGS.learning_rate,
            "threshold": level,
            "tensorflow": version("tensorflow"),
        },
        sources=SOURCES,
        figures=figures | {"ships": "model" if ships else "rule", "chosen_by": chosen, "rules": rules},
    )
    facts["threshold_set_on"] = sorted(one.person for one in unseen)
    floating.save(trained, floating.FOLDER / "sleep.npz")
    path = cards.write(out, "sleep", model, facts, page(facts))
    if not ships:
        path.unlink()
        return path.with_suffix(".json")
    return path


def _people(nights: list[walch.Night]) -> People:
    return People(nights, [read(night) for night in nights])


def _fit(tf_keras: Any, people: People, units: int, seed: int) -> floating.Network:
    without: list[Sequence] = [read(night, heart_rate=False) for night in people.nights[::WITHOUT_HEART_RATE]]
    start = floating.initial(INPUTS, units, _HEADS, seed)
    return network.train(tf_keras, start, chunks([*people.sequences, *without]), SETTINGS, seed=seed)


def _cross_validated(tf_keras: Any, people: People, units: int, seed: int) -> list[Scored]:
    """Everybody scored by a network that has not seen them."""
    fold = np.random.default_rng(seed).permutation(len(people.nights)) % FOLDS
    result = []
    for number in range(FOLDS):
        print(f"cross-validation: {units} units, fold {number + 1} of {FOLDS}", flush=True)
        trained = _fit(tf_keras, _chosen(people, fold != number), units, seed)
        result += held.in_float(trained, _chosen(people, fold == number))
    return result


def _chosen(people: People, which: NDArray[np.bool_]) -> People:
    rows = np.flatnonzero(which).tolist()
    return People([people.nights[i] for i in rows], [people.sequences[i] for i in rows])


def _rules(training: People, held_out: People, seed: int) -> dict[str, dict[str, float]]:
    """Each rule's scale, set on the people of the training, and its threshold, set on everybody as the model's is."""
    result = {}
    for name in RULES:
        scales = SADEH_SCALES if name.startswith("sadeh") else (1.0,)
        best, scale = max((specificity_at(held.by_rule(name, scale, training)), scale) for scale in scales)
        everybody = held.by_rule(name, scale, training) + held.by_rule(name, scale, held_out)
        result[name] = {"scale": scale, "threshold": assured_threshold(everybody, seed=seed), "specificity_at_90": best}
    return result
