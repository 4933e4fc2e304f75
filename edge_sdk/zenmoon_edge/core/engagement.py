"""Engagement on the phone: how much a child is taken up by what it does, 0–1, from the minutes that the phone makes.

Trained on simulated children, not validated on people: what it calls engagement is what the simulated child's activities were
given. It says nothing about a real child's attention.

Each measurement is compared with this child's own usual (a mean and a spread that forget with a half-life of ten worn hours), so
no absolute level and no clock goes in. Causal: a minute depends on the minutes before it only.

Metadata `zenmoon` of the model file, little-endian: u8 version 3 | u8 inputs | u8 minutes before it says anything.
"""

import struct
from math import log, sqrt

from zenmoon_edge.core.tinylstm import ModelError, TinyLSTM

METADATA = "zenmoon"
HEAD = "<3B"
VERSION = 3
INPUTS = 7
INPUT_NAMES = ("heart_rate", "rmssd", "conductance", "temperature", "motion", "strain", "coverage")
ABSENT_MINUTES = 30  # off the wrist, after which what the model remembers is about another situation
LIMIT = 4.0  # inputs are clamped to ±4 standard deviations

_GAIN = 0.001155  # 1 − 2^(−1/600): half-life of the baselines is ten worn hours
_PRIOR_MINUTES = 30  # the prior spread counts as much as half an hour
# Of a minute about a child's own mean; only the first hours use them; chosen.
_PRIOR_SPREAD = (12.0, 0.35, 0.5, 0.6, 1.2, 0.1)


class Minutes:
    """Inputs of the model, minute by minute."""

    def __init__(self) -> None:
        self._mean: "list[float | None]" = [None] * len(_PRIOR_SPREAD)
        self._variance = [spread * spread for spread in _PRIOR_SPREAD]
        self._seen = 0

    def step(self, values: "list[float | None]", coverage: float) -> "list[float]":
        """The inputs of a minute with contact.

        Args:
            values: heart rate in bpm, RMSSD in ms, conductance in µS, skin temperature in °C, motion in g, strain 0–1; None where
                nothing was measured or quality forbids a value.
            coverage: share of the minute that was measured, 0–1.
        """
        heart_rate, rmssd, conductance, temperature, motion, strain = values
        levels = (heart_rate, _ln(rmssd, 1.0), _ln(conductance, 0.01), temperature, _ln(motion, 0.001), strain)
        gain = max(_GAIN, 1.0 / (self._seen + _PRIOR_MINUTES))
        self._seen = min(self._seen + 1, 10_000)
        inputs = []
        for i in range(len(levels)):
            level = levels[i]
            if level is None:
                inputs.append(0.0)
                continue
            mean = self._mean[i]
            difference = level - (level if mean is None else mean)
            self._mean[i] = level if mean is None else mean + gain * difference
            self._variance[i] += gain * (difference * difference - self._variance[i])
            inputs.append(min(LIMIT, max(-LIMIT, difference / sqrt(self._variance[i]))))
        inputs.append(coverage)
        return inputs


class Engagement:
    """The model at work.

    Args:
        model: the bytes of a .tflite file with these inputs, one output (0–1), and the metadata above.

    Attributes:
        ready_minutes: on the wrist, before it says anything.

    Raises:
        ModelError: the file is no such model (`metadata`, or what TinyLSTM refuses).
    """

    def __init__(self, model: bytes) -> None:
        self.model = TinyLSTM(model)
        data = self.model.metadata(METADATA)
        if data is None or len(data) != struct.calcsize(HEAD):
            raise ModelError("metadata", "the model is no engagement model: train it with zenmoon_models.tinylstm")
        version, inputs, self.ready_minutes = struct.unpack(HEAD, data)
        outputs = self.model.outputs
        if (version, inputs, self.model.input_size) != (VERSION, INPUTS, INPUTS) or len(outputs) != 1 or outputs[0].size != 1:
            raise ModelError("metadata", "the file is of another version, or of another model")
        self.reset()

    def reset(self) -> None:
        """Forgets the child, its usual too."""
        self._inputs = Minutes()
        self._absent = 0
        self._pause()

    def _pause(self) -> None:
        self.model.reset()
        self._steps = 0

    def step(self, values: "list[float | None]", coverage: float) -> "float | None":
        """The next minute, in the order of time and none left out.

        Args:
            values: as `Minutes.step` takes them.
            coverage: share of the minute that was measured, 0–1.

        Returns:
            Engagement 0–1; None off the wrist and in the first minutes on it.
        """
        if coverage <= 0:
            self._absent += 1
            if self._absent == ABSENT_MINUTES:
                self._pause()
            return None
        self._absent = 0
        x = self._inputs.step(values, coverage)
        engagement = self.model.dequantise(self.model.step(self.model.quantise(x)))[0][0]
        if self._steps < self.ready_minutes:
            self._steps += 1
            if self._steps < self.ready_minutes:
                return None
        return engagement


def _ln(value: "float | None", lowest: float) -> "float | None":
    return None if value is None else log(max(value, lowest))
