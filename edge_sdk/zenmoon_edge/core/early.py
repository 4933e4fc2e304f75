"""An early hint on the parents' device: may the child's alarm begin within the next quarter of an hour?

Trained on simulated children, not validated on people. A hint is words on a page: never an alarm, never a sound.

From the minutes that a parents' page has: strain, heart rate, how much of the minute was measured, and the limit from which on
the child's alarm counts. Everything is relative to that limit and to the child's own last minutes; no clock goes in. The page
computes the same in `cloud/web/early.js`; a test compares the two number by number.

Metadata `zenmoon` of the model file, little-endian: u8 version 2 | u8 inputs | u8 minutes before it says anything | u8 horizon in
minutes | f32 probability from which on there is a sign of a rise.
"""

import struct
from math import exp

from zenmoon_edge.core.tinylstm import ModelError, TinyLSTM

METADATA = "zenmoon"
HEAD = "<4Bf"
VERSION = 2
INPUTS = 7
INPUT_NAMES = ("gap", "change", "fast_rise", "slow_rise", "slow_heart", "fast_heart", "coverage")
ABSENT_MINUTES = 10  # without strain, after which what came before is about another situation
LIMIT = 4.0  # inputs are clamped to ±4
LOGITS = 4.0  # the output times this is the logit of the probability

# How much an exponential mean takes in each minute: a quarter (about 4 minutes) and a twentieth (about 20).
_FAST = 0.25
_SLOW = 0.05


class Minutes:
    """Inputs of the model, minute by minute. Only +, −, × on doubles, in this order: a browser gets the same numbers."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets the child."""
        self._previous: "float | None" = None
        self._fast = 0.0
        self._slow = 0.0
        self._heart: "float | None" = None
        self._heart_fast = 0.0

    def step(self, strain: float, heart_rate: "float | None", coverage: float, limit: float) -> "list[float]":
        """The inputs of a minute that has strain.

        Args:
            strain: 0–1. limit: 0–1.
            heart_rate: bpm or None.
            coverage: share of the minute that was measured, 0–1.
        """
        if self._previous is None:
            self._previous = self._fast = self._slow = strain
        change = strain - self._previous
        self._previous = strain
        self._fast += _FAST * (strain - self._fast)
        self._slow += _SLOW * (strain - self._slow)
        slow_heart = fast_heart = 0.0
        if heart_rate is not None:
            if self._heart is None:
                self._heart = self._heart_fast = heart_rate
            self._heart += _SLOW * (heart_rate - self._heart)
            self._heart_fast += _FAST * (heart_rate - self._heart_fast)
            slow_heart = 0.1 * (heart_rate - self._heart)
            fast_heart = 0.1 * (heart_rate - self._heart_fast)
        inputs = [
            5.0 * (strain - limit),
            10.0 * change,
            10.0 * (strain - self._fast),
            6.0 * (strain - self._slow),
            slow_heart,
            fast_heart,
            coverage,
        ]
        return [min(LIMIT, max(-LIMIT, x)) for x in inputs]


class Early:
    """The model at work.

    Args:
        model: the bytes of a .tflite file with these inputs, one output, and the metadata above.

    Attributes:
        ready_minutes: with strain, before it says anything.
        horizon_minutes: how far it looks.
        threshold: probability from which on there is a sign of a rise.
        minutes: with strain, since the start or the last long absence; counted up to `ready_minutes`.
        silent: why the last step gave None: `missing` (no strain in that minute), `minutes` (too few so far), `above` (strain is at
            the limit already); "" when it spoke.

    Raises:
        ModelError: the file is no such model (`metadata`, or what TinyLSTM refuses).
    """

    def __init__(self, model: bytes) -> None:
        self.model = TinyLSTM(model)
        data = self.model.metadata(METADATA)
        if data is None or len(data) != struct.calcsize(HEAD):
            raise ModelError("metadata", "the model is no early hint: train it with zenmoon_models.tinylstm")
        version, inputs, self.ready_minutes, self.horizon_minutes, self.threshold = struct.unpack(HEAD, data)
        outputs = self.model.outputs
        if (version, inputs, self.model.input_size) != (VERSION, INPUTS, INPUTS) or len(outputs) != 1 or outputs[0].size != 1:
            raise ModelError("metadata", "the file is of another version, or of another model")
        if not 0 < self.threshold < 1:
            raise ModelError("metadata", "the threshold is no probability")
        self._inputs = Minutes()
        self.reset()

    def reset(self) -> None:
        """Forgets the child."""
        self.model.reset()
        self._inputs.reset()
        self._absent = 0
        self.minutes = 0
        self.silent = "minutes"

    def step(self, strain: "float | None", heart_rate: "float | None", coverage: float, limit: float) -> "float | None":
        """The next minute, in the order of time and none left out.

        Args:
            strain: 0–1, or None where the minute has none.
            heart_rate: bpm or None.
            coverage: share of the minute that was measured, 0–1.
            limit: strain from which on the child's alarm counts, 0–1.

        Returns:
            The probability that an alarm begins within `horizon_minutes`, or None; then `silent` says why.
        """
        if strain is None:
            self._absent += 1
            if self._absent > ABSENT_MINUTES:
                self.reset()
            self.silent = "missing"
            return None
        self._absent = 0
        x = self._inputs.step(strain, heart_rate, coverage, limit)
        output = self.model.dequantise(self.model.step(self.model.quantise(x)))[0][0]
        if self.minutes < self.ready_minutes:
            self.minutes += 1
        self.silent = "minutes" if self.minutes < self.ready_minutes else "above" if strain >= limit else ""
        return None if self.silent else 1.0 / (1.0 + exp(-LOGITS * output))
