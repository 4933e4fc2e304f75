"""Minutes as a phone sends them: means of the one-second signals over the seconds with contact, rounded as on the wire.

Strain and anomaly are no output of the shipped model: they are measurements as a model might make them, the latent strain plus a
drifting error plus a share of physical effort, which a wristband takes for strain.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zenmoon_edge.core.record import BEATS, CONTACT, MODEL_READY, STILL, UNSATURATED, WORN
from zenmoon_edge.simulator.calendar import Day
from zenmoon_edge.simulator.chance import Chance, Signal
from zenmoon_edge.simulator.child import Child
from zenmoon_edge.simulator.latents import Latents
from zenmoon_edge.simulator.plans import MANNERS, Activity
from zenmoon_edge.simulator.wear import Wear
from zenmoon_edge.virtual.generated import Drive, conductance

METRICS = (
    "heart_rate_bpm",
    "rmssd_ms",
    "eda_us",
    "eda_phasic_us",
    "temperature_c",
    "motion_g",
    "stress_level",
    "anomaly",
)
"""Columns of `Epochs.values`, by the names of the wire."""

# A step of the wire is 1/n of the unit; dividing by a whole number gives the float that prints as the wire's own digits.
_STEPS = {"heart_rate_bpm": 2, "rmssd_ms": 1, "eda_us": 100, "eda_phasic_us": 100, "temperature_c": 100, "motion_g": 1000}
_LEVELS = 255  # of strain and anomaly
_NEEDS = {
    "heart_rate_bpm": WORN | CONTACT,
    "rmssd_ms": WORN | CONTACT | BEATS,
    "eda_us": WORN | CONTACT | UNSATURATED,
    "eda_phasic_us": WORN | CONTACT | UNSATURATED,
    "stress_level": WORN | MODEL_READY,
    "anomaly": WORN | MODEL_READY,
}
_STILL_G = 0.04  # as in zenmoon_edge.core.features
_BEATS_G = 0.10  # above, an optical sensor loses beats; chosen
_CONTACT_S, _BEATS_S = 15, 30  # seconds of contact below which a minute says nothing about pulse, or about beats; chosen
_ERROR = 0.045  # standard deviation of measured strain about the latent one; chosen
_EFFORT = 0.22  # strain that hard play is taken for; chosen
_TAU_S = 10  # the phasic part of conductance is what exceeds its mean of the last seconds, as in zenmoon_edge.core.features


class Epochs(NamedTuple):
    """One row a minute.

    Attributes:
        coverage: share of its seconds worn with usable contact.
        quality: byte as in records.
        values: [minutes, METRICS], rounded as on the wire; NaN where nothing was measured or quality forbids a value.
        working: whether the minute was sent at all; the band was not off on its charger.
    """

    coverage: Signal
    quality: NDArray[np.uint8]
    values: Signal
    working: NDArray[np.bool_]


def epochs(child: Child, day: Day, latents: Latents, drive: Drive, worn: Wear, *, covered_before: bool) -> Epochs:
    """The minutes of a date; `covered_before`: whether the last one of the date before had contact."""
    contact = worn.contact.reshape(-1, 60)
    seconds = contact.sum(axis=1)
    on_wrist = worn.on_wrist.reshape(-1, 60).sum(axis=1)
    covered = seconds > 0

    def mean(signal: Signal) -> Signal:
        sums = np.where(contact, signal.reshape(-1, 60), 0.0).sum(axis=1)
        return np.asarray(np.divide(sums, seconds, out=np.full(len(seconds), np.nan), where=covered))

    level = conductance(drive, 1)
    motion = drive.motion_g.reshape(-1, 60).mean(axis=1)
    values = {
        "heart_rate_bpm": mean(drive.heart_rate_bpm),
        "rmssd_ms": mean(drive.rmssd_ms),
        "eda_us": mean(level),
        "eda_phasic_us": mean(level - drive.tonic_us),
        "temperature_c": drive.skin_c.reshape(-1, 60).mean(axis=1),
        "motion_g": motion,
    }
    values["stress_level"], values["anomaly"] = _measured(child, day, latents)

    still = motion < _STILL_G
    touching = covered & (seconds >= _CONTACT_S)
    ready = covered & np.concatenate([[covered_before], covered[:-1]])  # the model starts anew when the band was off for a minute
    quality = (
        WORN * ((on_wrist > 0) | covered)
        | STILL * still
        | (CONTACT | UNSATURATED) * touching
        | BEATS * (touching & (seconds >= _BEATS_S) & (motion < _BEATS_G))
        | MODEL_READY * ready
    ).astype(np.uint8)
    columns = []
    for name in METRICS:
        steps = _STEPS.get(name)
        column = np.round(values[name] * steps) / steps if steps else np.round(np.round(values[name] * _LEVELS) / _LEVELS, 4)
        needs = _NEEDS.get(name)
        if needs is not None:
            column = np.where(covered & (quality & needs == needs), column, np.nan)
        columns.append(column)
    return Epochs(seconds / 60, quality, np.column_stack(columns), worn.working)


def _measured(child: Child, day: Day, latents: Latents) -> tuple[Signal, Signal]:
    chance = Chance(child.seed)
    error = chance.wander(day.key, "error", day.minutes, 5) + 0.5 * chance.of(day.key, "noise").standard_normal(day.minutes)
    effort = np.array([MANNERS[activity].heart_bpm for activity in Activity])[latents.activities] / 66
    strain = np.clip(latents.strain + _ERROR * error + _EFFORT * np.clip(effort, 0, 1), 0, 1)
    change = np.abs(np.diff(strain, prepend=strain[0]))
    surprise = np.exp(0.8 * chance.wander(day.key, "surprise", day.minutes, 3)) * 0.25 + 2.5 * change
    return strain, 1 - np.exp(-surprise)
