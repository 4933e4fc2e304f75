"""The model card: facts as JSON, and the page that people read, made from it."""

import hashlib
from pathlib import Path
from typing import Any

import zenmoon_edge.core.features

import zenmoon_models.tinylstm
from zenmoon_models.datasets import stress_predict


def code_digest() -> str:
    """SHA-256 over the sources that decide the result: features and runner of the wearable, reader and training."""
    core = Path(zenmoon_edge.core.features.__file__).parent
    training = Path(zenmoon_models.tinylstm.__file__).parent
    sources = [core / name for name in ("second.py", "features.py", "strain.py", "tinylstm.py", "lstm.py")]
    sources += [core / "operators.py", core / "fixed_point.py", Path(stress_predict.__file__)]
    sources += [training / name for name in ("sequences.py", "network.py", "conversion.py", "evaluation.py")]
    total = hashlib.sha256()
    for path in sources:
        total.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def card(
    model: bytes, *, training: list[str], held_out: list[str], figures: dict[str, Any], settings: dict[str, Any], data: str
) -> dict[str, Any]:
    """Everything that is known about a model file."""
    digest = hashlib.sha256(model).hexdigest()
    return {
        "name": f"wearable-{digest[:4]}",
        "file": {"sha256": digest, "bytes": len(model), "licence": "Apache-2.0"},
        "purpose": "strain: arousal against this wearer's usual, 0–1; anomaly: how unusual the last minute was, 0–1",
        "limits": [
            "Adult results; not a diagnosis.",
            "Trained on laboratory stress tasks; talking, walking and heat also raise arousal.",
            "Not tested on children. Quality bits say when to say nothing.",
        ],
        "data": {
            "name": stress_predict.NAME,
            "licence": stress_predict.LICENCE,
            "citation": stress_predict.CITATION,
            "population": "adults",
            "sha256": data,
        },
        "training": training,
        "held_out": held_out,
        "settings": settings,
        "code_sha256": code_digest(),
        "held_out_figures": figures,
    }


def page(card: dict[str, Any]) -> str:
    """The card as Markdown."""
    figures = card["held_out_figures"]
    controls = figures["controls"]
    low, high = figures["ci95_auroc"]
    interval = f"95 % over people {low:.2f}–{high:.2f}; mean of people {figures['auroc_mean_of_people']:.3f}"
    people = "\n".join(f"| {p['person']} | {p['n']} | {p['auroc']:.3f} |" for p in figures["per_person"])
    limits = "\n".join(f"- {limit}" for limit in card["limits"])
    settings = ", ".join(f"{name} {value}" for name, value in card["settings"].items())
    return f"""# {card["name"]}

{card["purpose"].capitalize()}.

{limits}

Data: {card["data"]["name"]} ({card["data"]["population"]}, {card["data"]["licence"]}). {card["data"]["citation"]}.

## People held out
{len(card["held_out"])} people that training never saw, {figures["rows"]} windows of 4 s, {figures["task_share"]:.0%} in a task.
The shipped int8 file, smoothing and warm-up included.

| scored | AUROC |
|---|---|
| **shipped model (int8)** | **{figures["auroc_int8"]:.3f}** ({interval}) |
| same network in float | {figures["auroc_float"]:.3f} |
| logistic regression on the same inputs, smoothed alike | {controls["logistic_regression"]["auroc"]:.3f} |
| elapsed time alone (no physiology) | {controls["clock_only"]["auroc"]:.3f} |

The last row is why no input grows with time: a clock solves this protocol, and a clock is of no use on a wrist.
Balanced accuracy at 0.5: {figures["balanced_accuracy"]:.3f}, F1 {figures["f1"]:.3f}.
int8 decides otherwise than float in {figures["flips"]:.1%} of the windows.

| person | windows | AUROC |
|---|---|---|
{people}

## How it was made
`python -m zenmoon_models.tinylstm train --data DIR`: one run, no tuning; {settings}.
Training: {", ".join(card["training"])}.

File: {card["file"]["bytes"]} bytes, SHA-256 `{card["file"]["sha256"]}`
Data: SHA-256 `{card["data"]["sha256"]}`
Code: SHA-256 `{card["code_sha256"]}`
"""
