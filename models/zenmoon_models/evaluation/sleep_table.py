"""The figures of `sleep` for a person."""

from typing import Any

_COLUMNS = ("auroc", "sensitivity", "specificity", "specificity_at_90", "kappa", "tst_bias_min", "stage_kappa")
_HEAD = ("AUROC", "sleep", "wake", "wake@90", "kappa", "TST min", "stages")


def table(result: dict[str, Any]) -> str:
    """The figures for a person."""
    model, controls = result["model"], result["controls"]
    lines = [
        f"{result['dataset']}: {model['name']} on {result['people']} people it was not trained on, {result['rows']} epochs of 30 s",
        "adults; sleep = share of the sleep found, wake = share of the wake found, wake@90 = where 90 % of the sleep is found,",
        "TST min = minutes of sleep said too many a person, stages = kappa of awake, light, deep and REM",
    ]
    head = f"{'':<34}" + "".join(f"{name:>9}" for name in _HEAD)
    if "reason" in model:
        lines.append(f"no headline: {model['reason']}")
    else:
        rule = controls["rule"]
        lines += ["", head, _line("the shipped file (int8)", model | {"auroc": model["auroc_int8"]})]
        lines += [_line(f"  {name.replace('_', ' ')}", model[name]) for name in ("without_heart_rate", "counts_two_minutes_late")]
        lines += [_line(name.replace("_", " "), one) for name, one in rule.items() if isinstance(one, dict)]
        lines += [_line(name.replace("_", " "), controls[name]) for name in ("logistic_regression", "clock_only")]
        lines.append(_line("LEAKY: epochs split, not people", controls["leaky_split"]))
        lines.append(
            f"where 90 % of the sleep is found the model finds {_figure(model['specificity_at_90'])} of the wake, the best rule "
            f"there ({rule['name_at_90'].replace('_', ' ')}) {_figure(rule['specificity_at_90'])}"
        )
        lines.append(
            f"where the model finds {_figure(model['sensitivity'])} of the sleep it finds {_figure(model['specificity'])} of the "
            f"wake, the best rule ({rule['name'].replace('_', ' ')}) {_figure(rule['specificity'])}"
        )
        if "float" in model:
            lines.append(f"float: {model['float']}")
        else:
            lines.append(f"float: AUROC {_figure(model['auroc'])}; int8 decides otherwise in {model['flips']:.2%} of the epochs")
        spans = [f"{name.replace('_', ' ')} {_figure(v[0])}–{_figure(v[1])}" for name, v in model["ci95"].items() if v]
        lines.append(f"95 % over people: {', '.join(spans) or '–'}")
    lines += result["notes"]
    lines += ["", f"{'person':<14}{'epochs':>8}{'awake min':>12}" + head[34:]]
    for one in result["per_person"]:
        notes = ["in training, not in the headline"] if one["person"] in result["in_training"] else []
        notes += [] if result["heart_rate"][one["person"]] else ["no heart rate"]
        figures = "".join(f"{_figure(one.get(name)):>9}" for name in _COLUMNS)
        lines.append(f"{one['person']:<14}{one['n']:>8}{one['awake_min']:>12}{figures}   {', '.join(notes)}".rstrip())
    lines += [f"skipped {one['person']}: {one['why']}" for one in result["skipped"]]
    return "\n".join(lines)


def _line(name: str, found: dict[str, Any]) -> str:
    return f"{name:<34}" + "".join(f"{_figure(found.get(column)):>9}" for column in _COLUMNS)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
