"""Which head tells strain, how it is fitted, and what its numbers mean.

Candidates are compared on the training people alone: each fold leaves some of them out. The one that ships is logistic
regression on the step's inputs (a dense layer and a logistic function in the same file), unless the LSTM's head is better.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core.features import INPUT_NAMES, INPUTS

from zenmoon_models.errors import ModelsError
from zenmoon_models.tinylstm import floating, network, scores
from zenmoon_models.tinylstm.scores import Scores
from zenmoon_models.tinylstm.sequences import Sequence

HEAD = floating.Head("strain", 1, "sigmoid", source="input")
FOLDS = 6
WARM_UP = 10  # steps of a session that are not scored: the smoothing has only just begun
_LSTM_UNITS, _LSTM_STEPS, _LSTM_STRIDE = 16, 60, 6
_LSTM_TRAINING = network.Settings(epochs=10, dropout=0.2)
# What the numbers mean: at 0.5 as large a share of the tasks is missed as of the rest is taken for a task; 0.75 (the level of an
# alarm) is exceeded in a tenth of the rest.
_HIGH_LOGIT, _CALM_BELOW_HIGH = float(np.log(3)), 0.9
_ROUNDS = 20
_RIDGE, _NEWTON_STEPS = 1.0, 12  # the quadratic convergence of Newton's method is done after seven or so

Logits = Callable[[Sequence], Scores]
Fit = Callable[[list[Sequence]], Logits]


def smooth(score: Scores, gain: float) -> Scores:
    """The smoothing of `zenmoon_edge.core.strain`, for what is compared with it."""
    result = np.empty_like(score)
    level = score[0] if len(score) else 0.0
    for i, value in enumerate(score):
        level += gain * (value - level)
        result[i] = level
    return result


def compare(tf_keras: Any, training: list[Sequence], gain: float, seed: int) -> list[dict[str, Any]]:
    """Every candidate's AUROC over the training people, each scored by a model that never saw that person."""
    ensemble = import_module("sklearn.ensemble")

    def boosted(people: list[Sequence]) -> Logits:
        model = ensemble.HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=8, learning_rate=0.05, random_state=seed)
        model.fit(*_rows(people))
        return lambda person: _logit(model.predict_proba(person.inputs)[:, 1])

    candidates: dict[str, Fit] = {
        "logistic regression": logistic,
        "logistic regression, conductance alone": lambda people: logistic(people, [INPUT_NAMES.index("conductance")]),
        "LSTM head": lambda people: _recurrent(tf_keras, people, seed),
        "gradient boosting (runs on no wearable)": boosted,
    }
    found = []
    for name, fitted in candidates.items():
        print(f"comparing: {name}", flush=True)
        columns = [scored(person, smooth(_sigmoid(row), gain)) for person, row in _left_out(training, fitted, seed)]
        low, high = scores.interval(columns, pooled, seed=seed)
        mean = float(np.mean([scores.auroc(*column) for column in columns]))
        found.append({"candidate": name, "auroc": pooled(columns), "ci95": [low, high], "auroc_mean_of_people": mean})
    return found


def logistic(people: list[Sequence], columns: list[int] | None = None) -> Logits:
    """Logistic regression on the inputs of one step."""
    kernel, bias = _regression(people, columns)
    return lambda person: np.asarray(person.inputs.astype(np.float64) @ kernel + bias)


def fit(training: list[Sequence], gain: float, seed: int) -> dict[str, NDArray[np.float32]]:
    """The weights of HEAD, scaled so that its smoothed output means what is said above.

    The scale is found on scores of people that the regression behind them did not see.

    Raises:
        ModelsError: `data` when fewer than a tenth of the rest lie above what parts task from rest: bodies are not so clear.
    """
    kernel, bias = _regression(training, None)
    logits = _left_out(training, logistic, seed)
    slope, shift = 1.0, 0.0
    for _ in range(_ROUNDS):  # the smoothing comes after the logistic function, so the two levels are not had in one go
        columns = [scored(person, smooth(_sigmoid(slope * row + shift), gain)) for person, row in logits]
        label, score = (np.concatenate(column) for column in zip(*columns, strict=True))
        half = float(_logit(scores.equal_threshold(label, score)))
        high = float(_logit(np.quantile(score[~label], _CALM_BELOW_HIGH)))
        if high <= half:
            raise ModelsError("data", "task and rest are told apart so well that no level between them can mean an alarm")
        factor = _HIGH_LOGIT / (high - half)
        slope, shift = slope * factor, (shift - half) * factor
    return {
        "strain/kernel": (slope * kernel[:, None]).astype(np.float32),
        "strain/bias": np.array([slope * bias + shift], np.float32),
    }


