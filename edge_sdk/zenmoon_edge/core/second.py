"""One second of raw samples: the only thing that a sensor driver hands to the features.

Resolutions are those of the packed form, so `unpack(second.pack())` equals `second` for every
second whose driver keeps to them (all of ours do). A model that is trained through `Second`
therefore sees exactly what a wearable sees.

Packed form, little-endian (an Empatica E4 needs 261 bytes and 2 more for each beat)::

    u48 tick in ms | u8 motion samples | u8 pulse samples | u8 conductance samples | u8 temperature samples
    | u8 intervals | u16 heart rate in 0.01 bpm (65535 absent)
    | i8 x, y, z per motion sample | i16 per pulse sample | f32 µS per conductance sample
    | i16 0.01 °C per temperature sample | u16 0.1 ms per interval (0 = a gap before the next one)
"""

import struct

from zenmoon_edge.core.errors import EdgeError

_HEAD = "<IHBBBBBH"
_HEAD_BYTES = 13
_ABSENT = 65535


class SecondError(EdgeError):
    """A second that does not add up: `truncated`, `trailing` (bytes), `too_long` (samples of one kind)."""


class Second:
    """One second of raw samples; an absent sample is left out of its list, an absent sensor leaves the list empty.

    Attributes:
        tick_ms: end of the second, in ms since the driver started.
        acc: flat list x, y, z, x, y, z, … of integers in 1/64 g, −128…127.
        bvp: blood volume pulse, integers in a tenth of the sensor's own unit, −32 768…32 767.
        eda_us: skin conductance in µS (single precision).
        temperature_c: skin temperature in °C (multiples of 0.01).
        heart_rate_bpm: the driver's heart rate (multiples of 0.01) or None.
        intervals_ms: intervals in ms (multiples of 0.1) whose second beat fell into this second, in order.
            A 0 says that beats were missed between the interval before it and the one after it.
    """

    __slots__ = ("acc", "bvp", "eda_us", "heart_rate_bpm", "intervals_ms", "temperature_c", "tick_ms")

    def __init__(  # noqa: PLR0917 - in the order of the packed form; keywords cost time once a second
        self,
        tick_ms: int,
        acc: "list[int] | tuple[int, ...]" = (),
        bvp: "list[int] | tuple[int, ...]" = (),
        eda_us: "list[float] | tuple[float, ...]" = (),
        temperature_c: "list[float] | tuple[float, ...]" = (),
        heart_rate_bpm: "float | None" = None,
        intervals_ms: "list[float] | tuple[float, ...]" = (),
    ) -> None:
        self.tick_ms = tick_ms
        self.acc = acc
        self.bvp = bvp
        self.eda_us = eda_us
        self.temperature_c = temperature_c
        self.heart_rate_bpm = heart_rate_bpm
        self.intervals_ms = intervals_ms

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Second) and all(
            list(a) == list(b) if isinstance(a, (list, tuple)) else a == b
            for a, b in ((getattr(self, name), getattr(other, name)) for name in _FIELDS)
        )

    def __repr__(self) -> str:
        return "Second(" + ", ".join("%s=%r" % (name, getattr(self, name)) for name in _FIELDS) + ")"

    def pack(self) -> bytes:
        """The packed form. Values outside the range of a field are clamped.

        Raises:
            SecondError: more than 255 samples of one kind ("too_long").
        """
        motion = len(self.acc) // 3
        counts = (motion, len(self.bvp), len(self.eda_us), len(self.temperature_c), len(self.intervals_ms))
        if max(counts) > 255:
            raise SecondError("too_long", "a second holds at most 255 samples of one kind")
        rate = self.heart_rate_bpm
        rate = _ABSENT if rate is None else min(_ABSENT - 1, max(0, int(rate * 100 + 0.5)))
        return (
            struct.pack(_HEAD, self.tick_ms & 0xFFFFFFFF, self.tick_ms >> 32, *counts, rate)
            + struct.pack("<%db" % (3 * motion), *[_clamp(a, -128, 127) for a in self.acc[: 3 * motion]])
            + struct.pack("<%dh" % counts[1], *[_clamp(b, -32768, 32767) for b in self.bvp])
            + struct.pack("<%df" % counts[2], *self.eda_us)
            + struct.pack("<%dh" % counts[3], *[_clamp(_nearest(t * 100), -32768, 32767) for t in self.temperature_c])
            + struct.pack("<%dH" % counts[4], *[_clamp(_nearest(i * 10), 0, 65535) for i in self.intervals_ms])
        )

    @staticmethod
    def unpack(data: bytes) -> "Second":
        """The second that `pack` wrote.

        Raises:
            SecondError: the bytes are too few ("truncated") or too many ("trailing").
        """
        if len(data) < _HEAD_BYTES:
            raise SecondError("truncated", "%d bytes are no second" % len(data))
        low, high, motion, pulse, conductance, temperature, beats, rate = struct.unpack_from(_HEAD, data, 0)
        size = _HEAD_BYTES + 3 * motion + 2 * pulse + 4 * conductance + 2 * temperature + 2 * beats
        if len(data) != size:
            raise SecondError("truncated" if len(data) < size else "trailing", "%d bytes instead of %d" % (len(data), size))
        # One call for all five lists: this runs once per second on the wearable.
        values = struct.unpack_from("<%db%dh%df%dh%dH" % (3 * motion, pulse, conductance, temperature, beats), data, _HEAD_BYTES)
        a = 3 * motion
        b = a + pulse
        c = b + conductance
        d = c + temperature
        return Second(
            low + (high << 32),
            values[:a],
            values[a:b],
            values[b:c],
            [t / 100 for t in values[c:d]],
            None if rate == _ABSENT else rate / 100,
            [i / 10 for i in values[d:]],
        )


_FIELDS = ("tick_ms", "acc", "bvp", "eda_us", "temperature_c", "heart_rate_bpm", "intervals_ms")


def _clamp(value: int, lowest: int, highest: int) -> int:
    return lowest if value < lowest else highest if value > highest else int(value)


def _nearest(value: float) -> int:
    return int(value + 0.5) if value >= 0 else -int(0.5 - value)
