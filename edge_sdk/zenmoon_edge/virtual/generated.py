"""Writes a plausible Empatica E4 folder: deterministic in its seed, from a small model of the body.

It stands in for a recording where none is at hand (demonstrations, tests); it is simulated and proves nothing about people.
A `Drive` says second by second what the body does; `write_waveforms` turns it into the samples of a wristband:
    pulse wave: a systolic peak and a dicrotic one per beat, blurred by motion;
    beats: the drive's rate, swung by breathing (respiratory sinus arrhythmia) so far that the drive's RMSSD comes about;
    skin conductance: the drive's tonic level plus its responses (Bateman: rise 0.75 s, decay 2 s);
    motion: gravity, and swinging at 2 Hz as wide as the drive's motion;
    off the wrist: no conductance, no pulse, no beats.
`write_recording` brings a drive of its own, a resting `Body` with one episode of arousal in the middle third of the session;
`zenmoon_edge.simulator` drives the same waveforms with a whole child.
"""

import math
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]

START = 1_700_000_000  # 2023-11-14 22:13:20 UTC
HEART_RATE_DELAY_S = 10  # an E4's heart rate begins ten seconds after everything else
RISE_S = 0.75
DECAY_S = 2.0  # Bateman function of a conductance response; with the rise above it peaks after 1.2 s
BATEMAN_PEAK = 0.39  # of exp(−t/DECAY_S) − exp(−t/RISE_S)
RESPONSE_S = 30  # after which nothing is left of a response

_BREATHING_HZ = 0.25
_TIMING_MS = 6.0  # how irregular beats are beside breathing
_GRID_HZ = 64  # an E4 places its beats on the grid of its pulse samples
_IRREGULAR_MS = math.hypot(_TIMING_MS, 1000 / _GRID_HZ / math.sqrt(12)) * math.sqrt(2)  # RMSSD of both without any breathing
_WIDEST_SWING = 0.25  # of a beat's length; more would make beats that no filter takes for sinus beats
_GRAVITY = np.array([-12.0, 20.0, 59.0])  # 1/64 g: a wrist at rest
_PHASES = np.array([0.0, 1.1, 2.3])
# An amplitude of 1 g on all axes at these phases gives the magnitude of acceleration this standard deviation.
_SPREAD_G = float(abs(np.exp(1j * _PHASES) @ _GRAVITY)) / float(np.linalg.norm(_GRAVITY)) / math.sqrt(2)
_TRUSTED_G = 0.1  # an E4 leaves out the beats that it cannot trust: those in motion


class Body(NamedTuple):
    """Who is imitated: a child of about ten at rest.

    heart_bpm: resting rate; rmssd_ms: at rest, and half of it at full arousal; conductance_us: tonic level; response_us:
    mean size of a conductance response; responses_per_min: at rest, and five times as many at full arousal; skin_c:
    temperature once the band is warm; bouts_per_min: of motion.
    """

    heart_bpm: float = 84.0
    rmssd_ms: float = 30.0
    conductance_us: float = 2.2
    response_us: float = 0.25
    responses_per_min: float = 3.0
    skin_c: float = 33.4
    bouts_per_min: float = 0.5


class Drive(NamedTuple):
    """What a body does, one value a second.

    Attributes:
        heart_rate_bpm: mean rate in that second.
        rmssd_ms: variability from beat to beat; below 10 ms the irregularity of the sensor itself remains.
        tonic_us: skin conductance without its responses.
        responses: [n, 2] onset in s from the beginning and size in µS of the conductance responses.
        skin_c: skin temperature.
        motion_g: standard deviation of the magnitude of acceleration.
        contact: whether the band is on the wrist with usable contact.
    """

    heart_rate_bpm: Signal
    rmssd_ms: Signal
    tonic_us: Signal
    responses: Signal
    skin_c: Signal
    motion_g: Signal
    contact: NDArray[np.bool_]

    def cut(self, first: int, last: int) -> "Drive":
        """From second `first` to before `last`; the responses that begin there."""
        onsets = self.responses[:, 0]
        return Drive(
            heart_rate_bpm=self.heart_rate_bpm[first:last],
            rmssd_ms=self.rmssd_ms[first:last],
            tonic_us=self.tonic_us[first:last],
            responses=self.responses[(onsets >= first) & (onsets < last)] - [first, 0.0],
            skin_c=self.skin_c[first:last],
            motion_g=self.motion_g[first:last],
            contact=self.contact[first:last],
        )


