"""Asleep or awake, and in which stage, from the movement counts and the heart rate of 30 s epochs; and the count rules.

Strictly causal: what is said of an epoch depends on that epoch and the ones before it. No clock, no number of the epoch and
no sum over the night goes in: levels are exponential and forget. Only ratios go in too, movement against this wearer's own
largest and heart rate against this wearer's own usual, so that a device's unit of counts does not matter. The largest forgets
slowly (`_LARGEST_KEPT`) and rises through the first hours, which tells a little of the time; the model's card shows how little, by
counts in random order.

Begin a night by `reset()` when the wearer goes to bed: a day's running and jumping is no measure for a night's movements.

Stages: 0 awake, 1 light (N1, N2), 2 deep (N3), 3 REM.

Metadata of a model file (buffer `sleep`), little-endian: u8 version 1 | u8 inputs | u8 asleep output | u8 stage output
| u8 epochs before ready | u8 threshold: asleep when the probability is at least that many 255ths.
"""

import struct
from math import log, sqrt

from zenmoon_edge.core.tinylstm import ModelError, TinyLSTM

EPOCH_S = 30
STAGES = ("awake", "light", "deep", "rem")
METADATA = "sleep"
INPUT_NAMES = (
    "movement_now",  # ln of counts against the largest, means of half-life 20 s, 1.5, 5 and 15 min
    "movement_1",
    "movement_5",
    "movement_15",
    "moving_2",  # share of epochs with movement, half-life 2.5 and 10 min
    "moving_10",
    "heart_rate_now",  # ln of heart rate against its usual, half-life 30 s, 2 and 6 min
    "heart_rate_2",
    "heart_rate_6",
    "restlessness_2",  # ln of how much heart rate changes from epoch to epoch, half-life 2 and 8 min
    "restlessness_8",
)
INPUTS = len(INPUT_NAMES)

ABSENT_EPOCHS = 20  # after ten minutes without counts it is another situation

METADATA_FORMAT = "<6B"
_MOST_COUNTS = 1e9  # more is no count but an error of the sender
_HEART_RATE_BPM = (25.0, 250.0)  # outside: no heart rate but an artefact

# 1 − 2^(−1 / epochs of the half-life)
_MOVEMENT_GAINS = (0.6286, 0.2063, 0.06697, 0.02284)
_MOVING_GAINS = (0.1294, 0.03406)
_PULSE_GAINS = (0.5, 0.1591, 0.05613)
_RESTLESS_GAINS = (0.1591, 0.04240)
_USUAL_GAIN = 0.01149  # of the usual heart rate: half-life 30 min
_LARGEST_KEPT = 0.999278  # of the largest movement, an epoch: half-life 8 h
_LARGEST_GAIN = 0.5  # what counts as large lasts an epoch or two: one knock is halved
_MOVES = 0.02  # of the largest: less is no movement
_STILL = 0.02  # of the largest: the floor below which movements look alike
_RESTLESS_FLOOR = 0.005  # of the usual heart rate
# Offset and factor that bring each kind of input to about ±2 for 8 bits; from what a ratio can be, not from data.
_MOVEMENT_SCALE = (1.966, 1.0)  # ln lies in −3.93 … 0
_MOVING_SCALE = (-0.5, 4.0)  # a share lies in 0 … 1
_PULSE_SCALE = (0.0, 10.0)  # 1 is ten percent above the usual
_RESTLESS_SCALE = (3.5, 1.5)  # e^−3.5, a change of three percent, is in the middle
INPUT_LIMIT = 3.0


