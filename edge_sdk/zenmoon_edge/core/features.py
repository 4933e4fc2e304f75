"""Streaming features: raw seconds in, one window every 4 s out.

Pure and causal: a window depends on the seconds handed in so far and on nothing else. In particular no
session time goes in (Stress-Predict can be solved with a clock, so a feature that grows with time would
fake success). Baselines are exponentially weighted and forget.

Sources of the methods:
    RMSSD and coverage: Task Force of ESC and NASPE, Circulation 93 (1996) 1043.
    Rejected beats: Kamath & Fallen 1995 (an interval more than 32.5 % longer or 24.5 % shorter than the one
        before it is no sinus beat), wide enough for the strong respiratory arrhythmia of children.
    Phasic conductance: first-order high-pass at 0.016 Hz (10 s) over 1 Hz means.
"""

from collections import namedtuple
from math import log, sqrt

from zenmoon_edge.core.record import BEATS, CONTACT, STILL, UNSATURATED, WORN
from zenmoon_edge.core.second import Second

WINDOW_S = 4
INPUTS = 8
INPUT_LIMIT = 4.0  # inputs are clamped to ±4 standard deviations: 1/32 per int8 step
INPUT_NAMES = (
    "heart_rate",  # z of the window's mean, bpm
    "rmssd",  # z of ln(RMSSD in ms); 0 without enough beats
    "conductance",  # z of ln(level in µS)
    "phasic",  # z of the phasic part relative to the level
    "conductance_slope",  # z of the change of ln(level) over a minute
    "temperature",  # z of the level, °C
    "temperature_slope",  # z of the change over a minute, °C
    "motion",  # z of ln(motion in mg)
)

# raw integers of the wire's record; None = absent. `inputs` is a list of 8 floats, or None while not worn. `rate_bpm` is the mean
# heart rate unrounded, None without a pulse.
Window = namedtuple("Window", "tick_ms heart_rate rmssd phasic eda temperature motion quality inputs rate_bpm")

# Worn: skin is warmer than a room and conducts. Over 26 Stress-Predict wearers 99.9 % of the seconds pass.
_SKIN_C = (24.0, 42.0)
_SKIN_US = 0.02
_AMPLIFIER_US = 90.0  # the E4 measures up to 100 µS
_STILL_MG = 40.0
_PULSE_ALIVE = 30  # peak to peak within a second in 0.1 sensor units; a dead channel shows 0, worn wrists ≥ 30
_SLOTS = 15  # a minute of windows
_DIFFERENCES = 8  # fewer make no RMSSD
_PHASIC_GAIN = 0.0952  # 1 − exp(−1 s / 10 s)

_GAIN = 0.00461  # 1 − 2^(−4 s / 600 s): half-life of the baselines is 10 min
_PRIOR_WINDOWS = 15  # the prior spread counts as much as a minute of windows
# Spread of each input about a person's own running mean, pooled over Stress-Predict: only the first minutes use it.
_PRIOR_SPREAD = (9.0, 0.25, 0.38, 0.05, 0.2, 0.28, 0.11, 1.0)


