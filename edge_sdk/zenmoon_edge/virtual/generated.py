"""Writes a plausible Empatica E4 folder: deterministic in its seed, from a small model of the body.

It stands in for a recording where none is at hand (demonstrations, tests); it proves nothing about people.
Model, each part named after what it imitates:
    heart: a slow wander about a resting rate, respiratory sinus arrhythmia at 0.25 Hz, faster with arousal and motion;
    pulse wave: a systolic peak and a dicrotic one per beat, blurred by motion;
    skin conductance: a tonic level plus responses (Bateman: rise 0.75 s, decay 2 s) that come oftener with arousal;
    skin temperature: drifts up as the band warms, falls a little with arousal;
    motion: rest with bouts of swinging; arousal: one episode in the middle third of the session.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]

START = 1_700_000_000  # 2023-11-14 22:13:20 UTC
HEART_RATE_DELAY_S = 10  # an E4's heart rate begins ten seconds after everything else


class Body(NamedTuple):
    """Who is imitated: a child of about ten at rest.

    heart_bpm: resting rate; breathing_hz; arrhythmia: respiratory swing of the beat interval as a share of it;
    conductance_us: tonic level; response_us: mean size of a conductance response; responses_per_min: at rest, and
    five times as many at full arousal; skin_c: temperature once the band is warm; bouts_per_min: of motion.
    """

    heart_bpm: float = 84.0
    breathing_hz: float = 0.25
    arrhythmia: float = 0.05
    conductance_us: float = 2.2
    response_us: float = 0.25
    responses_per_min: float = 3.0
    skin_c: float = 33.4
    bouts_per_min: float = 0.5


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
    if seconds < 2 * HEART_RATE_DELAY_S:
        raise ValueError(f"a recording needs at least {2 * HEART_RATE_DELAY_S} s, not {seconds}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    body = body or Body()
    random = np.random.default_rng(seed)

    at = np.arange(seconds + 1, dtype=np.float64)
    arousal = _arousal(at, seconds)
    motion = _motion(random, seconds, body)
    beats = _beats(random, seconds, body, arousal, motion)
    intervals = np.diff(beats)

    _write(folder, "ACC", 32, _acceleration(random, seconds, motion), "%d")
    _write(folder, "BVP", 64, _pulse_wave(random, seconds, beats, motion), "%.2f")
    _write(folder, "EDA", 4, _conductance(random, seconds, body, arousal), "%.6f")
    _write(folder, "TEMP", 4, _temperature(random, seconds, body, arousal), "%.2f")
    rates = [60 / float(intervals[(beats[1:] > s - 10) & (beats[1:] <= s)].mean()) for s in range(10, seconds)]
    _write(folder, "HR", 1, np.array(rates), "%.2f", start=START + HEART_RATE_DELAY_S)
    # An E4 leaves out the beats that it cannot trust: those in motion.
    steady = np.interp(beats[1:], at, motion) < 0.2
    rows = [f"{beat:.6f},{interval:.6f}" for beat, interval, ok in zip(beats[1:], intervals, steady, strict=True) if ok]
    (folder / "IBI.csv").write_text("\n".join([f"{START:.6f}, IBI", *rows]) + "\n", "ascii")
    return folder


def _arousal(at: Signal, seconds: int) -> Signal:
    """0…1: rises over a twelfth of the session, stays, and fades; middle third."""
    edge = max(4.0, seconds / 12)
    return (_ramp((at - seconds / 3) / edge) - _ramp((at - 2 * seconds / 3) / edge)).clip(0, 1)


def _ramp(x: Signal) -> Signal:
    return 0.5 - 0.5 * np.cos(np.pi * x.clip(0, 1))


def _motion(random: np.random.Generator, seconds: int, body: Body) -> Signal:
    """0…1 a second: bouts of 4–15 s."""
    motion = np.zeros(seconds + 1)
    for _ in range(random.poisson(body.bouts_per_min * seconds / 60)):
        first = int(random.integers(0, seconds))
        motion[first : first + int(random.integers(4, 16))] = random.uniform(0.3, 1.0)
    return motion


def _beats(random: np.random.Generator, seconds: int, body: Body, arousal: Signal, motion: Signal) -> Signal:
    """Beat times in s, on the E4's grid of 1/64 s."""
    times = [0.0]
    wander = 0.0
    while times[-1] < seconds:
        now = times[-1]
        second = min(seconds, int(now))
        wander = 0.98 * wander + random.normal(0, 0.6)
        rate = body.heart_bpm + wander + 14 * arousal[second] + 18 * motion[second]
        breath = body.arrhythmia * (1 - 0.6 * arousal[second]) * math.sin(2 * math.pi * body.breathing_hz * now)
        interval = 60 / rate * (1 + breath) + random.normal(0, 0.006)
        times.append(round((now + interval) * 64) / 64)
    return np.array(times[:-1])


