"""The wearable's page for people, made of its card alone."""

from typing import Any

from zenmoon_models.tinylstm import card as cards
from zenmoon_models.tinylstm.card import Section

COMMAND = "python -m zenmoon_models.tinylstm train wearable --shared DIR"


def page(card: dict[str, Any]) -> str:
    """The card as Markdown."""
    figures = card["held_out_figures"]
    sections = [
        _strain(card, figures),
        Section("Strain by person", "", ("person", "windows", "AUROC"), [list(row.values()) for row in figures["per_person"]]),
        _candidates(figures),
        _heart_rate(figures["heart_rate"], card["settings"]),
        _faults(figures["anomaly"]),
        _exceeded(figures["anomaly"]),
        _ablation(figures),
    ]
    return cards.page(card, sections, command=COMMAND)


def _strain(card: dict[str, Any], figures: dict[str, Any]) -> Section:
    low, high = figures["ci95_auroc"]
    controls = figures["controls"]
    text = (
        f"{len(card['held_out'])} people that training never saw, {figures['rows']} windows of 4 s, "
        f"{figures['task_share']:.0%} in a task. The shipped int8 file, smoothing and warm-up included.\n\nThe last row is why "
        "no input grows with time: a clock solves this protocol, and a clock is of no use on a wrist. Strain is a scale, not "
        "a probability: among the training people as large a share of the tasks lies below 0.5 as of the rest above it, and "
        "0.75 is exceeded in a tenth of the rest. "
        f"At 0.5 on people held out: balanced accuracy {figures['balanced_accuracy']:.3f}, F1 {figures['f1']:.3f}, sensitivity "
        f"{figures['sensitivity']:.3f}, specificity {figures['specificity']:.3f}; int8 decides otherwise than float in "
        f"{figures['flips']:.2%} of the windows. Distance of strain from the share of task windows (ECE): {figures['ece']:.3f}."
    )
    rows = [
        ("**shipped model (int8)**", f"**{figures['auroc_int8']:.3f}** (95 % over people {low:.2f}–{high:.2f})"),
        ("mean of people", figures["auroc_mean_of_people"]),
        ("same network in float", figures["auroc_float"]),
        ("logistic regression, before it is scaled and quantised", controls["logistic_regression"]["auroc"]),
        ("logistic regression on conductance alone", controls["conductance_alone"]["auroc"]),
        ("elapsed time alone (no physiology)", controls["clock_only"]["auroc"]),
    ]
    return Section("Strain: people held out", text, ("scored", "AUROC"), rows)


def _candidates(figures: dict[str, Any]) -> Section:
    rows = [
        (row["candidate"], row["auroc"], f"{row['ci95'][0]:.2f}–{row['ci95'][1]:.2f}", row["auroc_mean_of_people"])
        for row in figures["candidates"]
    ]
    text = (
        "Chosen among the training people alone, each scored by a model that had not seen that person (six folds), smoothed "
        "as on the wearable. The logistic regression ships: a dense layer and a logistic function on the step's inputs, "
        "beside the LSTM in the same file."
    )
    return Section("Which head tells strain", text, ("candidate", "AUROC", "95 % over people", "mean of people"), rows)


def _heart_rate(figures: dict[str, Any], settings: dict[str, Any]) -> Section:
    rows = [
        (title, row["filter"], row["mae_clean"], row["mae_corrupted"], row["mae"])
        for title, name in (("people held out", "recordings"), ("simulated children", "simulated"))
        for row in figures[name]
    ]
    text = (
        "The LSTM says how much of each measurement to take in (`zenmoon_edge/core/strain.py`). Mean absolute error in bpm on "
        "sessions into which motion artefacts, jumps and gaps were put (`faults.py`); the truth is what was recorded before, "
        "or the simulated heart, which the sensor itself sees through an average of ten seconds. Filters with settings have "
        "the best ones for the training people. All are causal; the LSTM has "
        f"learnt of the training people and of {settings['simulated_children']} other simulated children."
    )
    for title, name in (("people held out", "recordings"), ("simulated children", "simulated")):
        own = next(row for row in figures[name] if row["filter"] == _OWN[0])["mae"]
        rival = min((row for row in figures[name] if row["filter"] not in _OWN), key=lambda row: row["mae"])
        verdict = "beats" if own < rival["mae"] else "does not beat"
        text += f"\n\nOn {title} it {verdict} the best of the other filters ({rival['filter']}): "
        text += f"{own:.2f} and {rival['mae']:.2f} bpm."
    return Section("Denoised heart rate", text, ("on", "filter", "where it is sound", "where it is spoilt", "all"), rows)


_OWN = ("shipped (int8)", "the same in float")


def _faults(anomaly: dict[str, Any]) -> Section:
    names = list(anomaly["mean_of_faults"])
    rows = [[row["fault"], row["channel"], *(row[name] for name in names)] for row in anomaly["faults"]]
    rows.append(["**mean**", "", *anomaly["mean_of_faults"].values()])
    text = (
        "Faults of two minutes, put into the raw seconds of people held out: AUROC of the steps of a fault against the same "
        "steps without it. `anomaly` is what ships; `loud`, `drift` and `quiet` are what it is made of "
        "(`zenmoon_edge/core/surprise.py`). Beside them: the change since the step before, and the deviation from the "
        "person's usual, neither with a network."
    )
    return Section("Anomaly: faults found", text, ("fault", "channel", *names), rows)


def _exceeded(anomaly: dict[str, Any]) -> Section:
    rows = [[row["person"], row["above_95"], row["above_99"]] for row in anomaly["exceeded"]]
    mean, interval = anomaly["mean_exceeded"], anomaly["ci95_exceeded"]
    cells = [f"{mean[name]:.3f} ({interval[name][0]:.3f}–{interval[name][1]:.3f})" for name in ("above_95", "above_99")]
    text = "Share of each person's steps without a fault whose anomaly is above a level; 0.050 and 0.010 would be exact."
    return Section("Anomaly: calibration", text, ("person", "≥ 0.95", "≥ 0.99"), [*rows, ["**mean** (95 % over people)", *cells]])


def _ablation(figures: dict[str, Any]) -> Section:
    rows = [list(row.values()) for row in figures["ablation"]]
    streaming, quantised = figures["streaming"], figures["quantisation"]
    ways = "; ".join(
        f"{row['quantised']}: {row['expectation_rmse']:.4f} standard deviations, {row['heart_rate_mae']:.3f} bpm"
        for row in quantised["compared"]
    )
    text = (
        f"One step a call against {streaming['steps_a_window']} steps a call, int8: {streaming['different']} of "
        f"{streaming['windows']} windows differ.\n\nRounding learnt in training (QAT) or applied after it (PTQ), from the same "
        f"pruned network with the same number of epochs, int8 on training people – {ways}. What ships is rounded "
        f"{quantised['chosen']}."
    )
    columns = ("stage", "strain AUROC", "expectation, RMSE", "heart rate sound, bpm", "heart rate spoilt, bpm", "bytes")
    return Section("From float to the file", text, columns, rows)
