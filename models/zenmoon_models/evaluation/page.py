"""docs/evaluation.md, made from the results: no figure in it is typed by anybody."""

from collections.abc import Sequence
from typing import Any

from zenmoon_models.evaluation import pictures

DISCRIMINATION, RELIABILITY = "evaluation/strain.svg", "evaluation/reliability.svg"
_SETS = {"stress": "Stress-Predict", "exam": "Exam stress", "nurse": "Nurse stress"}
_STEPS = {
    "auroc_int8": "the shipped file (int8, one step at a time)",
    "auroc": "the same network in float",
}
_INTRODUCTION = (
    "# Evaluation",
    "Made by `make evaluate` from the files of [evaluation/](evaluation/); no figure here is typed by hand. All people are adults.",
    (
        "```sh\n"
        "python tools/evaluate.py stress --data DIR --json FILE   # any folder in the layout of one of the three sets below\n"
        "python tools/evaluate.py sleep --data DIR --json FILE\n"
        "```"
    ),
    (
        "The model scored is always the shipped file, run as the wearable runs it, and is never fitted on the folder. Controls\n"
        "are fitted on everybody but the person they score. People whom the model's card names as training stay out of the figures."
    ),
)
_KEYS = (
    ("key", ""),
    ("---", "---"),
    (
        "`people`, `rows`",
        "people and windows of 4 s of the headline: not in the training list, the model speaks, the label is known",
    ),
    ("`in_training`", "people of the folder whom the card names as training; scored in `per_person`, left out of everything else"),
    (
        "`model.auroc`",
        (
            "of the network in floating point, smoothed as the wearable smooths; that of the file where no float was kept "
            "(`model.float` says so)"
        ),
    ),
    (
        "`model.auroc_int8`",
        (
            "of the shipped file as the wearable runs it: smoothing, warm-up and the record's 8 bits included; so are "
            "`balanced_accuracy` and `f1` (at 0.5), `per_person`, `calibration`"
        ),
    ),
    ("`model.flips`", "share of the windows that float and file decide otherwise at 0.5"),
    (
        "`model.ci95`",
        (
            "95 % intervals: people (nurse set: sessions) are drawn again, never windows; null with fewer than two people who have "
            "both classes"
        ),
    ),
    ("`model.reason`", "why there is no headline, where there is none"),
    ("`controls.clock_only`", "elapsed session time and nothing else, fitted on the others of the folder"),
    ("`controls.logistic_regression`", "the same inputs, smoothed alike, fitted on the others of the folder"),
    (
        "`controls.leaky_split`",
        "what a random split of windows would have claimed: five nearest windows, five folds. Never to be quoted",
    ),
    ("`calibration`", "bins of strain with the share of windows in a task; `ece` is the mean distance of the two"),
    ("`silent`", "share of all windows on which the model says nothing: off the wrist, or warming up; how the rest was measured"),
    ("`heart_rate_bpm`", "means by label, on worn windows and on all"),
    ("`skipped`, `warnings`", "people who could not be scored and why; what was tolerated in a recording"),
    ("`ablation`, `streaming`", "from the model's card: float → pruned → int8 → one step at a time"),
)
_SLEEP_KEYS = (
    ("key", ""),
    ("---", "---"),
    (
        "`people`, `rows`",
        (
            "people and epochs of 30 s of the headline: not in the training list, scored by polysomnography, with counts, and the "
            "model speaks"
        ),
    ),
    ("`in_training`", "people of the folder whom the card names as training; scored in `per_person`, left out of the headline"),
    ("`model.threshold`", "of the shipped file: at or above it an epoch is called sleep"),
    ("`model.auroc`", "of the network in floating point; that of the file where no float was kept (`model.float` says so)"),
    ("`model.auroc_int8`", "of the shipped file as the phone runs it, and so are all figures below"),
    ("`model.sensitivity`", "share of the sleep found at the threshold"),
    ("`model.specificity`", "share of the wake found at the threshold"),
    ("`model.kappa`", "Cohen's, of sleep and wake at the threshold; `stage_kappa`: of awake, light, deep and REM"),
    ("`model.tst_bias_min`", "minutes of sleep said too many at the threshold, mean over people (total sleep time)"),
    (
        "`model.specificity_at_90`",
        "share of the wake found where 90 % of the sleep of these people is found, whatever the threshold",
    ),
    ("`model.flips`", "share of the epochs that float and file decide otherwise at the file's threshold"),
    ("`model.ci95`", "95 % intervals: people are drawn again, never epochs; null with fewer than two who both slept and lay awake"),
    ("`model.without_heart_rate`", "the same file on the same epochs, heart rate withheld"),
    ("`model.counts_two_minutes_late`", "the same with the counts two minutes late, by when their smoothing no longer looks ahead"),
    ("`model.reason`", "why there is no headline, where there is none"),
    (
        "`controls.rule.NAME`",
        (
            "a rule of counts at the threshold that was set on the card's training people; `specificity_at_equal`: wake found "
            "where it finds as much sleep as the model does at its own threshold"
        ),
    ),
    (
        "`controls.rule.name`",
        "the best rule at equal sensitivity; `auroc`, `sensitivity` and `specificity` beside it are those of that comparison",
    ),
    (
        "`controls.rule.name_at_90`",
        "the best rule where 90 % of the sleep is found; `specificity_at_90` beside it is that rule's",
    ),
    (
        "`controls.rule.model_finds_more_at_90`",
        "`specificity_at_90` of the model less that of the rule `name_at_90`, and its 95 % interval over people (`…_ci95`)",
    ),
    ("`controls.clock_only`", "time since the first epoch and nothing else, fitted on the others of the folder"),
    ("`controls.logistic_regression`", "the same inputs, fitted on the others of the folder"),
    (
        "`controls.leaky_split`",
        "what a random split of epochs would have claimed: five nearest epochs, five folds. Never to be quoted",
    ),
    ("`heart_rate`", "share of each person's epochs with counts that have a heart rate"),
    ("`notes`", "what has to be known beside the figures"),
    ("`skipped`", "people who could not be scored and why"),
)