def _pulse_wave(random: np.random.Generator, seconds: int, beats: Signal, motion: Signal) -> Signal:
    at = np.arange(seconds * 64) / 64
    since = at - beats[np.searchsorted(beats, at, side="right") - 1]
    wave = 60 * np.exp(-(((since - 0.15) / 0.07) ** 2)) + 18 * np.exp(-(((since - 0.42) / 0.09) ** 2)) - 20
    blur = np.interp(at, np.arange(seconds + 1), motion) * 120 * np.sin(2 * np.pi * 1.7 * at)
    return np.asarray(wave + blur + random.normal(0, 1.5, len(at)))


def _conductance(random: np.random.Generator, seconds: int, body: Body, arousal: Signal) -> Signal:
    at = np.arange(seconds * 4) / 4
    level = np.interp(at, np.arange(seconds + 1), arousal)
    signal = body.conductance_us * (1 + 0.35 * level) + np.cumsum(random.normal(0, 0.002, len(at)))
    chance = body.responses_per_min / 60 / 4 * (1 + 4 * level)
    for first in np.flatnonzero(random.random(len(at)) < chance):
        since = at[first:] - at[first]
        response = np.exp(-since / 2.0) - np.exp(-since / 0.75)
        signal[first:] += body.response_us * random.lognormal(0, 0.4) * response / 0.39
    return np.asarray(np.maximum(signal, 0.05))


def _temperature(random: np.random.Generator, seconds: int, body: Body, arousal: Signal) -> Signal:
    at = np.arange(seconds * 4) / 4
    cooling = np.cumsum(np.interp(at, np.arange(seconds + 1), arousal)) / 4 * 0.001
    signal = body.skin_c - 1.5 * np.exp(-at / 400) - np.minimum(cooling, 0.6) + random.normal(0, 0.01, len(at))
    return np.asarray(np.round(signal / 0.02) * 0.02)


def _acceleration(random: np.random.Generator, seconds: int, motion: Signal) -> Signal:
    """[n, 3] in 1/64 g: gravity, tremor of the sensor, and swinging at 2 Hz in a bout."""
    at = np.arange(seconds * 32) / 32
    swing = np.interp(at, np.arange(seconds + 1), motion)[:, None] * 40
    phases = np.array([0.0, 1.1, 2.3])
    waves = swing * np.sin(2 * np.pi * 2 * at[:, None] + phases)
    still = np.array([-12.0, 20.0, 59.0])
    return np.asarray(np.clip(np.round(still + waves + random.normal(0, 0.4, (len(at), 3))), -128, 127))


def _write(folder: Path, name: str, rate: int, samples: Signal, form: str, *, start: int = START) -> None:
    columns = samples.reshape(len(samples), -1)
    head = [", ".join([f"{value:.6f}"] * columns.shape[1]) for value in (start, rate)]
    lines = [",".join(form % value for value in row) for row in columns.tolist()]
    (folder / f"{name}.csv").write_text("\n".join([*head, *lines]) + "\n", "ascii")