def write_recording(folder: Path | str, seconds: int, seed: int, *, body: Body | None = None) -> Path:
    """Writes ACC, BVP, EDA, HR, IBI and TEMP as .csv and returns the folder.

    Args:
        folder: created where it is absent.
        seconds: length, at least 20.
        seed: the same seed and length give the same bytes.
        body: who is imitated; default `Body()`.

    Raises:
        ValueError: a session too short to hold a heart rate.
    """
    _long_enough(seconds)
    random = np.random.default_rng(seed)
    return write_waveforms(folder, episode(random, seconds, body or Body()), random)


def write_waveforms(folder: Path | str, drive: Drive, random: np.random.Generator, *, start: int = START) -> Path:
    """Writes what a wristband samples while a body does what `drive` says, and returns the folder.

    Args:
        folder: created where it is absent.
        drive: at least 20 s.
        random: for what the drive leaves open: jitter, noise of the sensors.
        start: unix seconds of the first sample.

    Raises:
        ValueError: a session too short to hold a heart rate.
    """
    seconds = len(drive.heart_rate_bpm)
    _long_enough(seconds)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    beats = _beats(random, drive)
    intervals = np.diff(beats)
    _write(folder, "ACC", 32, _acceleration(random, drive), "%d", start=start)
    _write(folder, "BVP", 64, _pulse_wave(random, drive, beats), "%.2f", start=start)
    _write(folder, "EDA", 4, conductance(drive, 4), "%.6f", start=start)
    _write(folder, "TEMP", 4, _temperature(random, drive), "%.2f", start=start)
    rates = [60 / float(intervals[(beats[1:] > s - 10) & (beats[1:] <= s)].mean()) for s in range(10, seconds)]
    _write(folder, "HR", 1, np.array(rates), "%.2f", start=start + HEART_RATE_DELAY_S)
    second = np.minimum(beats[1:].astype(np.intp), seconds - 1)
    trusted = (drive.motion_g[second] < _TRUSTED_G) & drive.contact[second]
    rows = [f"{beat:.6f},{length:.6f}" for beat, length in zip(beats[1:][trusted], intervals[trusted], strict=True)]
    (folder / "IBI.csv").write_text("\n".join([f"{start:.6f}, IBI", *rows]) + "\n", "ascii")
    return folder


def episode(random: np.random.Generator, seconds: int, body: Body) -> Drive:
    """A body at rest that is aroused in the middle third: rises over a twelfth of the session, stays, and fades."""
    at = np.arange(seconds, dtype=np.float64)
    edge = max(4.0, seconds / 12)
    arousal = (_ramp((at - seconds / 3) / edge) - _ramp((at - 2 * seconds / 3) / edge)).clip(0, 1)
    bouts = np.zeros(seconds)
    for _ in range(random.poisson(body.bouts_per_min * seconds / 60)):
        first = int(random.integers(0, seconds))
        bouts[first : first + int(random.integers(4, 16))] = random.uniform(0.15, 0.5)
    wander = np.fromiter(accumulate(random.normal(0, 0.5, seconds), lambda level, step: 0.985 * level + step), np.float64)
    onsets = np.flatnonzero(random.random(seconds) < body.responses_per_min / 60 * (1 + 4 * arousal)) + random.random()
    return Drive(
        heart_rate_bpm=body.heart_bpm + wander + 14 * arousal + 36 * bouts,
        rmssd_ms=body.rmssd_ms * (1 - 0.5 * arousal),
        tonic_us=np.maximum(body.conductance_us * (1 + 0.35 * arousal) + np.cumsum(random.normal(0, 0.004, seconds)), 0.05),
        responses=np.column_stack([onsets, body.response_us * random.lognormal(0, 0.4, len(onsets))]),
        skin_c=body.skin_c - 1.5 * np.exp(-at / 400) - np.minimum(np.cumsum(arousal) * 0.001, 0.6),
        motion_g=bouts,
        contact=np.ones(seconds, np.bool_),
    )


