"""Anomaly: how unusual heart rate and skin conductance are, given what the model expected of them.

Three kinds of evidence, each the larger one of the two channels, smoothed over about 40 s:
    loud: the size of the errors of expectation (spikes, bursts, jumps, a dropout);
    drift: the size of their mean, because errors that keep their sign add up (a sensor that creeps away);
    quiet: how much less a channel changes from step to step than this wearer's usually does (a flat line: no expectation is
        easier to meet, so the errors do not show it).
The inputs are deviations from the wearer's own running mean in the wearer's own running spread, and the usual change is the
wearer's own too, so the surprise is one against this wearer's usual. Calibration: levels of evidence that the training people
exceeded in 1/√2, 1/2, 1/2√2, … of their steps; the strongest of the three levels counts, and is calibrated once more.
"""

from math import log, sqrt

from zenmoon_edge.core.features import INPUT_LIMIT

KINDS = 3  # of evidence; their tables of levels are followed by that of the strongest
_LEAST_CHANGE = 0.003  # standard deviations: what a constant signal still changes by as the running mean comes nearer
_FIRST_CHANGE = 0.1
_GAIN = 0.00461  # of the usual change: half-life 10 min, as that of the inputs' baselines
_PRIOR_VARIANCE = 0.25  # of the logarithm of the smoothed change
_PRIOR_STEPS = 60
_BOUND = 3.0  # standard deviations: a fault must not become the usual at once


class Surprise:
    """What is known of one wearer's surprises.

    Args:
        levels: KINDS + 1 rising sequences of n numbers: what 2^(−i/2) of the steps exceed, i = 0…n − 2, and the most.
        channels: the two inputs that the model expects.
        gain: of the smoothing.
    """

    def __init__(self, levels: "list[tuple[float, ...]]", channels: "tuple[int, int]", gain: float) -> None:
        self._levels = levels
        self._channels = channels
        self._gain = gain
        self.reset()

    def reset(self) -> None:
        """Forgets the wearer."""
        self._size = [0.0, 0.0]
        self._mean = [0.0, 0.0]
        self._before: "list[float | None]" = [None, None]
        self._change = [_FIRST_CHANGE, _FIRST_CHANGE]
        self._usual: "list[float | None]" = [None, None]
        self._variance = [_PRIOR_VARIANCE, _PRIOR_VARIANCE]
        self._steps = [0, 0]
        self._quiet = [0.0, 0.0]

    def step(self, inputs: "list[float]", expected: "list[float] | None") -> None:
        """Takes a step's inputs and what had been expected of the two channels (None: nothing was)."""
        for i in (0, 1):
            value = inputs[self._channels[i]]
            if value == 0.0:  # absent: the features say so with a zero
                self._before[i] = None
                continue
            if expected is not None:
                error = value - expected[i]
                self._size[i] += self._gain * (abs(error) - self._size[i])
                self._mean[i] += self._gain * (error - self._mean[i])
            before = self._before[i]
            if before is not None and abs(value) < INPUT_LIMIT:  # beyond, a value is clamped and cannot change
                self._listen(i, abs(value - before))
            self._before[i] = value

    def _listen(self, i: int, change: float) -> None:
        self._change[i] += self._gain * (change - self._change[i])
        loudness = log(self._change[i] + _LEAST_CHANGE)
        usual = self._usual[i]
        if usual is None:
            usual = loudness
        spread = sqrt(self._variance[i])
        difference = loudness - usual
        self._quiet[i] = -difference / spread
        difference = max(-_BOUND * spread, min(_BOUND * spread, difference))
        n = self._steps[i]
        self._steps[i] = min(n + 1, 1000)
        gain = max(_GAIN, 1.0 / (n + 1))
        self._usual[i] = usual + gain * difference
        spread_gain = max(_GAIN, 1.0 / (n + 1 + _PRIOR_STEPS))
        self._variance[i] += spread_gain * (difference * difference * (1.0 - gain) - self._variance[i])

    def evidence(self) -> "tuple[float, float, float]":
        """(loud, drift, quiet), the first two in standard deviations of an input, the last in ones of its own."""
        return max(self._size), max(abs(self._mean[0]), abs(self._mean[1])), max(self._quiet)

    def strongest(self) -> float:
        """The highest of the three kinds' levels, 0…n − 1."""
        evidence = self.evidence()
        return max([level(self._levels[kind], evidence[kind]) for kind in range(KINDS)])

    def anomaly(self) -> float:
        """The share of the training people's steps that were less unusual, 0–1."""
        joint = self._levels[KINDS]
        at = level(joint, self.strongest())
        return 1.0 if at >= len(joint) - 1 else 1.0 - 2.0 ** (-at / 2)


def level(levels: "tuple[float, ...]", value: float) -> float:
    """Where `value` lies among rising `levels`, 0…n − 1, between two of them in proportion."""
    last = len(levels) - 1
    if value <= levels[0]:
        return 0.0
    for i in range(last):
        if value < levels[i + 1]:
            return i + (value - levels[i]) / (levels[i + 1] - levels[i])
    return float(last)
