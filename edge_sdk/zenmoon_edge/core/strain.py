"""Strain, anomaly and heart rate from the model: smoothing, warm-up, what was expected, and a gain for the measured rate.

Strain is arousal against this wearer's usual, never a diagnosis. Anomaly says how unusual the step was (see `surprise`). The
heart rate is denoised: each measurement is taken in by as much as the model trusts it, between 0 (a wrist that swings, a jump
that no heart makes) and 1. What belongs to the model travels inside its file (metadata buffer `zenmoon`), so that a model and its
calibration cannot part.

Metadata, little-endian: u8 version 2 | u8 inputs | u8 strain output | u8 expectation output | u8 first expected input | u8 second
expected input | u8 steps before ready | u8 levels n | f32 smoothing gain | u8 gain output | 3 bytes 0 | 4 × n f32 levels of
`surprise`.
"""

import struct
from math import isfinite

from zenmoon_edge.core.surprise import KINDS, Surprise
from zenmoon_edge.core.tinylstm import ModelError, TinyLSTM

METADATA = "zenmoon"
HEAD = "<8BfB3x"
_HEAD_BYTES = 16
_OFF_WRIST_STEPS = 15  # a minute off the wrist: what the model remembers is about another situation


class Strain:
    """The model of a wearable at work.

    Args:
        model: the bytes of a .tflite file with one strain output (0–1), one output that holds the
            expected next values of two inputs, one gain (0–1), and the metadata above.

    Attributes:
        model: the TinyLSTM.
        channels: the two inputs that it expects.
        surprise: what the anomaly is made of.

    Raises:
        ModelError: the file is no such model ("metadata", or what TinyLSTM refuses).
    """

    def __init__(self, model: bytes) -> None:
        self.model = TinyLSTM(model)
        data = self.model.metadata(METADATA)
        if data is None or len(data) < _HEAD_BYTES:
            raise ModelError("metadata", "the model carries no calibration: train it with zenmoon_models.tinylstm")
        version, inputs, strain, expectation, first, second, warm_up, n, gain, trust = struct.unpack_from(HEAD, data, 0)
        sizes = [output.size for output in self.model.outputs]
        if (
            version != 2
            or inputs != self.model.input_size
            or max(first, second) >= inputs
            or max(strain, expectation, trust) >= len(sizes)
            or [sizes[strain], sizes[expectation], sizes[trust]] != [1, 2, 1]
            or n < 2
            or len(data) < _HEAD_BYTES + 4 * n * (KINDS + 1)
            or not 0 < gain <= 1
        ):
            raise ModelError("metadata", "the calibration does not fit the model")
        levels = [struct.unpack_from("<%df" % n, data, _HEAD_BYTES + 4 * n * kind) for kind in range(KINDS + 1)]
        for row in levels:
            # Written so that NaN, which is never at most anything, is refused too.
            rising = all(a <= b for a, b in zip(row, row[1:]))  # noqa: B905, RUF007 - MicroPython
            if not (rising and isfinite(row[0]) and isfinite(row[-1])):
                raise ModelError("metadata", "the levels of surprise do not rise")
        self.channels = (first, second)
        self.surprise = Surprise(levels, self.channels, gain)
        self._warm_up = warm_up
        self._gain = gain
        self._strain = strain
        self._expectation = expectation
        self._trust = trust
        self.reset()

    def reset(self) -> None:
        """Forgets the wearer: a new start."""
        self.model.reset()
        self.surprise.reset()
        self._steps = 0
        self._absent = 0
        self._smoothed = 0.0
        self._expected: "list[float] | None" = None
        self._rate: "float | None" = None

    def step(self, inputs: "list[float] | None", rate_bpm: "float | None" = None) -> "tuple[int, int, bool]":
        """One step of 4 s.

        Args:
            inputs: the window's inputs, or None while the band is not worn.
            rate_bpm: the window's measured heart rate, or None.

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
        self.surprise.step(inputs, self._expected)
        outputs = self.model.dequantise(self.model.step(self.model.quantise(inputs)))
        self._expected = outputs[self._expectation]
        strain = outputs[self._strain][0]
        self._smoothed += (self._gain if self._steps else 1.0) * (strain - self._smoothed)
        if rate_bpm is not None:
            before = rate_bpm if self._rate is None else self._rate
            self._rate = before + outputs[self._trust][0] * (rate_bpm - before)
        if self._steps < 255:
            self._steps += 1
        return (
            max(0, min(255, int(self._smoothed * 255 + 0.5))),
            int(self.surprise.anomaly() * 255 + 0.5),
            self._steps > self._warm_up,
        )

    def heart_rate_bpm(self) -> "float | None":
        """The denoised heart rate after the last step; None before the first measurement since a reset."""
        return self._rate

    def expected(self) -> "list[float] | None":
        """What the model expects of the next step's `channels`, in the inputs' unit; None where it has nothing to go on."""
        return self._expected
