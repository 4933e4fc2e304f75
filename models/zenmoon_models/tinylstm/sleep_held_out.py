"""The sleep model on people that it was not made from, beside the count rules and what else could have made the score."""

from collections.abc import Sequence as Some
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zenmoon_models.datasets.walch import EPOCH_S, Night
from zenmoon_models.errors import ModelsError
from zenmoon_models.tinylstm import floating, scores
from zenmoon_models.tinylstm import sleep_scores as sleep
from zenmoon_models.tinylstm.sleep_scores import Scored
from zenmoon_models.tinylstm.sleep_sequences import Sequence

LIMITS = [
    "Adults; not validated on children. Not a diagnosis of any disorder of sleep.",
    "For a night in bed, begun when the wearer goes to bed. Lying still and awake looks like sleep: much of the wake is not found.",
    "Trained on counts that the publishers had smoothed over minutes around each epoch: they look ahead, which cannot be undone.",
    "Each stage is a guess from movement and pulse, far from polysomnography. Without heart rate it is hardly more than chance.",
]
CONTEXT = (
    "Context, not a comparison: HDCZA, a rule for raw acceleration, is cited with an accuracy of 86.4 % and a specificity of "
    "87.5 % in children; other sensors, other people, another definition."
)
DELAY = 4  # epochs: by then 98 in 100 of the published smoothing (a Gaussian of 50 s) lies in the past
RESAMPLES = 500
_DIGITS = 4


class People(NamedTuple):
    """Nights and, in the same order, what the phone computes of them."""

    nights: list[Night]
    sequences: list[Sequence]

    def counted(self) -> list[NDArray[np.bool_]]:
        """Epochs [n] of each night that count: scored by polysomnography, with counts, and after the phone's warm-up."""
        return [sequence.known & sleep.ready(sequence) for sequence in self.sequences]


def figures(
    model: bytes,
    trained: floating.Network,
    *,
    training: People,
    held_out: People,
    rules: dict[str, dict[str, float]],
    threshold: float,
    seed: int,
) -> dict[str, Any]:
    """All that the card says of the people held out.

    Args:
        model: the file that ships.
        trained: its float.
        training, held_out: people.
        rules: scale and threshold of each rule.
        threshold: of the model, 0–1.
        seed: of the intervals.
    """
    int8, real = by_model(model, held_out), in_float(trained, held_out, threshold)
    counted = {name: by_rule(name, rules[name]["scale"], held_out) for name in rules}
    best = max(counted, key=lambda name: sleep.specificity_at(counted[name]))
    pairs = list(zip(int8, counted[best], strict=True))
    asleep, score = sleep.pooled(int8)
    return rounded(
        {
            "people": len(int8),
            "rows": len(asleep),
            "asleep_share": float(asleep.mean()),
            "model": sleep.figures(int8, threshold) | {"ci95": intervals(int8, threshold, seed=seed)},
            "float": sleep.figures(real, threshold),
            "flips": scores.flips(score, sleep.pooled(real)[1], threshold),
            "without_heart_rate": sleep.figures(by_model(model, held_out, heart_rate=False), threshold),
            "counts_two_minutes_late": sleep.figures(by_model(model, held_out, delay=DELAY), threshold),
            "counts_in_random_order": {
                "auroc": scores.auroc(*sleep.pooled(by_model(model, shuffled(held_out, seed), heart_rate=False))),
            },
            "advantage": {
                "over": best,
                "specificity": sleep.gain(pairs),
                "ci95": scores.interval(pairs, sleep.gain, seed=seed),
            },
            "controls": {
                "rule": {name: sleep.figures(people, rules[name]["threshold"]) for name, people in counted.items()},
                **others(training, held_out),
                "majority": {"auroc": 0.5, "sensitivity": 1.0, "specificity": 0.0, "kappa": 0.0},
            },
            "per_person": [person(one, threshold) for one in int8],
        }
    )


def by_model(model: bytes, people: People, *, heart_rate: bool = True, delay: int = 0) -> list[Scored]:
    """The shipped file, as the phone runs it."""
    result = []
    for night, sequence, counted in zip(*people, people.counted(), strict=True):
        run = sleep.run(model, night, heart_rate=heart_rate, delay=delay)
        spoken = counted & run.ready
        result.append(Scored(night.person, sequence.stage[spoken], run.asleep[spoken], run.stage[spoken]))
    return result