def scored(person: Sequence, score: Scores) -> tuple[NDArray[np.bool_], Scores]:
    """(label, score) of the windows that count: worn, labelled, and after the warm-up."""
    kept = person.known.copy()
    kept[:WARM_UP] = False
    return person.label[kept] == 1, score[kept]


def pooled(columns: list[tuple[NDArray[np.bool_], Scores]]) -> float:
    """AUROC over the windows of several people together."""
    return scores.auroc(np.concatenate([label for label, _ in columns]), np.concatenate([score for _, score in columns]))


def chunks(people: list[Sequence]) -> network.Chunks:
    """Overlapping chunks of worn windows for an LSTM with HEAD alone."""
    inputs, target, weight = [], [], []
    for person in people:
        for first in range(0, len(person.inputs) - _LSTM_STEPS + 1, _LSTM_STRIDE):
            here = slice(first, first + _LSTM_STEPS)
            if person.worn[here].all():
                inputs.append(person.inputs[here])
                target.append(person.label[here, None] == 1)
                weight.append((person.label[here] >= 0) & (np.arange(_LSTM_STEPS) >= WARM_UP))
    return network.Chunks(
        np.stack(inputs), {"strain": np.stack(target).astype(np.float32)}, {"strain": np.stack(weight).astype(np.float32)}
    )


def _left_out(training: list[Sequence], fitted: Fit, seed: int) -> list[tuple[Sequence, Scores]]:
    """Every person with logits [n] from a fit to the people of the other folds."""
    order = np.random.default_rng(seed).permutation(len(training))
    result = []
    for fold in np.array_split(order, min(FOLDS, len(training))):
        apart = set(fold.tolist())
        logits = fitted([person for i, person in enumerate(training) if i not in apart])
        result += [(training[i], logits(training[i])) for i in sorted(apart)]
    return result


def _regression(people: list[Sequence], columns: list[int] | None) -> tuple[Scores, float]:
    """(kernel [8], bias) of a ridge logistic regression by Newton's method; the kernel is 0 where a column is not used."""
    used = list(range(INPUTS)) if columns is None else columns
    inputs, label = _rows(people)
    design = np.column_stack([inputs[:, used].astype(np.float64), np.ones(len(label))])
    penalty = np.diag([_RIDGE] * len(used) + [0.0])
    weights = np.zeros(len(used) + 1)
    for _ in range(_NEWTON_STEPS):
        probability = _sigmoid(design @ weights)
        slope = design.T @ (probability - label) + penalty @ weights
        curvature = (design * (probability * (1 - probability))[:, None]).T @ design + penalty
        weights -= np.linalg.solve(curvature, slope)
    kernel = np.zeros(INPUTS)
    kernel[used] = weights[:-1]
    return kernel, float(weights[-1])


def _rows(people: list[Sequence]) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    return np.concatenate([s.inputs[s.known] for s in people]), np.concatenate([s.label[s.known] for s in people])


def _recurrent(tf_keras: Any, people: list[Sequence], seed: int) -> Logits:
    head = HEAD._replace(source="state")
    start = floating.initial(INPUTS, _LSTM_UNITS, (head,), seed)
    trained = network.train(tf_keras, start, chunks(people), _LSTM_TRAINING, seed=seed)
    return lambda person: _logit(floating.forward(trained, person.inputs)["strain"][:, 0])


def _sigmoid(x: Scores) -> Scores:
    return np.asarray(1 / (1 + np.exp(-x)))


def _logit(probability: Any) -> Any:
    bounded = np.clip(probability, 1e-7, 1 - 1e-7)
    return np.log(bounded / (1 - bounded))
