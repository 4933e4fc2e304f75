"""Sleep and wake, scored: sleep is the positive class, so that sensitivity is sleep found and specificity is wake found.

Nine epochs in ten are sleep: accuracy is worthless and nowhere computed. Rules and models can be compared only where they find
the same share of sleep. Conventions: de Zambotti et al. 2019, Med. Sci. Sports Exerc. 51:1538.
"""

from collections.abc import Callable
from collections.abc import Sequence as Some
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core.sleep import EPOCH_S, ColeKripke, Sadeh, Sleep

from zenmoon_models.datasets.walch import Night
from zenmoon_models.tinylstm import floating, scores
from zenmoon_models.tinylstm.sleep_sequences import WARM_UP, Sequence, stretches, value_or_none

SENSITIVITY = 0.9
ASSURANCE = 0.99
GROUP = 7  # people in a group: as many as are held out
_DRAWS = 1000
RULES: dict[str, Callable[[float], "ColeKripke | Sadeh"]] = {
    "cole_kripke": lambda scale: ColeKripke(causal=True, scale=scale),
    "cole_kripke_published": lambda scale: ColeKripke(causal=False, scale=scale),
    "sadeh": lambda scale: Sadeh(causal=True, scale=scale),
    "sadeh_published": lambda scale: Sadeh(causal=False, scale=scale),
}
_FULL = 255.0


class Scored(NamedTuple):
    """One person's epochs that count.

    stage [n]: 0 awake, 1 light, 2 deep, 3 REM, the truth; score [n]: higher = more asleep; decided [n]: the stage that was said,
    where stages are said at all.
    """

    person: str
    stage: NDArray[np.int8]
    score: scores.Scores
    decided: NDArray[np.int8] | None = None

    @property
    def asleep(self) -> NDArray[np.bool_]:
        """The truth."""
        return np.asarray(self.stage > 0)


class Run(NamedTuple):
    """What the phone says of a night [n]: probability 0–1, stage, whether it speaks."""

    asleep: scores.Scores
    stage: NDArray[np.int8]
    ready: NDArray[np.bool_]


def run(model: bytes, night: Night, *, heart_rate: bool = True, delay: int = 0) -> Run:
    """The shipped code on a night; on request without heart rate, or with counts that come `delay` epochs late."""
    sleep = Sleep(model)
    counts = np.concatenate([np.full(delay, np.nan), night.counts[: len(night.counts) - delay]])
    rows = [
        sleep.step(value_or_none(c), value_or_none(r) if heart_rate else None)
        for c, r in zip(counts.tolist(), night.heart_rate.tolist(), strict=True)
    ]
    asleep, stage, ready = zip(*rows, strict=True)
    return Run(np.array(asleep) / _FULL, np.array(stage, np.int8), np.array(ready, np.bool_))


def ready(sequence: Sequence) -> NDArray[np.bool_]:
    """Where the phone speaks, of a night that is not run: from the eleventh epoch of each stretch."""
    result = np.zeros(len(sequence.stage), np.bool_)
    for rows in stretches(sequence):
        result[rows[WARM_UP:]] = True
    return result


def in_float(network: floating.Network, sequence: Sequence) -> tuple[scores.Scores, scores.Scores]:
    """(asleep [n], shares of the stages [n, 4]) of the network in floating point, led through a night as the phone leads it."""
    asleep, stage = np.zeros(len(sequence.stage)), np.zeros((len(sequence.stage), 4))
    for rows in stretches(sequence):
        outputs = floating.forward(network, sequence.inputs[rows])
        asleep[rows], stage[rows] = outputs["asleep"][:, 0], outputs["stage"]
    return asleep, stage


def stages(asleep: scores.Scores, shares: scores.Scores, threshold: float) -> NDArray[np.int8]:
    """As `zenmoon_edge.core.sleep.Sleep` decides: awake below the threshold, else the likeliest stage of sleep."""
    return np.where(asleep >= threshold, 1 + shares[:, 1:].argmax(1), 0).astype(np.int8)


def rule(name: str, night: Night, scale: float) -> scores.Scores:
    """A count rule's scores [n], higher = more asleep, each at its own epoch whenever the rule knows it; a gap is stillness."""
    counting = RULES[name](scale)
    counts = np.concatenate([np.nan_to_num(night.counts), np.zeros(counting.delay)])
    return -np.array([counting.step(value) for value in counts.tolist()])[counting.delay :]


def pooled(people: Some[Scored]) -> tuple[NDArray[np.bool_], scores.Scores]:
    """Truth and score of all epochs, side by side."""
    return np.concatenate([one.asleep for one in people]), np.concatenate([one.score for one in people])


def threshold(people: Some[Scored], wanted: float = SENSITIVITY) -> float:
    """The highest one that finds that share of the sleep of these people, taken together."""
    return scores.threshold_at_sensitivity(*pooled(people), wanted)


def assured_threshold(people: Some[Scored], *, seed: int) -> float:
    """The highest one that finds nine tenths of the sleep in 99 of 100 groups of people drawn from these.

    A threshold that finds it in these people taken together finds less in every other group: people differ more than epochs do.
    """
    random = np.random.default_rng(seed)
    slept = [one for one in people if one.asleep.any()]
    drawn = [threshold([slept[i] for i in random.integers(0, len(slept), GROUP)]) for _ in range(_DRAWS)]
    return float(np.quantile(drawn, 1 - ASSURANCE, method="lower"))


def specificity_at(people: Some[Scored], wanted: float = SENSITIVITY) -> float:
    """Wake found where that share of the sleep is found; NaN where one of the two is not there."""
    asleep, score = pooled(people)
    if not asleep.any() or asleep.all():
        return float("nan")
    return scores.specificity(asleep, score >= scores.threshold_at_sensitivity(asleep, score, wanted))


def figures(people: Some[Scored], at: float) -> dict[str, Any]:
    """AUROC; sensitivity, specificity, kappa at a threshold; the specificity where sensitivity is .90; minutes of sleep said
    too many (mean over people of said minus slept, in the epochs that count); kappa of the stages where they are said."""
    asleep, score = pooled(people)
    found = score >= at
    result = {
        "auroc": scores.auroc(asleep, score),
        "sensitivity": scores.sensitivity(asleep, found),
        "specificity": scores.specificity(asleep, found),
        "kappa": scores.cohen_kappa(asleep, found),
        "tst_bias_min": float(np.mean([_bias(one, at) for one in people])),
        "specificity_at_90": specificity_at(people),
    }
    decided = [one.decided for one in people if one.decided is not None]
    if len(decided) == len(people):
        result["stage_kappa"] = scores.cohen_kappa(np.concatenate([one.stage for one in people]), np.concatenate(decided))
    return result


def gain(pairs: Some[tuple[Scored, Scored]]) -> float:
    """How much more wake the first finds than the second where both find nine tenths of the sleep."""
    return specificity_at([pair[0] for pair in pairs]) - specificity_at([pair[1] for pair in pairs])


def _bias(one: Scored, at: float) -> float:
    return (float((one.score >= at).sum()) - float(one.asleep.sum())) * EPOCH_S / 60
