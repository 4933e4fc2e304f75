"""What the rule looks at, as it stands in the log: plain numbers, no names."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Features:
    """The child's moment. A policy sees this and nothing else, so that a decision can be made again from the log.

    Attributes:
        allowed: Whether a guardian has consented to suggestions. If not, the other fields keep their defaults.
        asked: Whether somebody asked for a suggestion; else it is due by the clock.
        strain: Mean strain of the last `window_minutes`, 0-1; None without a usable record.
        strain_age_s: Seconds since the newest record with a strain.
        threshold: Strain from which on the child's alarm counts, 0-1.
        minutes_above: Of the last `window_minutes`, those whose mean strain was above the threshold.
        window_minutes: How far back strain is looked at: as far as the child's alarm does, ten minutes at most.
        hour: Local, 0-23.
        minute: Local, 0-59.
        weekday: Local, Monday 0 to Sunday 6.
        school_hours: Whether the child is probably at school.
        asleep_h: Hours asleep in the last night; None when it is not known.
        age: In years, by year of birth; None when it is not known.
        recent: Suggestions of the last 24 hours, `none` left out: (activity, minutes ago), oldest first.
    """

    allowed: bool
    asked: bool
    strain: float | None = None
    strain_age_s: float | None = None
    threshold: float = 0.75
    minutes_above: int = 0
    window_minutes: int = 10
    hour: int = 0
    minute: int = 0
    weekday: int = 0
    school_hours: bool = False
    asleep_h: float | None = None
    age: int | None = None
    recent: tuple[tuple[str, float], ...] = ()

    def logged(self) -> dict[str, Any]:
        """As JSON values for the log; of a child without consent only that there is none."""
        values = asdict(self)
        return values if self.allowed else {"allowed": False, "asked": self.asked}

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "Features":
        """Read what `logged` wrote. Fields that later versions add are not this policy's and are left out."""
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        known["recent"] = tuple((activity, minutes) for activity, minutes in known.get("recent", ()))
        return cls(**known)
