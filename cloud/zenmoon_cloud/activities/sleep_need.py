"""How much sleep a child needs at least, by age."""

# Hours a night on a regular basis, from the age on: Paruthi and others, "Recommended amount of sleep for pediatric populations",
# consensus statement of the American Academy of Sleep Medicine, Journal of Clinical Sleep Medicine 12(6), 785-786, 2016.
_LEAST_H = ((13, 8.0), (6, 9.0), (0, 10.0))
_UNKNOWN_AGE = 10


def least_sleep_h(age: int | None) -> float:
    """Return the least number of hours recommended for an age in years; a ten-year-old's when it is not known."""
    years = _UNKNOWN_AGE if age is None else max(age, 0)
    return next(hours for from_age, hours in _LEAST_H if years >= from_age)
