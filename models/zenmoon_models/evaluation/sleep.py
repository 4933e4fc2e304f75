"""Sleep, scored: the shipped file as the phone runs it, on nights of people that it was not made from, beside the count rules.

Sleep is the positive class: `sensitivity` is sleep found, `specificity` wake found, at the file's own threshold. The rules stand
at the thresholds that were set on the card's training people, and where they find as much sleep as the model does here. Heart
rate comes from the raw table alone: without it, or where it cannot be laid over the epochs, it is missing, as it may be on a
phone; the set's own `hr_feature` looks ahead and over the whole night and is never read. Nothing is fitted for the model.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zenmoon_edge.models
from zenmoon_edge.core.errors import EdgeError
from zenmoon_edge.core.sleep import Sleep

from zenmoon_models.datasets import walch
from zenmoon_models.errors import ModelsError
from zenmoon_models.evaluation import controls
from zenmoon_models.evaluation.sleep_table import table
from zenmoon_models.tinylstm import floating, scores
from zenmoon_models.tinylstm import sleep_held_out as held
from zenmoon_models.tinylstm import sleep_scores as sleep
from zenmoon_models.tinylstm.sleep_held_out import People
from zenmoon_models.tinylstm.sleep_scores import Scored
from zenmoon_models.tinylstm.sleep_sequences import read

__all__ = ["MODEL", "evaluate", "table"]

MODEL = Path(zenmoon_edge.models.__file__).with_name("sleep.tflite")
SEED = 2026
CLOCK_STRETCH = 10.0  # the clock of `controls` tells single minutes apart, too fine for a night: ten pass as one
_OTHER = 0.05  # int8 leaves a mean difference of some thousandths; this is another network
_FULL = 255.0
_KEYS = ("auroc", "sensitivity", "specificity", "kappa", "tst_bias_min", "specificity_at_90", "stage_kappa")


def evaluate(folder: Path, *, model: Path = MODEL) -> dict[str, Any]:
    """The figures of contracts.md for a folder in the layout of Walch's set (see zenmoon_models.datasets.walch).

    Args:
        folder: of the tables.
        model: a .tflite with its card beside it; the float network is looked for under the same name.

    Raises:
        ModelsError: `data` when the folder, a table or the model is not what it should be, `extra` without pyarrow.
    """
    data, card = _shipped(model)
    threshold = Sleep(data).threshold / _FULL
    nights = walch.nights(Path(folder))
    people = _people(nights)
    names = [night.person for night in people.nights]
    in_training = [name for name in names if name in card["training"]]
    unseen = [i for i, name in enumerate(names) if name not in in_training]
    every = held.by_model(data, people)
    return {
        "dataset": "walch_sleep_accel",
        "people": len(unseen),
        "rows": sum(len(every[i].stage) for i in unseen),
        "in_training": in_training,
        "model": {"name": card["name"]} | _headline(data, [every[i] for i in unseen], _those(people, unseen), model),
        "controls": _controls(card, people, every, unseen, threshold),
        "per_person": [held.rounded(held.person(one, threshold)) for one in every],
        "heart_rate": {
            night.person: round(float(np.isfinite(night.heart_rate[np.isfinite(night.counts)]).mean()), 4)
            for night in people.nights
        },
        "skipped": _skipped(nights, names),
        "notes": _notes(card, [names[i] for i in unseen]),
    }


def _people(nights: list[walch.Night]) -> People:
    """Those with an epoch that counts."""
    everybody = People(nights, [read(night) for night in nights])
    kept = [i for i, counted in enumerate(everybody.counted()) if counted.any()]
    if not kept:
        raise ModelsError("data", "no night has an epoch with counts and a stage after the first five minutes: restore the table")
    return People([everybody.nights[i] for i in kept], [everybody.sequences[i] for i in kept])


def _notes(card: dict[str, Any], unseen: list[str]) -> list[str]:
    count = len({*unseen} & {*card.get("threshold_set_on", [])})
    if not count:
        return []
    return [
        (
            f"the threshold was set on {count} of these people too: AUROC and specificity_at_90 do not depend on it, "
            "sensitivity, specificity, kappa and TST bias do"
        )
    ]


def _skipped(nights: list[walch.Night], names: list[str]) -> list[dict[str, str]]:
    why = "no epoch with counts and a stage after the first five minutes"
    return [{"person": night.person, "why": why} for night in nights if night.person not in names]


def _those(people: People, which: list[int]) -> People:
    return People([people.nights[i] for i in which], [people.sequences[i] for i in which])


def _headline(data: bytes, int8: list[Scored], counted: People, model: Path) -> dict[str, Any]:
    threshold = Sleep(data).threshold / _FULL
    if not int8:
        why = "everybody in this folder is in the model's training list: name people it has not seen"
        return {**dict.fromkeys(_KEYS), "auroc_int8": None, "flips": None, "ci95": {"auroc": None}, "reason": why}
    found: dict[str, Any] = sleep.figures(int8, threshold)
    found["auroc_int8"] = found["auroc"]
    real, absent = _float(counted, int8, model, threshold)
    if real:
        found["auroc"] = sleep.figures(real, threshold)["auroc"]
        found["flips"] = scores.flips(sleep.pooled(int8)[1], sleep.pooled(real)[1], threshold)
    else:
        found |= {"flips": None, "float": f"{absent}: auroc is that of the int8 file"}
    found["ci95"] = held.intervals(int8, threshold, seed=SEED) if _drawable(int8) else {"auroc": None}
    found["without_heart_rate"] = sleep.figures(held.by_model(data, counted, heart_rate=False), threshold)
    found["counts_two_minutes_late"] = sleep.figures(held.by_model(data, counted, delay=held.DELAY), threshold)
    found["threshold"] = threshold
    return held.rounded(found)


def _drawable(people: Sequence[Scored]) -> bool:
    """Whether an interval over these people says anything: two of them both slept and lay awake."""
    return sum(len(np.unique(one.asleep)) == 2 for one in people) >= 2


def _float(people: People, int8: list[Scored], model: Path, threshold: float) -> tuple[list[Scored], str]:
    """The network in floating point on the same epochs, or why it is not there."""
    path = floating.FOLDER / f"{model.stem}.npz"
    if not path.is_file():
        return [], f"no float network was kept for this file ({path.name})"
    try:
        network = floating.load(path)
        real = held.in_float(network, people, threshold)
    except (KeyError, OSError, TypeError, ValueError) as error:
        return [], f"{path.name} cannot be read ({error})"
    if np.mean(np.abs(sleep.pooled(int8)[1] - sleep.pooled(real)[1])) > _OTHER:
        return [], f"{path.name} is the float of another network than this file"
    return real, ""


def _controls(card: dict[str, Any], people: People, every: list[Scored], unseen: list[int], threshold: float) -> dict[str, Any]:
    names = ("clock_only", "logistic_regression", "leaky_split")
    if not unseen:
        return {"rule": {"auroc": None, "specificity": None}, **{name: {"auroc": None} for name in names}}
    int8 = [every[i] for i in unseen]
    found_sleep = scores.sensitivity(*_decided(int8, threshold))
    counted = people.counted()
    sessions = [
        controls.Session(
            sequence.person,
            sequence.inputs.astype(np.float64),
            np.arange(len(sequence.stage)) * walch.EPOCH_S / CLOCK_STRETCH,
            np.where(rows, sequence.stage > 0, -1).astype(np.int8),
            rows,
        )
        for sequence, rows in zip(people.sequences, counted, strict=True)
    ]
    columns = (
        controls.clock_only(sessions),
        controls.logistic_regression(sessions, 1.0),
        controls.leaky_split(sessions, seed=SEED),
    )
    result: dict[str, Any] = {"rule": _rules(card, people, int8, unseen, found_sleep)}
    for name, column in zip(names, columns, strict=True):
        result[name] = {"auroc": None}
        if column is not None:
            scored = [
                Scored(int8[j].person, people.sequences[i].stage[counted[i]], column[i][counted[i]]) for j, i in enumerate(unseen)
            ]
            asleep, score = sleep.pooled(scored)
            result[name] = {"auroc": scores.auroc(asleep, score), "specificity_at_90": sleep.specificity_at(scored)}
    result["leaky_split"]["leaky"] = True
    return held.rounded(result)


def _rules(card: dict[str, Any], people: People, int8: list[Scored], unseen: list[int], found_sleep: float) -> dict[str, Any]:
    """Each rule at its threshold and, as `specificity_at_equal`, where it finds as much sleep as the model; on top the best of
    them at equal sensitivity, the best of them at 90 %, and how much more wake than that one the model finds at 90 %."""
    scored = {}
    result: dict[str, Any] = {}
    for name, rule in card["held_out_figures"]["rules"].items():
        every = held.by_rule(name, rule["scale"], people)
        scored[name] = [every[i] for i in unseen]
        equal = sleep.specificity_at(scored[name], found_sleep) if found_sleep > 0 else float("nan")
        result[name] = sleep.figures(scored[name], rule["threshold"]) | {"specificity_at_equal": equal}

    def best_by(figure: str) -> str:
        return max(result, key=lambda name: float(np.nan_to_num(result[name][figure], nan=-1.0)))

    best, best_at_90 = best_by("specificity_at_equal"), best_by("specificity_at_90")
    pairs = list(zip(int8, scored[best_at_90], strict=True))
    top = {
        "name": best,
        "auroc": result[best]["auroc"],
        "sensitivity": found_sleep,
        "specificity": result[best]["specificity_at_equal"],
        "name_at_90": best_at_90,
        "specificity_at_90": result[best_at_90]["specificity_at_90"],
        "model_finds_more_at_90": sleep.gain(pairs),
        "model_finds_more_at_90_ci95": scores.interval(pairs, sleep.gain, seed=SEED) if _drawable(int8) else None,
    }
    return top | result


def _decided(people: Sequence[Scored], threshold: float) -> tuple[Any, Any]:
    asleep, score = sleep.pooled(people)
    return asleep, score >= threshold


def _shipped(model: Path) -> tuple[bytes, dict[str, Any]]:
    """The file and its card, which must be of one another: `in_training` is read from the card."""
    try:
        data, card = model.read_bytes(), json.loads(model.with_suffix(".json").read_text("utf-8"))
        own = card["file"]["sha256"] == hashlib.sha256(data).hexdigest() and bool(card["held_out_figures"]["rules"])
        Sleep(data)
    except (OSError, ValueError, KeyError, EdgeError) as error:
        raise ModelsError("data", f"{model} cannot be scored ({error}): restore the file and its card") from error
    if not own:
        raise ModelsError("data", f"{model.with_suffix('.json')} is the card of another file: run `make train`")
    return data, dict(card)
