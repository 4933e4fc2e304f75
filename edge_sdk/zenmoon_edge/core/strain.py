"""Strain and anomaly from the model: smoothing, warm-up, and surprise against what the model expected.

Strain is arousal against this wearer's usual, never a diagnosis. Anomaly says how unusual the step was: the share
of the training people's steps that surprised the model less. Both ends of the calibration travel inside
the model file (metadata buffer `zenmoon`), so that a model and its calibration cannot part.

Metadata, little-endian: u8 version 1 | u8 inputs | u8 strain output | u8 expectation output | u8 first expected input
| u8 second expected input | u8 steps before ready | u8 quantiles n | f32 smoothing gain | n × f32 surprise quantiles,
evenly spaced from 0 to 1.
"""

import struct
from math import isfinite, sqrt

from zenmoon_edge.core.tinylstm import ModelError, TinyLSTM

METADATA = "zenmoon"
_HEAD = "<8Bf"
_HEAD_BYTES = 12
_OFF_WRIST_STEPS = 15  # a minute off the wrist: what the model remembers is about another situation


class Strain:
    """The model of a wearable at work.

    Args:
        model: the bytes of a .tflite file with one strain output (0–1), one output that holds the
            expected next values of two inputs, and the metadata above.

    Raises:
        ModelError: the file is no such model ("metadata", or what TinyLSTM refuses).
    """

    def __init__(self, model: bytes) -> None:
        self.model = TinyLSTM(model)
        data = self.model.metadata(METADATA)
        if data is None or len(data) < _HEAD_BYTES:
            raise ModelError("metadata", "the model carries no calibration: train it with zenmoon_models.tinylstm")
        version, inputs, strain, expectation, first, second, warm_up, n, gain = struct.unpack_from(_HEAD, data, 0)
        outputs = self.model.outputs
        if (
            version != 1
            or inputs != self.model.input_size
            or max(first, second) >= inputs
            or max(strain, expectation) >= len(outputs)
            or outputs[strain].size != 1
            or outputs[expectation].size != 2
            or n < 2
            or len(data) < _HEAD_BYTES + 4 * n
            or not 0 < gain <= 1
        ):
            raise ModelError("metadata", "the calibration does not fit the model")
        self._quantiles: "tuple[float, ...]" = struct.unpack_from("<%df" % n, data, _HEAD_BYTES)
        # Written so that NaN, which is never at most anything, is refused too.
        rising = all(a <= b for a, b in zip(self._quantiles, self._quantiles[1:]))  # noqa: B905 - MicroPython
        if not (rising and isfinite(self._quantiles[0]) and isfinite(self._quantiles[-1])):
            raise ModelError("metadata", "the surprise quantiles do not rise")
        self._expected_inputs = (first, second)
        self._warm_up = warm_up
        self._gain = gain
        self._strain = strain
        self._expectation = expectation
        self.reset()

    def reset(self) -> None:
        """Forgets the wearer: a new start."""
        self.model.reset()
        self._steps = 0
        self._absent = 0
        self._smoothed = 0.0
        self._surprise: "float | None" = None
        self._expected: "list[float] | None" = None

    def step(self, inputs: "list[float] | None") -> "tuple[int, int, bool]":
        """One step of 4 s.

        Args:
            inputs: the window's inputs, or None while the band is not worn.

        Returns:
            (strain, anomaly, ready): integers 0–255 and whether they may be shown.
        """
        if inputs is None:
            self._absent += 1
            self._expected = None
            if self._absent == _OFF_WRIST_STEPS:
                absent = self._absent
                self.reset()
                self._absent = absent
            return 0, 0, False
        self._absent = 0
        self._compare(inputs)
        outputs = self.model.dequantise(self.model.step(self.model.quantise(inputs)))
        self._expected = outputs[self._expectation]
        strain = outputs[self._strain][0]
        self._smoothed += (self._gain if self._steps else 1.0) * (strain - self._smoothed)
        if self._steps < 255:
            self._steps += 1
        return (
            max(0, min(255, int(self._smoothed * 255 + 0.5))),
            int(self._rank(self.surprise()) * 255 + 0.5),
            self._steps > self._warm_up,
        )

    def surprise(self) -> float:
        """The smoothed surprise of the last step, in standard deviations; calibration is made from it."""
        return self._surprise or 0.0

    def _compare(self, inputs: "list[float]") -> None:
        if self._expected is None:
            return
        a = inputs[self._expected_inputs[0]] - self._expected[0]
        b = inputs[self._expected_inputs[1]] - self._expected[1]
        surprise = sqrt((a * a + b * b) / 2)
        if self._surprise is None:
            self._surprise = surprise
        self._surprise += self._gain * (surprise - self._surprise)

    def _rank(self, surprise: float) -> float:
        """Where `surprise` lies among the calibration's quantiles, 0–1."""
        quantiles = self._quantiles
        last = len(quantiles) - 1
        if surprise <= quantiles[0]:
            return 0.0
        for i in range(last):
            if surprise < quantiles[i + 1]:
                width = quantiles[i + 1] - quantiles[i]
                return (i + (surprise - quantiles[i]) / width) / last
        return 1.0