class Features:
    """Turns seconds into windows. One instance per wearer and start; it holds about 2 KB.

    Cost: 128 motion samples and 15 slots per window; no allocation grows with time.
    """

    def __init__(self) -> None:
        self._mean = [0.0] * INPUTS
        self._variance = [spread * spread for spread in _PRIOR_SPREAD]
        self._seen = [0] * INPUTS
        self._beats = [(0.0, 0, 0.0)] * _SLOTS  # per window: sum of squared differences, their number, ms covered
        self._levels: "list[float | None]" = [None] * _SLOTS
        self._temperatures: "list[float | None]" = [None] * _SLOTS
        self._slot = 0
        self._previous_interval = 0.0
        self._tonic: "float | None" = None
        self._clear()

    def _clear(self) -> None:
        self._seconds = 0
        self._motion_n = 0
        self._motion_sum = 0.0
        self._motion_squares = 0.0
        self._pulse_alive = 0
        self._rate_sum = 0.0
        self._rate_n = 0
        self._level_sum = 0.0
        self._level_n = 0
        self._level_top = 0.0
        self._level_bottom = 1000.0
        self._phasic_sum = 0.0
        self._temperature_sum = 0.0
        self._temperature_n = 0
        self._squares = 0.0
        self._differences = 0
        self._covered = 0.0

    def step(self, second: Second) -> "Window | None":
        """Takes the next second; returns a Window with every fourth, else None."""
        self._motion(second.acc)
        bvp = second.bvp
        if bvp and max(bvp) - min(bvp) >= _PULSE_ALIVE:
            self._pulse_alive += 1
        if second.heart_rate_bpm is not None:
            self._rate_sum += second.heart_rate_bpm
            self._rate_n += 1
        if second.eda_us:
            self._conductance(second.eda_us)
        if second.temperature_c:
            self._temperature_sum += sum(second.temperature_c)
            self._temperature_n += len(second.temperature_c)
        if second.intervals_ms:
            self._intervals(second.intervals_ms)
        self._seconds += 1
        if self._seconds < WINDOW_S:
            return None
        window = self._window(second.tick_ms)
        self._clear()
        return window

    def _motion(self, acc: "list[int] | tuple[int, ...]") -> None:
        # Deviations from 1 g keep the sums small, so that single precision is enough.
        total = 0.0
        squares = 0.0
        root = sqrt
        for i in range(0, len(acc) - 2, 3):
            x = acc[i]
            y = acc[i + 1]
            z = acc[i + 2]
            deviation = root(x * x + y * y + z * z) - 64.0
            total += deviation
            squares += deviation * deviation
        self._motion_n += len(acc) // 3
        self._motion_sum += total
        self._motion_squares += squares

    def _conductance(self, samples: "list[float] | tuple[float, ...]") -> None:
        level = sum(samples) / len(samples)
        self._level_sum += level
        self._level_n += 1
        self._level_top = max(self._level_top, *samples)
        self._level_bottom = min(self._level_bottom, *samples)
        if self._tonic is None or self._tonic < _SKIN_US:  # just put on: what went before was no skin
            self._tonic = level
        self._tonic += _PHASIC_GAIN * (level - self._tonic)
        self._phasic_sum += level - self._tonic
        if level < _SKIN_US:
            self._tonic = 0.0

    def _intervals(self, intervals: "list[float] | tuple[float, ...]") -> None:
        previous = self._previous_interval
        for interval in intervals:
            if not 300 <= interval <= 2000:  # 30–200 bpm; 0 marks a gap
                previous = 0.0
                continue
            if not previous:
                self._covered += interval
            elif 0.755 * previous <= interval <= 1.325 * previous:
                self._covered += interval
                self._squares += (interval - previous) * (interval - previous)
                self._differences += 1
            previous = interval
        self._previous_interval = previous

    def _window(self, tick_ms: int) -> Window:
        slot = self._slot
        self._slot = (slot + 1) % _SLOTS
        rate = self._rate_sum / self._rate_n if self._rate_n else None
        level = self._level_sum / self._level_n if self._level_n else None
        phasic = self._phasic_sum / self._level_n if self._level_n else None
        temperature = self._temperature_sum / self._temperature_n if self._temperature_n else None
        motion = self._motion_deviation()
        rmssd, covered = self._rmssd(slot)

        quality = 0
        if motion is not None and motion < _STILL_MG:
            quality |= STILL
        if 2 * self._pulse_alive > WINDOW_S:
            quality |= CONTACT
        if level is not None and self._level_top < _AMPLIFIER_US:
            quality |= UNSATURATED
        if covered and rmssd is not None:
            quality |= BEATS

        inputs = None
        if (
            level is not None
            and phasic is not None
            and self._level_bottom >= _SKIN_US
            and temperature is not None
            and _SKIN_C[0] <= temperature <= _SKIN_C[1]
        ):
            quality |= WORN
            logarithm = log(level)
            inputs = [
                self._z(0, rate if quality & CONTACT else None),
                self._z(1, log(rmssd + 1.0) if rmssd is not None and quality & BEATS else None),
                self._z(2, logarithm),
                self._z(3, phasic / level),
                self._z(4, _change(self._levels, slot, logarithm)),
                self._z(5, temperature),
                self._z(6, _change(self._temperatures, slot, temperature)),
                self._z(7, None if motion is None else log(motion + 1.0)),
            ]
        else:  # an old value must not be taken for a minute ago later on
            self._levels[slot] = self._temperatures[slot] = None
        return Window(
            tick_ms,
            _raw(rate, 2, 0, 510),
            _raw(rmssd, 1, 0, 1022),
            _raw(phasic, 100, -4095, 4095),
            _raw(level, 100, 0, 65534),
            _raw(temperature, 100, -32767, 32767),
            _raw(motion, 1, 0, 65534),
            quality,
            inputs,
            rate if quality & CONTACT else None,
        )

    def _motion_deviation(self) -> "float | None":
        n = self._motion_n
        if not n:
            return None
        mean = self._motion_sum / n
        return sqrt(max(0.0, self._motion_squares / n - mean * mean)) * 15.625  # 1/64 g in mg

    def _rmssd(self, slot: int) -> "tuple[float | None, bool]":
        self._beats[slot] = (self._squares, self._differences, self._covered)
        squares = 0.0
        differences = 0
        covered = 0.0
        for s, d, c in self._beats:
            squares += s
            differences += d
            covered += c
        rmssd = sqrt(squares / differences) if differences >= _DIFFERENCES else None
        return rmssd, 2 * covered >= 1000 * WINDOW_S * _SLOTS

    def _z(self, i: int, value: "float | None") -> float:
        """Deviation of `value` from its own past, then the past takes it in. Absent → 0, nothing learnt."""
        if value is None:
            return 0.0
        n = self._seen[i]
        if n == 0:
            self._mean[i] = value
        difference = value - self._mean[i]
        z = difference / sqrt(self._variance[i])
        # Until the window of the half-life has filled, the mean weighs all it has seen alike.
        gain = max(_GAIN, 1.0 / (n + 1))
        spread_gain = max(_GAIN, 1.0 / (n + 1 + _PRIOR_WINDOWS))
        self._mean[i] += gain * difference
        self._variance[i] += spread_gain * (difference * difference * (1.0 - gain) - self._variance[i])
        # A quarter of the prior spread is a floor: a constant signal must not turn noise into evidence.
        floor = _PRIOR_SPREAD[i] * _PRIOR_SPREAD[i] / 16
        self._variance[i] = max(self._variance[i], floor)
        if n < 1000:
            self._seen[i] = n + 1
        return max(-INPUT_LIMIT, min(INPUT_LIMIT, z))


def _change(ring: "list[float | None]", slot: int, value: "float | None") -> "float | None":
    """`value` minus what stood in the ring a minute ago (None where either is absent); stores `value`."""
    before = ring[slot]
    ring[slot] = value
    return None if value is None or before is None else value - before


def _raw(value: "float | None", per_unit: int, lowest: int, highest: int) -> "int | None":
    if value is None:
        return None
    scaled = value * per_unit
    whole = int(scaled + 0.5) if scaled >= 0 else -int(0.5 - scaled)
    return max(lowest, min(highest, whole))