def conductance(drive: Drive, rate: int) -> Signal:
    """Skin conductance in µS, `rate` samples a second: tonic level plus responses, 0 without contact."""
    seconds = len(drive.tonic_us)
    at = np.arange(seconds * rate) / rate
    signal = np.interp(at, np.arange(seconds), drive.tonic_us)
    for onset, size in drive.responses.tolist():
        first = max(0, math.ceil(onset * rate))
        since = at[first : first + RESPONSE_S * rate] - onset
        signal[first : first + RESPONSE_S * rate] += size * (np.exp(-since / DECAY_S) - np.exp(-since / RISE_S)) / BATEMAN_PEAK
    return np.where(np.repeat(drive.contact, rate), np.maximum(signal, 0.05), 0.0)


def _long_enough(seconds: int) -> None:
    if seconds < 2 * HEART_RATE_DELAY_S:
        raise ValueError(f"a recording needs at least {2 * HEART_RATE_DELAY_S} s, not {seconds}")


def _ramp(x: Signal) -> Signal:
    return 0.5 - 0.5 * np.cos(np.pi * x.clip(0, 1))


def _beats(random: np.random.Generator, drive: Drive) -> Signal:
    """Beat times in s, on the E4's grid."""
    lengths = 60 / drive.heart_rate_bpm
    breathing = np.sqrt(np.maximum(drive.rmssd_ms**2 - _IRREGULAR_MS**2, 0)) / 1000
    # What swings by A of its length changes by 2·A·sin(π·f·length) at most from one beat to the next, that over √2 on average.
    swings = breathing / (lengths * math.sqrt(2) * np.abs(np.sin(math.pi * _BREATHING_HZ * lengths)))
    length, swing = lengths.tolist(), np.minimum(swings, _WIDEST_SWING).tolist()
    seconds = len(length)
    times = [0.0]
    while times[-1] < seconds:
        now = times[-1]
        second = int(now)
        breath = swing[second] * math.sin(2 * math.pi * _BREATHING_HZ * now)
        after = now + length[second] * (1 + breath) + random.normal(0, _TIMING_MS / 1000)
        times.append(round(after * _GRID_HZ) / _GRID_HZ)
    return np.array(times[:-1])


def _pulse_wave(random: np.random.Generator, drive: Drive, beats: Signal) -> Signal:
    at = np.arange(len(drive.motion_g) * 64) / 64
    since = at - beats[np.searchsorted(beats, at, side="right") - 1]
    wave = 60 * np.exp(-(((since - 0.15) / 0.07) ** 2)) + 18 * np.exp(-(((since - 0.42) / 0.09) ** 2)) - 20
    blur = _each(drive.motion_g, at) * 240 * np.sin(2 * np.pi * 1.7 * at)
    on = np.repeat(drive.contact, 64)
    # Off the wrist a pulse sensor shows next to nothing; the noise stays far below what the firmware takes for a pulse.
    return np.where(on, wave + blur, 0.0) + random.normal(0, 1.0, len(at)) * np.where(on, 1.5, 0.15)


def _temperature(random: np.random.Generator, drive: Drive) -> Signal:
    signal = _each(drive.skin_c, np.arange(len(drive.skin_c) * 4) / 4)
    return np.asarray(np.round((signal + random.normal(0, 0.01, len(signal))) / 0.02) * 0.02)


def _acceleration(random: np.random.Generator, drive: Drive) -> Signal:
    """[n, 3] in 1/64 g: gravity, noise of the sensor, and swinging at 2 Hz."""
    at = np.arange(len(drive.motion_g) * 32) / 32
    amplitude = _each(drive.motion_g, at)[:, None] / _SPREAD_G * 64
    waves = amplitude * np.sin(2 * np.pi * 2 * at[:, None] + _PHASES)
    return np.asarray(np.clip(np.round(_GRAVITY + waves + random.normal(0, 0.4, (len(at), 3))), -128, 127))


def _each(values: Signal, at: Signal) -> Signal:
    return np.asarray(np.interp(at, np.arange(len(values)), values))


def _write(folder: Path, name: str, rate: int, samples: Signal, form: str, *, start: int) -> None:
    columns = samples.reshape(len(samples), -1)
    head = [", ".join([f"{value:.6f}"] * columns.shape[1]) for value in (start, rate)]
    lines = [",".join(form % value for value in row) for row in columns.tolist()]
    (folder / f"{name}.csv").write_text("\n".join([*head, *lines]) + "\n", "ascii")
