"""Who is simulated: one child's own numbers, where they come from, and what happens to it.

Simulated, not validated on people. A number is either taken from a source below or marked "chosen": plausible, made up.

Sources:
    [AASM] Paruthi et al., J Clin Sleep Med 12 (2016) 785: 9–12 h of sleep at 6–12 years, 8–10 h at 13–18.
    [Galland] Galland et al., Sleep 41 (2018) zsy017: actigraphy of children, hours asleep at night
        9.02 − 1.04·((age/10)² − 0.83); sleep latency 19.4 min.
    [Fleming] Fleming et al., Lancet 377 (2011) 1011: centiles of heart rate; at 8–12 years 67, 84, 103 (10th, 50th, 90th).
    [Martinez] Martínez-Lozano et al., Sci Rep 10 (2020), doi 10.1038/s41598-020-73297-5: mid-sleep by the Munich ChronoType
        Questionnaire of 426 children aged 8–12 in Spain: 3:50, 4:03, 4:12 in three thirds, standard deviations about 40 min.
    [Roenneberg] Roenneberg et al., Curr Biol 14 (2004) R1038: children are early types and become later until about 20.
    [Massin] Massin et al., Arch Dis Child 83 (2000) 179: heart rate of children falls and its variability rises in sleep.
    [Gasior] Gąsior et al., Front Physiol 9 (2018) 1495: heart rate is the main determinant of the variability of 6–13 year olds.
    [Dawson] Dawson, Schell & Filion, The electrodermal system, in Handbook of Psychophysiology (2007): 1–3 responses a minute at
        rest, above 20 in high arousal.
    [Sarabia] Sarabia et al., Physiol Behav 95 (2008) 570: skin temperature of the wrist rises at bedtime, drops on waking, and
        rises a little after lunch (students; no numbers are taken).
    [WHO] WHO guidelines on physical activity (2020): an average of 60 minutes of moderate to vigorous activity a day.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Self

import numpy as np

from zenmoon_edge.simulator.calendar import Calendar
from zenmoon_edge.simulator.errors import SimulatorError

_AGE_YEARS, _HEART_BPM = (7.0, 10.0, 13.5, 16.5), (91.0, 84.0, 78.0, 73.0)  # medians of [Fleming] at 6–8, 8–12, 12–15, 15–18
_HEART_SPREAD_BPM = 14.0  # (103 − 67) / 2.56: the centiles of [Fleming] at 8–12 as a standard deviation
_AWAKE_H = 0.7  # of the time between falling asleep and waking up; chosen
_CHRONOTYPE_H = 4.0  # [Martinez] at 10 years
_CHRONOTYPE_SPREAD_H = 0.67  # [Martinez]
_LATER_H_PER_YEAR = 0.12  # the direction is [Roenneberg]'s, the number chosen
_AGES = (6.0, 16.0)


class Event(NamedTuple):
    """Something that strains a child: it rises, stays, and fades.

    Attributes:
        kind: test, quarrel, worry, or any word of one's own.
        begin: the minute (UTC, since 1970) at which it is there in full.
        minutes: how long it stays.
        size: strain that it adds, 0–1.
        rise_min: how long before `begin` it starts to be felt.
        fade_min: time constant of its fading.
    """

    kind: str
    begin: int
    minutes: int
    size: float
    rise_min: int = 6
    fade_min: float = 12.0

    @classmethod
    def at(cls, kind: str, moment: datetime, minutes: int, size: float) -> Self:
        """An event at a moment with a zone."""
        return cls(kind, int(moment.timestamp()) // 60, minutes, size)


@dataclass(frozen=True, kw_only=True)
class Child:
    """One child. Simulated; not validated on people.

    Attributes:
        seed: chance of its life; not negative.
        age: years, 6–16.
        calendar: where it lives and when it has school.
        chronotype_h: corrected mid-sleep on free days (MSFsc), hours after midnight; the truth that a chronotype is measured
            against. Default: the mean at 10 years [Martinez].
        sleep_need_h: from falling asleep to waking by itself. Default at 10 years: asleep [Galland] plus 0.7 h awake (chosen);
            within [AASM].
        lights_out_h: when it is put to bed before a school day; chosen.
        alarm_clock_h: when it is woken on a school day; chosen.
        latency_h: from lights out to sleep [Galland].
        school_begins_h: first lesson; six lessons of 45 minutes follow, with breaks; chosen after German primary schools.
        heart_bpm: awake, at rest [Fleming].
        rmssd_ms: variability awake, at rest; chosen.
        conductance_us: tonic level awake, at rest; chosen for a wrist.
        skin_c: skin under the band, awake; chosen.
        strain: usual strain awake, 0–1; chosen.
        tests_per_week: on school days; chosen. quarrels_per_week, worries_per_week (at bedtime): chosen.
        alarm_strain, alarm_minutes: strain from which on, and for how long, an alarm is wanted; chosen like the product's default.
        charging: probability of charging the band in an evening; bathing, forgetting: of a bath without it, of leaving it off for
            some hours; loosening: times a day that it is worn too loose; chosen.
        events: what happens beside what chance brings.
    """

    seed: int
    age: float = 10.0
    calendar: Calendar = field(default_factory=Calendar)
    chronotype_h: float = _CHRONOTYPE_H
    sleep_need_h: float = 9.55
    lights_out_h: float = 21.0
    alarm_clock_h: float = 6.75
    latency_h: float = 19.4 / 60
    school_begins_h: float = 8.0
    heart_bpm: float = 84.0
    rmssd_ms: float = 45.0
    conductance_us: float = 1.6
    skin_c: float = 32.6
    strain: float = 0.24
    tests_per_week: float = 0.8
    quarrels_per_week: float = 0.9
    worries_per_week: float = 1.2
    alarm_strain: float = 0.75
    alarm_minutes: int = 10
    charging: float = 0.97
    bathing: float = 0.5
    forgetting: float = 0.03
    loosening: float = 2.5
    events: tuple[Event, ...] = ()

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise SimulatorError("child", f"seed {self.seed} is negative: take a whole number from 0")
        if not _AGES[0] <= self.age <= _AGES[1]:
            raise SimulatorError("child", f"age {self.age:g} is outside {_AGES[0]:g} to {_AGES[1]:g} years: choose one inside")
        if not 1.0 <= self.chronotype_h <= 7.0 or not 7.0 <= self.sleep_need_h <= 12.0:
            raise SimulatorError("child", "the simulated chronotype lies between 1:00 and 7:00, sleep need between 7 and 12 hours")
        if not 1 <= self.alarm_minutes <= 120:
            raise SimulatorError("child", f"alarm_minutes {self.alarm_minutes} is outside 1 to 120: choose one inside")

    @classmethod
    def drawn(cls, seed: int, *, age: float = 10.0, calendar: Calendar | None = None) -> Self:
        """One of the many children of that age: chronotype, sleep need, heart and skin drawn from the spread among children."""
        chance = np.random.default_rng([seed, 0])
        heart_bpm = float(np.interp(age, _AGE_YEARS, _HEART_BPM) + _HEART_SPREAD_BPM * _bounded(chance))
        later_h = _LATER_H_PER_YEAR * (age - 10)
        return cls(
            seed=seed,
            age=age,
            calendar=calendar or Calendar(),
            chronotype_h=_CHRONOTYPE_H + later_h + _CHRONOTYPE_SPREAD_H * _bounded(chance),
            sleep_need_h=9.02 - 1.04 * ((age / 10) ** 2 - 0.83) + _AWAKE_H + 0.35 * _bounded(chance),
            lights_out_h=21.0 + 0.15 * (age - 10) + 0.25 * _bounded(chance),
            heart_bpm=heart_bpm,
            rmssd_ms=45.0 * float(np.exp(0.25 * _bounded(chance) - 0.012 * (heart_bpm - 84))),
            conductance_us=1.6 * float(np.exp(0.5 * _bounded(chance))),
            strain=0.24 + 0.03 * _bounded(chance),
        )


def _bounded(chance: np.random.Generator) -> float:
    """A standard normal number, at most two standard deviations out."""
    return float(np.clip(chance.standard_normal(), -2, 2))
