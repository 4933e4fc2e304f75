"""What stands beside a model: a clock, logistic regression, and the split that everybody gets wrong.

Each is fitted on the data that the model is scored on, the first two on everybody but the person scored, and each gives one
column of scores a session, [n] as the session's rows. None of them ships.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]

_CLOCK_S = 60.0  # how far apart two windows may lie for the clock to take them for the same moment (standard deviation)
_CLOCK_REACH = 5  # standard deviations, beyond which nothing is left
_GRID_S = 4.0
_RIDGE = 1.0
_NEWTON_STEPS = 25
_FOLDS = 5
_NEIGHBOURS = 5
_BLOCK = 512  # rows whose distances are held at once


class Session(NamedTuple):
    """What a control sees of a session: person, inputs [n, k], elapsed_s [n], label [n] 1, 0 or −1 = not known, worn [n] bool."""

    person: str
    inputs: Scores
    elapsed_s: Scores
    label: NDArray[np.int8]
    worn: NDArray[np.bool_]

    @property
    def known(self) -> NDArray[np.bool_]:
        """The rows that can be learnt from."""
        return self.worn & (self.label >= 0)


Score = Callable[[list[Session], Session], Scores]  # fits on the sessions of others and scores one


def clock_only(sessions: Sequence[Session]) -> list[Scores] | None:
    """How often others were under strain at this many seconds of their session; None with one person only.

    A kernel regression (Nadaraya 1964) on elapsed time, nothing of the body: what it scores, the protocol gives away.
    """

    def score(others: list[Session], session: Session) -> Scores:
        at = np.concatenate([other.elapsed_s[other.known] for other in others]) / _GRID_S
        label = np.concatenate([other.label[other.known] for other in others]) == 1
        here = session.elapsed_s / _GRID_S
        last = int(max(at.max(), here.max()))
        reach = int(_CLOCK_REACH * _CLOCK_S / _GRID_S)
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * _GRID_S / _CLOCK_S) ** 2)

        def near(weights: Scores) -> Scores:
            return np.convolve(np.bincount(at.astype(int), weights, minlength=last + 1), kernel)[reach : reach + last + 1]

        every, strained = near(np.ones(len(at))), near(label.astype(np.float64))
        # Where nobody else's session goes on, no window is near: the overall share is the guess.
        share = (strained + label.mean() * 1e-6) / (every + 1e-6)
        return np.asarray(share[here.astype(int)])

    return _leaving_one_out(sessions, score)


def logistic_regression(sessions: Sequence[Session], gain: float) -> list[Scores] | None:
    """Logistic regression on the model's inputs, smoothed as the model's output is; None with one person only."""

    def score(others: list[Session], session: Session) -> Scores:
        inputs = np.concatenate([other.inputs[other.known] for other in others])
        label = np.concatenate([other.label[other.known] for other in others]) == 1
        weights = _fit(inputs, label)
        plain = 1 / (1 + np.exp(-(session.inputs @ weights[1:] + weights[0])))
        result = np.zeros(len(plain))
        result[session.worn] = smooth(plain[session.worn], gain)
        return result

    return _leaving_one_out(sessions, score)


def leaky_split(sessions: Sequence[Session], *, seed: int) -> list[Scores] | None:
    """The mistake, shown: windows instead of people are split at random, and the nearest windows of the others vote.

    Windows 4 s apart are nearly the same, so what is tested was seen. None where there are fewer windows than it needs.
    """
    inputs = np.concatenate([session.inputs[session.known] for session in sessions])
    label = np.concatenate([session.label[session.known] for session in sessions]) == 1
    if len(label) < _FOLDS * _NEIGHBOURS:
        return None
    fold = np.random.default_rng(seed).permutation(len(label)) % _FOLDS
    votes = np.zeros(len(label))
    for number in range(_FOLDS):
        seen, asked = inputs[fold != number], np.flatnonzero(fold == number)
        seen_label, seen_size = label[fold != number], (seen**2).sum(1)
        for rows in np.split(asked, range(_BLOCK, len(asked), _BLOCK)):
            distance = seen_size - 2 * inputs[rows] @ seen.T  # and the row's own length, alike for all of them
            nearest = np.argpartition(distance, _NEIGHBOURS, axis=1)[:, :_NEIGHBOURS]
            votes[rows] = seen_label[nearest].mean(1)
    return _spread(sessions, votes)


def smooth(score: Scores, gain: float) -> Scores:
    """The smoothing of `zenmoon_edge.core.strain`, for what is compared with it."""
    result = np.empty_like(score)
    level = score[0] if len(score) else 0.0
    for i, value in enumerate(score):
        level += gain * (value - level)
        result[i] = level
    return result


def _leaving_one_out(sessions: Sequence[Session], score: Score) -> list[Scores] | None:
    result = []
    for session in sessions:
        others = [other for other in sessions if other.person != session.person and other.known.any()]
        if not others:
            return None
        result.append(score(others, session))
    return result


def _fit(inputs: Scores, label: NDArray[np.bool_]) -> Scores:
    """Intercept and weights by Newton's method, a ridge on the weights (Hastie et al., Elements of Statistical Learning, 4.4)."""
    columns = np.concatenate([np.ones((len(inputs), 1)), inputs], axis=1)
    ridge = np.diag([1e-6, *[_RIDGE] * inputs.shape[1]])
    weights = np.zeros(columns.shape[1])
    for _ in range(_NEWTON_STEPS):
        share = 1 / (1 + np.exp(-columns @ weights))
        gradient = columns.T @ (label - share) - ridge @ weights
        step = np.linalg.solve((columns.T * (share * (1 - share))) @ columns + ridge, gradient)
        weights = weights + step
        if np.abs(step).max() < 1e-9:
            break
    return np.asarray(weights)


def _spread(sessions: Sequence[Session], values: Scores) -> list[Scores]:
    """Values of all known rows, one after the other, back to their sessions; 0 elsewhere."""
    result, first = [], 0
    for session in sessions:
        column = np.zeros(len(session.label))
        last = first + int(session.known.sum())
        column[session.known] = values[first:last]
        result.append(column)
        first = last
    return result
