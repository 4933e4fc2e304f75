"""The sleep model's card for people."""

from typing import Any

from zenmoon_models.tinylstm import card as cards
from zenmoon_models.tinylstm.sleep_held_out import CONTEXT

COMMAND = "python -m zenmoon_models.tinylstm train sleep --shared DIR"
_NAMES = {
    "cole_kripke": "Cole–Kripke, causal",
    "cole_kripke_published": "Cole–Kripke as published (knows the next 2 minutes)",
    "sadeh": "Sadeh, causal",
    "sadeh_published": "Sadeh as published (knows the next 5 minutes)",
}
_OTHERS = {
    "logistic_regression": "logistic regression on the model's inputs",
    "gradient_boosting": "gradient boosting on the inputs and their past (a ceiling)",
    "clock_only": "time since the start of the night alone",
    "majority": "always asleep",
}
_READ = (
    "No accuracy stands here: always saying asleep has the best. Sleep is the positive class. Thresholds of the model and of "
    "the rules were set alike, so that 99 of 100 groups of seven have 90 % of their sleep found: on everybody, each scored by a "
    "network that had not seen them. That criterion was chosen after others, set on the training people alone, had found less "
    "sleep than that in the people held out. So the columns sleep found, wake found, kappa and bias are no test of the "
    "threshold; AUROC and the wake found at 90 % do not depend on it and are. "
    "TST bias: minutes of sleep said too many, a mean over people. Counts two minutes late: by then nearly all that the "
    "publishers' smoothing took from later epochs is past."
)


def page(facts: dict[str, Any]) -> str:
    """The card as Markdown, made from the card's facts alone."""
    figures = facts["held_out_figures"]
    model, advantage, chosen = figures["model"], figures["advantage"], figures["chosen_by"]
    low, high = advantage["ci95"]
    ships = "The model ships." if figures["ships"] == "model" else "The count rule ships, not this model."
    columns = ("scored", "AUROC", "sleep found", "wake found", "wake found where 90 % of sleep is found", "kappa", "TST bias, min")
    rows = [
        _row("**shipped model (int8)**", model),
        _row("same network in float", figures["float"]),
        _row("shipped model without heart rate", figures["without_heart_rate"]),
        _row("shipped model, counts two minutes late", figures["counts_two_minutes_late"]),
        *(_row(name, figures["controls"]["rule"][key]) for key, name in _NAMES.items()),
    ]
    others = [
        (name, one["auroc"], one["sensitivity"], one["specificity"], one["kappa"])
        for key, name in _OTHERS.items()
        for one in [figures["controls"][key]]
    ]
    people = [
        (p["person"], p["n"], p["awake_min"], p["auroc"], p["sensitivity"], p["specificity"], p["tst_bias_min"], p["stage_kappa"])
        for p in figures["per_person"]
    ]
    spans = "; ".join(f"{name.replace('_', ' ')} {_span(value)}" for name, value in model["ci95"].items())
    tried = ", ".join(f"{name} {value:.3f}" for name, value in chosen["cross_validation"].items())
    sections = [
        cards.Section(
            "People held out",
            f"{figures['people']} people that training never saw, {figures['rows']} epochs, {figures['asleep_share']:.0%} asleep. "
            + _READ,
            columns,
            rows,
        ),
        cards.Section(
            "Against the rule",
            f"{ships} Where both find 90 % of the sleep it finds {advantage['specificity']:+.3f} of the wake over the best rule, "
            f"{_NAMES[advantage['over']]}; 95 % over people {low:+.3f} to {high:+.3f}. Chosen on training people alone, wake found "
            f"there by cross-validation: {tried}; the best rule {chosen['best_rule_on_training_people']:.3f}.\n\n"
            f"95 % intervals of the model over people: {spans}. int8 decides otherwise than float in {figures['flips']:.2%} of the "
            f"epochs. Stages (awake, light, deep, REM): kappa {model['stage_kappa']:.3f}; {figures['float']['stage_kappa']:.3f} in "
            f"float; {figures['without_heart_rate']['stage_kappa']:.3f} without heart rate.\n\n{CONTEXT}",
        ),
        cards.Section(
            "What else could have made the score",
            "Fitted on the training people, scored on those held out where 90 % of their sleep is found. The clock is why no sum "
            "over the night goes in. The shipped model with counts in random order and without heart rate, which then knows "
            f"nothing but how long the night has lasted: AUROC {figures['counts_in_random_order']['auroc']:.3f}.",
            ("scored", "AUROC", "sleep found", "wake found", "kappa"),
            others,
        ),
        cards.Section(
            "Each person held out",
            "",
            ("person", "epochs", "awake, min", "AUROC", "sleep found", "wake found", "TST bias, min", "stage kappa"),
            people,
        ),
    ]
    return cards.page(facts, sections, command=COMMAND)


def _row(name: str, found: dict[str, Any]) -> tuple[Any, ...]:
    keys = ("auroc", "sensitivity", "specificity", "specificity_at_90", "kappa", "tst_bias_min")
    return (name, *(found[key] for key in keys))


def _span(value: list[float]) -> str:
    return f"{value[0]:.3f} to {value[1]:.3f}"