class SleepFeatures:
    """Epochs in, the model's inputs out.

    Attributes:
        absent: epochs without counts up to now, at most 20: from there on it is a new start.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets the wearer: a night begins."""
        self.absent = 0
        self._epochs = 0
        self._beats = 0  # epochs with a heart rate
        self._movement = [0.0] * len(_MOVEMENT_GAINS)
        self._moving = [0.0] * len(_MOVING_GAINS)
        self._pulse = [0.0] * len(_PULSE_GAINS)
        self._restless = [0.0] * len(_RESTLESS_GAINS)
        self._usual = 0.0
        self._recent = 0.0
        self._largest = 0.0
        self._before: "float | None" = None

    def step(self, counts: "float | None", heart_rate_bpm: "float | None") -> "list[float] | None":
        """One epoch.

        Args:
            counts: movement of the epoch in any unit, ≥ 0; None where the device was silent.
            heart_rate_bpm: mean of the epoch; None where there is none.

        Returns:
            The `INPUTS` values of `INPUT_NAMES`, 0 where heart rate is absent; None without counts.
        """
        if heart_rate_bpm is not None and not _HEART_RATE_BPM[0] <= heart_rate_bpm <= _HEART_RATE_BPM[1]:
            heart_rate_bpm = None
        if heart_rate_bpm is None:
            self._before = None
        else:
            self._heart(heart_rate_bpm)
        if counts is None or not 0 <= counts < _MOST_COUNTS:  # nor does NaN pass
            self._silent()
            return None
        self.absent = 0
        inputs = self._move(counts)
        if heart_rate_bpm is None:
            return inputs + [0.0] * (INPUTS - len(inputs))
        for level in self._pulse:
            inputs.append(_scaled(log(level / self._usual), _PULSE_SCALE))
        for level in self._restless:
            inputs.append(_scaled(log(level + _RESTLESS_FLOOR), _RESTLESS_SCALE))
        return inputs

    def _silent(self) -> None:
        if self.absent < ABSENT_EPOCHS:
            self._largest *= _LARGEST_KEPT
            self.absent += 1
            if self.absent == ABSENT_EPOCHS:
                self.reset()
                self.absent = ABSENT_EPOCHS

    def _move(self, counts: float) -> "list[float]":
        n = self._epochs
        if n < 255:
            self._epochs = n + 1
        self._recent = counts if n == 0 else self._recent + _LARGEST_GAIN * (counts - self._recent)
        self._largest = largest = max(self._recent, self._largest * _LARGEST_KEPT)
        inputs = []
        for value in _take(self._movement, _MOVEMENT_GAINS, counts, n):
            share = value / largest if largest > 0 else 0.0
            inputs.append(_scaled(log((share + _STILL) / (1 + _STILL)), _MOVEMENT_SCALE))
        moving = _take(self._moving, _MOVING_GAINS, 1.0 if counts > _MOVES * largest else 0.0, n)
        return inputs + [_scaled(share, _MOVING_SCALE) for share in moving]

    def _heart(self, rate: float) -> None:
        n = self._beats
        if n < 255:
            self._beats = n + 1
        usual = [self._usual]
        self._usual = _take(usual, (_USUAL_GAIN,), rate, n)[0]
        _take(self._pulse, _PULSE_GAINS, rate, n)
        if self._before is not None:
            _take(self._restless, _RESTLESS_GAINS, abs(rate - self._before) / self._usual, n - 1)
        self._before = rate


class Sleep:
    """The model of a phone at work.

    Args:
        model: the bytes of a .tflite file with an output `asleep` (0–1), an output of four stages, and the metadata above.

    Attributes:
        threshold: a wearer is asleep when the probability is at least that, 0–255.

    Raises:
        ModelError: the file is no such model ("metadata", or what TinyLSTM refuses).
    """

    def __init__(self, model: bytes) -> None:
        self.model = TinyLSTM(model)
        data = self.model.metadata(METADATA)
        if data is None or len(data) < struct.calcsize(METADATA_FORMAT):
            raise ModelError("metadata", "the model says nothing of sleep: train it with zenmoon_models.tinylstm")
        version, inputs, asleep, stage, warm_up, threshold = struct.unpack_from(METADATA_FORMAT, data, 0)
        outputs = self.model.outputs
        if (
            version != 1
            or inputs != INPUTS
            or inputs != self.model.input_size
            or max(asleep, stage) >= len(outputs)
            or outputs[asleep].size != 1
            or outputs[stage].size != len(STAGES)
        ):
            raise ModelError("metadata", "what the file says of sleep does not fit the model")
        self.threshold: int = threshold
        self._asleep = asleep
        self._stage = stage
        self._warm_up = warm_up
        self._features = SleepFeatures()
        self.reset()

    def reset(self) -> None:
        """Forgets the wearer: a night begins."""
        self._features.reset()
        self.model.reset()
        self._epochs = 0

    def step(self, counts: "float | None", heart_rate_bpm: "float | None" = None) -> "tuple[int, int, bool]":
        """One epoch of 30 s; arguments as `SleepFeatures.step`.

        Returns:
            (asleep, stage, ready): the probability 0–255, the stage 0–3, and whether they may be shown. The stage is 0 exactly
            where asleep is below the threshold. Ten minutes without counts are a new start.
        """
        inputs = self._features.step(counts, heart_rate_bpm)
        if inputs is None:
            if self._features.absent == ABSENT_EPOCHS and self._epochs:
                self.model.reset()
                self._epochs = 0
            return 0, 0, False
        outputs = self.model.dequantise(self.model.step(self.model.quantise(inputs)))
        if self._epochs < 255:
            self._epochs += 1
        asleep = max(0, min(255, int(outputs[self._asleep][0] * 255 + 0.5)))
        stage = 0
        if asleep >= self.threshold:
            shares = outputs[self._stage]
            stage = 1
            for candidate in (2, 3):
                if shares[candidate] > shares[stage]:
                    stage = candidate
        return asleep, stage, self._epochs > self._warm_up


