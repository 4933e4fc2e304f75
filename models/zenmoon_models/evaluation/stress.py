"""Strain, scored: the shipped file as the wearable runs it, on people that it was not made from, beside what tells it from a clock.

`auroc` is that of the network in floating point, `auroc_int8` that of the file that ships (smoothing, warm-up and the record's
8 bits included; both are the same where no float was kept). Everything else is the file's. Only rows on which the model speaks
and the label is known count; they are pooled over people and each person is listed. Nothing here is fitted for the model.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zenmoon_edge.models
from numpy.typing import NDArray
from zenmoon_edge.core.errors import EdgeError
from zenmoon_edge.core.record import CONTACT, STILL
from zenmoon_edge.core.strain import Strain

from zenmoon_models.errors import ModelsError
from zenmoon_models.evaluation import controls, layouts, reference, windows
from zenmoon_models.evaluation.stress_table import table
from zenmoon_models.evaluation.windows import Windows
from zenmoon_models.tinylstm import floating, scores

__all__ = ["MODEL", "evaluate", "table"]

MODEL = Path(zenmoon_edge.models.__file__).with_name("wearable.tflite")
SEED = 2026
THRESHOLD = 0.5
_DIGITS = 4

Say = Callable[[str], None]
Rows = tuple[NDArray[np.bool_], scores.Scores]


def evaluate(folder: Path, *, model: Path = MODEL, say: Say | None = None) -> dict[str, Any]:
    """The figures of contracts.md for a folder in the layout of stress_predict, exam_stress or nurse_stress.

    Args:
        folder: of the recordings.
        model: a .tflite with its card beside it; the float network is looked for under the same name.
        say: gets a line for each recording; default: standard error.

    Raises:
        ModelsError: `data` when the folder, a recording or the model is not what it should be, `extra` without pyarrow.
    """
    data, card = _shipped(model)
    with layouts.found(Path(folder)) as layout:
        labelled = [source for source in layout.sources if source.labels or layout.over == "sessions"]
        read = windows.read_all(labelled, data, say or _to_standard_error)
    people = sorted({session.person for session in read})
    mute = [p for p in people if not any(s.scored.any() for s in read if s.person == p)]
    skipped = layout.skipped + [{"person": p, "why": "no window with a label on which the model speaks"} for p in mute]
    everybody = [session for session in read if session.person not in mute]
    if not everybody:
        raise ModelsError(
            "data",
            f"{folder} holds no window with a label on which the model speaks: look whether the labels or reports are of these "
            "recordings, and their times in unix seconds (UTC)",
        )
    in_training = [p for p in people if p in card["training"] and p not in mute]
    unseen = [session for session in everybody if session.person not in in_training]
    counted = [session for session in unseen if session.scored.any()]
    result: dict[str, Any] = {
        "dataset": layout.dataset,
        "people": len({session.person for session in counted}),
        "rows": sum(int(session.scored.sum()) for session in counted),
        "in_training": in_training,
        "model": _headline(card, data, counted, model, layout.over),
        "controls": _controls(everybody, counted, reference.smoothing_gain(data)),
        "per_person": [_person(p, everybody) for p in people if p not in mute],
        "label": layout.label,
        "notes": layout.notes,
        "distribution": _distribution(counted),
        "calibration": _calibration(counted),
        "silent": _silent(unseen or everybody),
        "heart_rate_bpm": _heart_rate(unseen or everybody),
        "ablation": card["held_out_figures"].get("ablation"),
        "streaming": card["held_out_figures"].get("streaming"),
        "skipped": skipped,
        "warnings": {
            session.session: session.warnings for session in read if session.warnings and layout.dataset == "stress_predict"
        },
    }
    if layout.dataset != "stress_predict":
        result["per_session"] = [_session(session) for session in everybody if session.scored.any()]
    return result


def _shipped(model: Path) -> tuple[bytes, dict[str, Any]]:
    """The file and its card, which must be of one another: `in_training` is read from the card."""
    try:
        data, card = model.read_bytes(), json.loads(model.with_suffix(".json").read_text("utf-8"))
        own = card["file"]["sha256"] == hashlib.sha256(data).hexdigest()
        known = {name: card[name] for name in ("name", "training", "held_out_figures")}
        Strain(data)
    except (OSError, ValueError, KeyError, EdgeError) as error:
        raise ModelsError("data", f"{model} cannot be scored ({error}): restore the file and its card") from error
    if not own:
        raise ModelsError("data", f"{model.with_suffix('.json')} is the card of another file: run `make train`")
    return data, known


def _headline(card: dict[str, Any], data: bytes, counted: Sequence[Windows], model: Path, over: str) -> dict[str, Any]:
    keys = ("auroc", "balanced_accuracy", "f1", "auroc_int8", "flips")
    if not counted:
        why = "everybody in this folder is in the model's training list, or has no window that counts: name people it has not seen"
        return {"name": card["name"], **dict.fromkeys(keys), "ci95": {"auroc": None}, "reason": why}
    columns, absent = reference.strain(counted, floating.FOLDER / f"{model.stem}.npz", reference.smoothing_gain(data))
    plain = columns or [session.strain for session in counted]
    label = np.concatenate([session.label[session.scored] == 1 for session in counted])
    int8 = np.concatenate([session.strain[session.scored] for session in counted])
    real = np.concatenate([column[session.scored] for column, session in zip(plain, counted, strict=True)])
    decided = int8 >= THRESHOLD
    found: dict[str, Any] = {
        "auroc": scores.auroc(label, real),
        "balanced_accuracy": scores.balanced_accuracy(label, decided),
        "f1": scores.f1(label, decided),
        "auroc_int8": scores.auroc(label, int8),
        "flips": None if absent else scores.flips(int8, real, THRESHOLD),
    }
    groups = _groups(counted, over) if _drawable(counted) else []
    found["ci95"] = {
        "auroc": _interval([_pooled(group, [plain[i] for i in where]) for group, where in groups]),
        "auroc_int8": _interval([_pooled(group, [session.strain for session in group]) for group, _ in groups]),
        "over": over,
    }
    if absent:
        found["float"] = f"{absent}: auroc is that of the int8 file"
    return {"name": card["name"], **_rounded(found)}


def _groups(sessions: Sequence[Windows], over: str) -> list[tuple[list[Windows], list[int]]]:
    """What the interval draws: (sessions, their places), by person or one by one."""
    if over == "sessions":
        return [([session], [i]) for i, session in enumerate(sessions)]
    names = sorted({session.person for session in sessions})
    places = [[i for i, session in enumerate(sessions) if session.person == name] for name in names]
    return [([sessions[i] for i in where], where) for where in places]


def _drawable(sessions: Sequence[Windows]) -> bool:
    """Whether an interval says anything: two people have both classes."""
    label = [_pooled(group, [session.strain for session in group])[0] for group, _ in _groups(sessions, "people")]
    return sum(len(np.unique(one)) == 2 for one in label) >= 2


def _pooled(sessions: Sequence[Windows], columns: Sequence[scores.Scores]) -> Rows:
    return (
        np.concatenate([session.label[session.scored] == 1 for session in sessions]),
        np.concatenate([column[session.scored] for column, session in zip(columns, sessions, strict=True)]),
    )


def _interval(groups: list[Rows]) -> list[float] | None:
    if len(groups) < 2:
        return None

    def auroc(drawn: list[Rows]) -> float:
        return scores.auroc(np.concatenate([rows[0] for rows in drawn]), np.concatenate([rows[1] for rows in drawn]))

    return scores.interval(groups, auroc, seed=SEED)


def _controls(everybody: Sequence[Windows], counted: Sequence[Windows], gain: float) -> dict[str, Any]:
    """Fitted on everybody of the folder but the person scored, scored on the rows of the headline."""
    names = ("clock_only", "logistic_regression", "leaky_split")
    if not counted:
        return {name: {"auroc": None} for name in names}
    known = [controls.Session(s.person, s.inputs, s.elapsed_s, s.label, s.worn) for s in everybody]
    found = (
        controls.clock_only(known),
        controls.logistic_regression(known, gain),
        controls.leaky_split(known, seed=SEED),
    )
    places = [i for i, session in enumerate(everybody) if any(session is one for one in counted)]
    result = {}
    for name, columns in zip(names, found, strict=True):
        rows = columns and _pooled([everybody[i] for i in places], [columns[i] for i in places])
        result[name] = _rounded({"auroc": scores.auroc(*rows) if rows else None})
    result["leaky_split"]["leaky"] = True
    return result


def _person(name: str, sessions: Sequence[Windows]) -> dict[str, Any]:
    own = [session for session in sessions if session.person == name and session.scored.any()]
    label, strain = _pooled(own, [session.strain for session in own])
    return _rounded({"person": name, "n": len(label), "auroc": scores.auroc(label, strain)})


def _session(session: Windows) -> dict[str, Any]:
    label, strain = _pooled([session], [session.strain])
    facts = {"session": session.session, "person": session.person, "n": len(label), "of_label_1": int(label.sum())}
    return _rounded({**facts, "auroc": scores.auroc(label, strain), "heart_rate_bpm": _heart_rate([session])})


def _distribution(sessions: Sequence[Windows]) -> dict[str, Any]:
    """Of the people's own AUROC, those of the headline who have both classes."""
    own = [_person(name, sessions)["auroc"] for name in sorted({session.person for session in sessions})]
    known = [value for value in own if value is not None]
    if not known:
        return {"people": 0}
    names = ("lowest", "p25", "median", "p75", "highest")
    quantiles = dict(zip(names, np.quantile(known, (0, 0.25, 0.5, 0.75, 1)).tolist(), strict=True))
    below = sum(value < 0.5 for value in known)
    return _rounded({"people": len(known), "mean": float(np.mean(known)), **quantiles, "below_half": below})


