"""The figures of `stress` for a person."""

from collections import Counter
from typing import Any


def table(result: dict[str, Any]) -> str:
    """The figures for a person."""
    model, silent = result["model"], result["silent"]
    lines = [
        f"{result['dataset']}: {model['name']} on {result['people']} people it was not trained on, {result['rows']} windows of 4 s",
        f"label: {result['label']}",
    ]
    if "reason" in model:
        lines.append(f"no headline: {model['reason']}")
    else:
        lines += ["", *_scores(model, result["controls"]), "", _decisions(model, result["calibration"])]
    lines.append(
        f"silent in {_percent(silent['share'])} of {silent['windows']} windows: off the wrist {_percent(silent['off_wrist'])}, "
        f"warming up {_percent(silent['warming_up'])}"
    )
    lines += ["", f"{'person':<12}{'windows':>8}{'AUROC':>8}"]
    for one in result["per_person"]:
        seen = "   in training, not in the headline" if one["person"] in result["in_training"] else ""
        lines.append(f"{one['person']:<12}{one['n']:>8}{_figure(one['auroc']):>8}{seen}")
    lines += [f"skipped {one['person']}: {one['why']}" for one in result["skipped"]]
    tolerated = Counter(name for name, warnings in result["warnings"].items() for _ in warnings)
    lines += [f"{name}: {count} things in the recording were tolerated, see the JSON" for name, count in tolerated.items()]
    return "\n".join(lines)


def _scores(model: dict[str, Any], controls: dict[str, Any]) -> list[str]:
    ends = model["ci95"]["auroc"]
    interval = f"95 % over {model['ci95']['over']} {ends[0]:.3f}–{ends[1]:.3f}" if ends else ""
    rows = [
        ("the shipped file (int8)", model["auroc_int8"], ""),
        ("the same network in float", None if "float" in model else model["auroc"], interval),
        ("logistic regression, same inputs and smoothing", controls["logistic_regression"]["auroc"], ""),
        ("elapsed time alone (clock)", controls["clock_only"]["auroc"], ""),
        ("LEAKY: windows split at random, not people", controls["leaky_split"]["auroc"], ""),
    ]
    return [f"{'':<48}{'AUROC':>7}", *(f"{name:<48}{_figure(value):>7}   {more}".rstrip() for name, value, more in rows)]


def _decisions(model: dict[str, Any], calibration: dict[str, Any]) -> str:
    parts = [f"at 0.5: balanced accuracy {_figure(model['balanced_accuracy'])}, F1 {_figure(model['f1'])}"]
    parts.append(f"int8 decides otherwise than float in {_percent(model['flips'])}")
    return "; ".join([*parts, f"calibration error {_figure(calibration['ece'])}"])


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
