"""The body at one value a second, as a function of what the child does and how strained it is.

Simulated, not validated on people. Numbers without a source in `child` are chosen. What is imitated:
    heart rate: rest, activity with a lag of a minute and a half, strain, a body clock, less in sleep [Massin];
    RMSSD: falls as the heart goes faster [Gasior] and a little with strain, rises in sleep [Massin];
    skin conductance: a tonic level that follows strain and effort over minutes, responses that come oftener with strain [Dawson];
    skin temperature: warmer asleep and after lunch [Sarabia], cooler under strain and effort; a room's when the band is off;
    motion: bursts about the activity's mean.
"""

import math
from typing import NamedTuple

import numpy as np

from zenmoon_edge.simulator.chance import Chance, Flags, Signal, follow
from zenmoon_edge.simulator.child import Child
from zenmoon_edge.simulator.latents import PREROLL_MIN, Latents
from zenmoon_edge.simulator.nights import Stage
from zenmoon_edge.simulator.plans import MANNERS, Activity
from zenmoon_edge.virtual.generated import Drive

CALM = 0.25  # strain that leaves the resting body as it is

_ACTIVITY_MIN, _HEART_MIN, _SWEAT_MIN, _SKIN_MIN = 1.5, 2.0, 9.0, 12.0  # time constants
_SLEEP_BPM = np.array([-9.0, -14.0, -17.0, -10.0])  # by stage; the direction is [Massin]'s
_SLEEP_RMSSD = np.array([0.05, 0.15, 0.25, 0.05])  # logarithms
_STRAIN_BPM = 24.0
_STRAIN_RMSSD, _STRAINED_RMSSD_PER_BPM, _RMSSD_PER_BPM = -0.06, -0.006, -0.012  # logarithms
_STRAIN_SWEAT, _EFFORT_SWEAT, _SLEEP_SWEAT = 1.7, 0.9, -0.6  # logarithms of µS
_RESPONSES_PER_MIN, _STRAINED_PER_MIN = 2.0, 22.0  # [Dawson]
_RESPONSE_SHARE = 0.11  # mean size of a response as a share of the tonic level
_STRAIN_C, _EFFORT_C, _SLEEP_C, _LUNCH_C, _ROOM_C = -0.35, -0.5, 1.3, 0.35, 22.5
_CIRCADIAN_BPM, _CIRCADIAN_C = 2.5, 0.3
_FASTEST_BPM, _SLOWEST_BPM = 205.0, 45.0
_SENSOR_G = 0.006  # what a motion sensor shows at rest


class Body(NamedTuple):
    """What goes on slowly, one value a minute."""

    heart_bpm: Signal
    log_rmssd: Signal
    log_tonic: Signal
    responses_per_min: Signal
    skin_c: Signal
    motion_g: Signal


def body(child: Child, latents: Latents, worn: Flags) -> Body:
    """The slow part.

    Args:
        child: whose.
        latents: PREROLL_MIN minutes of before, then the time of interest.
        worn: whether the band is on the wrist, for the same minutes.

    Returns:
        One value for each minute of interest, and one before them.
    """
    manners = np.array([MANNERS[activity][:2] for activity in Activity])[latents.activities]
    lying = (latents.activities == Activity.SLEEP).astype(np.float64)
    arousal = latents.strain - CALM * (1 - lying)
    effort = follow(manners[:, 1], _ACTIVITY_MIN)
    strain_bpm = _STRAIN_BPM * follow(np.where(lying, 0, arousal), _HEART_MIN)
    sleeping = follow(lying * _SLEEP_BPM[latents.stages], _HEART_MIN)
    heart = child.heart_bpm + effort + strain_bpm + sleeping
    heart += _CIRCADIAN_BPM * np.cos(2 * np.pi * (latents.body_h - 16) / 24)
    exertion = np.clip(effort / 60, 0, 1.2)
    rmssd = math.log(child.rmssd_ms) + _RMSSD_PER_BPM * (effort + sleeping)
    rmssd += _STRAINED_RMSSD_PER_BPM * strain_bpm + _STRAIN_RMSSD * np.where(lying, 0, arousal)
    rmssd += follow(lying * _SLEEP_RMSSD[latents.stages], _HEART_MIN)
    sweat = _STRAIN_SWEAT * np.where(lying, 0, arousal) + _EFFORT_SWEAT * exertion + _SLEEP_SWEAT * lying
    lunch = _LUNCH_C * np.exp(-(((latents.body_h - 14.5) / 1.2) ** 2))
    skin = child.skin_c + _STRAIN_C * arousal + _EFFORT_C * exertion + _SLEEP_C * lying + lunch
    skin += _CIRCADIAN_C * np.cos(2 * np.pi * (latents.body_h - 3) / 24)
    slow = Body(
        heart_bpm=heart,
        log_rmssd=rmssd,
        log_tonic=math.log(child.conductance_us) + follow(sweat, _SWEAT_MIN),
        responses_per_min=_RESPONSES_PER_MIN + _STRAINED_PER_MIN * np.maximum(np.where(lying, -0.05, arousal), -0.05),
        skin_c=follow(np.where(worn, skin, _ROOM_C), _SKIN_MIN),
        motion_g=manners[:, 0] + 0.06 * (lying * (latents.stages == Stage.WAKE)),
    )
    return Body(*(values[PREROLL_MIN - 1 :] for values in slow))


def drive(child: Child, key: int, slow: Body, contact: Flags, on_wrist: Flags) -> Drive:
    """One value a second.

    Args:
        child: whose.
        key: of the day; another one is another chance.
        slow: from `body`: a value for the minute before, then one for each minute.
        contact: whether the band has usable contact, one for each second.
        on_wrist: whether it is worn at all, one for each second.
    """
    chance = Chance(child.seed)
    seconds = len(contact)
    at = np.arange(seconds) / 60

    def each(values: Signal) -> Signal:
        return np.asarray(np.interp(at, np.arange(len(values)), values))

    def wander(purpose: str, every_s: int) -> Signal:
        return chance.wander(key, purpose, seconds, every_s)

    bursts = np.exp(1.1 * wander("bursts", 4) - 0.4)
    motion = np.repeat(slow.motion_g[1:], 60) * bursts
    turning = chance.of(key, "turning").random(seconds) < 0.1 / 60
    turned = np.convolve(turning, np.hanning(9), "same")[:seconds]
    motion = _SENSOR_G + (motion + np.where(np.repeat(slow.motion_g[1:], 60) < 0.05, 0.12, 0.0) * turned) * on_wrist

    tonic = np.exp(each(slow.log_tonic) + 0.10 * wander("sweat", 900) + 0.02 * wander("skin", 60))
    rate = each(slow.responses_per_min) / 60
    random = chance.of(key, "responses")
    onsets = np.flatnonzero(random.random(seconds) < rate)
    sizes = _RESPONSE_SHARE * tonic[onsets] * random.lognormal(-0.125, 0.5, len(onsets))
    heart = each(slow.heart_bpm) + 1.8 * wander("heart", 15) + 1.5 * wander("vagus", 300)
    return Drive(
        heart_rate_bpm=np.clip(heart, _SLOWEST_BPM, _FASTEST_BPM),
        rmssd_ms=np.exp(each(slow.log_rmssd) + 0.12 * wander("breathing", 60) + 0.15 * wander("vagal", 900)),
        tonic_us=np.clip(tonic, 0.05, 60.0),
        responses=np.column_stack([onsets + random.random(len(onsets)), sizes]),
        skin_c=each(slow.skin_c) + 0.05 * wander("warmth", 300),
        motion_g=motion,
        contact=contact,
    )