def _calibration(sessions: Sequence[Windows]) -> dict[str, Any]:
    if not sessions:
        return {"ece": None, "bins": []}
    error, bins = scores.calibration(*_pooled(sessions, [session.strain for session in sessions]))
    return {"ece": round(error, _DIGITS), "bins": [_rounded(one._asdict()) for one in bins]}


def _silent(sessions: Sequence[Windows]) -> dict[str, Any]:
    """When the model says nothing and why, over all windows of the people not in training, labelled or not."""
    worn, ready = (np.concatenate([getattr(session, name) for session in sessions]) for name in ("worn", "ready"))
    quality, motion = (np.concatenate([getattr(session, name) for session in sessions])[ready] for name in ("quality", "motion"))
    return _rounded(
        {
            "windows": len(worn),
            "share": float(1 - ready.mean()),
            "off_wrist": float(1 - worn.mean()),
            "warming_up": float((worn & ~ready).mean()),
            "of_the_rest": {
                "without_pulse_contact": _share((quality & CONTACT) == 0),
                "in_motion": _share((quality & STILL)[np.isfinite(motion)] == 0),
                "without_motion_sensor": _share(~np.isfinite(motion)),
            },
        }
    )


def _heart_rate(sessions: Sequence[Windows]) -> dict[str, float | None]:
    """Means by label, worn and at all: on a table the band's pulse sensor sees a pulse too."""
    columns = {name: np.concatenate([getattr(s, name) for s in sessions]) for name in ("label", "heart_rate", "worn")}
    known = np.isfinite(columns["heart_rate"])
    result: dict[str, Any] = {}
    for label in (1, 0):
        rows = known & (columns["label"] == label)
        result[f"label_{label}_worn"] = _mean(columns["heart_rate"][rows & columns["worn"]])
        result[f"label_{label}_at_all"] = _mean(columns["heart_rate"][rows])
    return {name: None if value is None else round(value, 1) for name, value in result.items()}


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None


def _share(flags: NDArray[np.bool_]) -> float | None:
    return float(flags.mean()) if len(flags) else None


def _rounded(facts: dict[str, Any]) -> dict[str, Any]:
    """Numbers to four digits, NaN as None, however deep they stand."""
    return {name: _plain(value) for name, value in facts.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return _rounded(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return None if np.isnan(value) else round(value, _DIGITS)
    return value


def _to_standard_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