class ColeKripke:
    """Cole, Kripke, Gruen, Mullaney & Gillin 1992, Sleep 15:461: a weighted sum of the minutes around, awake when it is large.

    The published weights are of one-minute epochs: four minutes before, the minute itself, two minutes after. A minute here
    is two epochs of 30 s, and there is a new one with every epoch.

    Args:
        causal: leaves the two later minutes out and raises the other weights in proportion, so that even movement scores the same.
        scale: the published rule's counts per count of this device; awake from an index of 1.
    """

    _PUBLISHED = (0.106, 0.054, 0.058, 0.076, 0.230, 0.074, 0.067)
    _LATER = 2

    def __init__(self, causal: bool = True, scale: float = 1.0) -> None:
        self.delay = 0 if causal else 2 * self._LATER  # epochs between an epoch and its index
        weights: "tuple[float, ...]" = self._PUBLISHED
        if causal:
            kept = weights[: -self._LATER]
            weights = tuple([weight * sum(weights) / sum(kept) for weight in kept])
        self._weights = tuple([weight * scale for weight in weights])
        self._minutes = _Minutes(len(weights))

    def step(self, counts: float) -> float:
        """The index of the epoch `delay` epochs ago: the larger, the more awake. Before the first epoch all was still."""
        index = 0.0
        for weight, minute in zip(self._weights, self._minutes.step(counts)):  # noqa: B905 - MicroPython
            index += weight * minute
        return index


class Sadeh:
    """Sadeh, Sharkey & Carskadon 1994, Sleep 17:201: mean, spread and moderate minutes of eleven, asleep when the index is ≥ 0.

    Index = 7.601 − 0.065 mean − 1.08 moderate − 0.056 spread − 0.703 ln(counts + 1): mean of the eleven minutes around,
    moderate = how many of them hold 50–99 counts, spread = standard deviation of the last six, counts cut at 300.

    Args:
        causal: the last six minutes stand for the eleven around (moderate in proportion).
        scale: the published rule's counts per count of this device.
    """

    def __init__(self, causal: bool = True, scale: float = 1.0) -> None:
        self.delay = 0 if causal else 10
        self._scale = scale
        self._minutes = _Minutes(6 if causal else 11)

    def step(self, counts: float) -> float:
        """The index of the epoch `delay` epochs ago, turned round: the larger, the more awake; awake above 0."""
        minutes = [min(300.0, minute * self._scale) for minute in self._minutes.step(counts)]
        moderate = 0
        for minute in minutes:
            moderate += 50 <= minute < 100
        last = minutes[:6]
        mean = sum(last) / 6
        squares = 0.0
        for minute in last:
            squares += (minute - mean) * (minute - mean)
        spread = sqrt(squares / 5)
        index = 7.601 - 0.065 * sum(minutes) / len(minutes) - 1.08 * moderate * 11 / len(minutes)
        return -(index - 0.056 * spread - 0.703 * log(last[5] + 1))


class _Minutes:
    """The last minutes, oldest first, each the sum of two epochs."""

    def __init__(self, minutes: int) -> None:
        self._epochs = [0.0] * (2 * minutes)

    def step(self, counts: float) -> "list[float]":
        self._epochs.pop(0)
        self._epochs.append(counts)
        return [self._epochs[i] + self._epochs[i + 1] for i in range(0, len(self._epochs), 2)]


def _take(levels: "list[float]", gains: "tuple[float, ...]", value: float, n: int) -> "list[float]":
    # Until the window of its half-life has filled, a level weighs all it has seen alike.
    for i, gain in enumerate(gains):
        levels[i] += max(gain, 1.0 / (n + 1)) * (value - levels[i])
    return levels


def _scaled(value: float, scale: "tuple[float, float]") -> float:
    return max(-INPUT_LIMIT, min(INPUT_LIMIT, (value + scale[0]) * scale[1]))