def shuffled(people: People, seed: int) -> People:
    """The same nights with their counts in random order: what is still found then is told by the time since bedtime alone."""
    random = np.random.default_rng(seed)
    return people._replace(nights=[night._replace(counts=random.permutation(night.counts)) for night in people.nights])


def in_float(network: floating.Network, people: People, threshold: float = 0.5) -> list[Scored]:
    """The same in floating point."""
    result = []
    for night, sequence, counted in zip(*people, people.counted(), strict=True):
        asleep, shares = sleep.in_float(network, sequence)
        decided = sleep.stages(asleep, shares, threshold)
        result.append(Scored(night.person, sequence.stage[counted], asleep[counted], decided[counted]))
    return result


def by_rule(name: str, scale: float, people: People) -> list[Scored]:
    """A count rule on the same epochs."""
    return [
        Scored(night.person, sequence.stage[counted], sleep.rule(name, night, scale)[counted])
        for night, sequence, counted in zip(*people, people.counted(), strict=True)
    ]


def others(training: People, held_out: People) -> dict[str, Any]:
    """What else could have made the score: fitted on people of the training, scored on the others at a sensitivity of .90."""
    boosting, logistic = _sklearn("ensemble", "HistGradientBoostingClassifier"), _sklearn("linear_model", "LogisticRegression")

    def fitted(classifier: Any, columns: Any) -> dict[str, Any]:
        label = np.concatenate([s.stage[c] > 0 for s, c in zip(training.sequences, training.counted(), strict=True)])
        rows = [columns(s)[c] for s, c in zip(training.sequences, training.counted(), strict=True)]
        classifier.fit(np.concatenate(rows), label)
        scored = [
            Scored(s.person, s.stage[c], classifier.predict_proba(columns(s)[c])[:, 1])
            for s, c in zip(held_out.sequences, held_out.counted(), strict=True)
        ]
        found = sleep.figures(scored, sleep.threshold(scored))
        return {name: found[name] for name in ("auroc", "sensitivity", "specificity", "kappa")}

    settings = {"max_iter": 120, "learning_rate": 0.05, "max_leaf_nodes": 12, "min_samples_leaf": 60, "random_state": 0}
    return {
        "clock_only": fitted(boosting(**settings), lambda s: np.arange(len(s.stage))[:, None]),
        "logistic_regression": fitted(logistic(C=0.1, class_weight="balanced", max_iter=500), lambda s: s.inputs),
        "gradient_boosting": fitted(boosting(**settings), _lagged),
    }


def intervals(people: Some[Scored], threshold: float, *, seed: int) -> dict[str, list[float]]:
    """95 % over people of the figures that a decision may rest on."""

    def span(name: str) -> list[float]:
        return scores.interval(
            list(people), lambda drawn: float(sleep.figures(drawn, threshold)[name]), seed=seed, resamples=RESAMPLES
        )

    return {name: span(name) for name in ("auroc", "sensitivity", "specificity", "specificity_at_90")}


def person(one: Scored, threshold: float) -> dict[str, Any]:
    """One line of the table of people."""
    found = sleep.figures([one], threshold)
    return {"person": one.person, "n": len(one.stage), "awake_min": float((~one.asleep).sum()) * EPOCH_S / 60} | found


def rounded(facts: dict[str, Any]) -> dict[str, Any]:
    """Numbers to four digits, NaN as None, however deep they stand."""
    return {name: _plain(value) for name, value in facts.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return rounded(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return None if np.isnan(value) else round(value, _DIGITS)
    return value


def _sklearn(module: str, name: str) -> Any:
    try:
        return getattr(import_module(f"sklearn.{module}"), name)
    except ImportError as error:
        raise ModelsError("extra", "scikit-learn is not installed: run `pip install 'zenmoon-models[train]'`") from error


def _lagged(sequence: Sequence) -> NDArray[np.float32]:
    """Inputs of the epoch and of 1, 2.5, 5 and 10 minutes before it: a ceiling for what a memory can make of them."""
    columns = [sequence.inputs]
    for lag in (2, 5, 10, 20):
        late = np.zeros_like(sequence.inputs)
        late[lag:] = sequence.inputs[:-lag] if lag < len(late) else 0
        columns.append(late)
    return np.concatenate(columns, axis=1)