def page(results: dict[str, dict[str, Any]], tables: dict[str, str]) -> str:
    """The page.

    Args:
        results: by name (stress, exam, nurse, sleep), as `docs/evaluation/NAME.json`; those that are there.
        tables: of the results that have no section of their own, as `table` gives them.
    """
    parts = [*_INTRODUCTION]
    drawn = [(_SETS[name], results[name]) for name in _SETS if name in results]
    if drawn:
        parts.append(f"![AUROC of the shipped model, of every person and of the controls, by set]({DISCRIMINATION})")
    if "stress" in results:
        parts += _laboratory(results["stress"])
    if "exam" in results:
        parts += _exam(results["exam"])
    if "nurse" in results:
        parts += _nurse(results["nurse"])
    parts += [f"## {name.capitalize()}\n```text\n{text}\n```" for name, text in tables.items()]
    parts += [f"## What the keys of the JSON mean\n### stress\n{_meanings(_KEYS)}", f"### sleep\n{_meanings(_SLEEP_KEYS)}\n"]
    return "\n\n".join(parts)


def _meanings(keys: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"| {key} | {meaning} |" for key, meaning in keys)


def drawings(results: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The pictures that the page shows: path beside it → SVG."""
    drawn = [(_SETS[name], results[name]) for name in _SETS if name in results]
    found = {DISCRIMINATION: pictures.discrimination(drawn)} if drawn else {}
    if "stress" in results:
        found[RELIABILITY] = pictures.reliability(results["stress"]["calibration"])
    return found


def _laboratory(result: dict[str, Any]) -> list[str]:
    distribution, calibration = result["distribution"], result["calibration"]
    parts = [f"## Strain: people held out ({_SETS['stress']})\n{_lead(result)}", _scores(result), *_notes(result)]
    if distribution["people"]:
        lowest, p25, median, p75, highest = (_figure(distribution[name]) for name in ("lowest", "p25", "median", "p75", "highest"))
        parts.append(
            f"Of {distribution['people']} people's own AUROC the median is {median}; the middle half lies between {p25} and {p75}, "
            f"the lowest is {lowest}, the highest\n{highest}, and {distribution['below_half']} of them are below chance."
        )
    parts.append(_people(result))
    parts.append(
        f"### Calibration\nStrain is a scale, not a probability. The picture shows what share of the windows at each level are "
        f"tasks; the two differ by\n{_figure(calibration['ece'])} on average (expected calibration error), on the diagonal they "
        "would be the same.\n\n"
        f"![Reliability: share of windows in a task by strain]({RELIABILITY})"
    )
    ablation, streaming = _ablation(result["ablation"]), result.get("streaming")
    if ablation:
        parts.append(f"### From float to the wearable\nFrom the model's card, on the same people.\n\n{ablation}")
    if streaming:
        parts.append(
            f"Cut to one step a call, {streaming['different']} of {streaming['windows']} calls of {streaming['steps_a_window']} "
            "steps give other integers."
        )
    return parts


def _exam(result: dict[str, Any]) -> list[str]:
    heart = result["heart_rate_bpm"]
    rows = [
        (one["session"], one["n"], one["of_label_1"], one["auroc"], *one["heart_rate_bpm"].values())
        for one in result["per_session"]
    ]
    during, worn, at_all = (_figure(heart[name], 1) for name in ("label_1_worn", "label_0_worn", "label_0_at_all"))
    around = (
        f"While the band is worn, mean heart rate is {during} bpm during the exams and {worn} before and after them. Over "
        f"everything recorded it is {at_all} before\nand after, when the bands were mostly on no wrist: a pulse sensor finds a "
        "pulse there too."
    )
    columns = ("session", "windows", "of them exam", "AUROC", "bpm exam, worn", "bpm exam", "bpm around, worn", "bpm around")
    return [
        f"## Transfer: exams ({_SETS['exam']})\n{_lead(result)}",
        _scores(result),
        *_notes(result),
        around,
        f"<details><summary>Every student at every exam</summary>\n\n{_table(columns, rows)}\n\n</details>",
    ]


def _nurse(result: dict[str, Any]) -> list[str]:
    rows = [(one["session"], one["person"], one["n"], one["of_label_1"], one["auroc"]) for one in result["per_session"]]
    return [
        f"## Negative control: nurses ({_SETS['nurse']})\n{_lead(result)}",
        _scores(result),
        *_notes(result),
        _table(("session", "nurse", "windows", "of them stressful", "AUROC"), rows),
    ]


def _lead(result: dict[str, Any]) -> str:
    model, silent = result["model"], result["silent"]
    rest = silent["of_the_rest"]
    silence = ", ".join(f"{name.replace('_', ' ')} {_percent(silent[name])}" for name in ("off_wrist", "warming_up"))
    return (
        f"`{model['name']}` on {result['people']} people whom it has not seen, {result['rows']} windows of 4 s. "
        f"Label: {result['label']}.\n"
        f"The model is silent in {_percent(silent['share'])} of {silent['windows']} windows ({silence}). Of the rest, "
        f"{_percent(rest['without_pulse_contact'])} have no contact\nfor the pulse, and {_percent(rest['in_motion'])} of those "
        "with a motion sensor are in motion."
    )


def _scores(result: dict[str, Any]) -> str:
    model, controls = result["model"], result["controls"]
    if "reason" in model:
        return f"No headline: {model['reason']}."

    def interval(name: str) -> str:
        ends = model["ci95"].get(name)
        return f"{ends[0]:.3f}–{ends[1]:.3f} over {model['ci95']['over']}" if ends else "–"

    rows: list[Sequence[Any]] = [(f"**{_STEPS['auroc_int8']}**", model["auroc_int8"], interval("auroc_int8"))]
    if "float" not in model:
        rows.append((_STEPS["auroc"], model["auroc"], interval("auroc")))
    rows += [
        ("logistic regression on the same inputs, smoothed alike", controls["logistic_regression"]["auroc"], ""),
        ("elapsed time alone", controls["clock_only"]["auroc"], ""),
        ("*leaky*: windows split at random instead of people", controls["leaky_split"]["auroc"], ""),
    ]
    flips = "no float was kept" if model["flips"] is None else f"int8 decides otherwise than float in {_percent(model['flips'], 2)}"
    decided = f"At 0.5: balanced accuracy {_figure(model['balanced_accuracy'])}, F1 {_figure(model['f1'])}; {flips}."
    return f"{_table(('scored', 'AUROC', '95 %'), rows)}\n\n{decided}"


def _people(result: dict[str, Any]) -> str:
    counted = [one for one in result["per_person"] if one["person"] not in result["in_training"]]
    text = _table(("person", "windows", "AUROC"), [(one["person"], one["n"], one["auroc"]) for one in counted])
    seen = [(one["person"], one["n"], one["auroc"]) for one in result["per_person"] if one["person"] in result["in_training"]]
    if seen:
        more = _table(("person", "windows", "AUROC"), seen)
        text += f"\n\n<details><summary>{len(seen)} people in training (not counted)</summary>\n\n{more}\n\n</details>"
    for one in result["skipped"]:
        text += f"\n\nNot scored: {one['person']} ({one['why']})."
    return text


def _notes(result: dict[str, Any]) -> list[str]:
    return ["\n".join(f"- {note}" for note in result["notes"])]


def _ablation(steps: list[dict[str, Any]] | None) -> str:
    """The card's table, its columns as they come; "" for none."""
    if not steps:
        return ""
    columns = list(dict.fromkeys(name for step in steps for name in step))
    return _table([column.replace("_", " ") for column in columns], [[step.get(name) for name in columns] for step in steps])


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines: list[Sequence[Any]] = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}" if value > 1 else f"{value:.3f}"
    return "–" if value is None else str(value)


def _figure(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}%}"
