"""From weights to a drawn option: clip, share out, draw from exactly what is written down. Pure.

The order is what makes an estimate from the log right (inverse propensity weighting; Horvitz and Thompson, Journal of the
American Statistical Association 47, 1952): the probabilities are final before anything is drawn, and nothing else is drawn from.
"""

import math
from collections.abc import Sequence

Options = tuple[tuple[str, float], ...]
"""Eligible options with their probabilities, in the order in which they are drawn from; the sum is exactly 1."""

FLOOR = 0.05
"""The least probability of an eligible option: below it, estimates from the log weigh single decisions more than 20-fold."""

UNITS = 1 << 20
"""Probabilities are whole multiples of 2⁻²⁰. Sums of such numbers are exact in float64, in any order and on any machine, and so is
the way through JSON and back; the grid moves no probability by more than one millionth."""


def shares(weights: Sequence[tuple[str, float]], *, floor: float = FLOOR) -> Options:
    """Turn weights into probabilities of at least `floor` whose sum is exactly 1.

    What would fall below the floor is set to it, the others share what is left in proportion to their weights, until nothing falls
    below. Then each is cut to the grid, and the units left over go to the largest remainders, the first of equals first.

    Args:
        weights: (option, weight), each above 0; options differ.
        floor: The least probability of every option; all floors together stay below 1.

    Raises:
        ValueError: No options, a weight not above 0, an option twice, or a floor too high for so many options.
    """
    names = [name for name, _ in weights]
    if not names or len(set(names)) != len(names):
        raise ValueError("options must be there and differ")
    if not all(weight > 0 and math.isfinite(weight) for _, weight in weights):
        raise ValueError("weights must be finite and above 0")
    least = math.ceil(floor * UNITS)
    if least * len(names) > UNITS:
        raise ValueError(f"{len(names)} options cannot have {floor} each")
    exact = _clipped(dict(weights), least)
    whole = {name: math.floor(units) for name, units in exact.items()}
    left_over = UNITS - sum(whole.values())
    for name in sorted(names, key=lambda name: whole[name] - exact[name])[:left_over]:
        whole[name] += 1
    return tuple((name, whole[name] / UNITS) for name in names)


def _clipped(weights: dict[str, float], least: int) -> dict[str, float]:
    """Units of each option, none below `least`."""
    low: set[str] = set()
    while True:
        rest = UNITS - least * len(low)
        total = math.fsum(weight for name, weight in weights.items() if name not in low)
        units = {name: least if name in low else weight / total * rest for name, weight in weights.items()}
        below = {name for name, count in units.items() if count < least}
        if not below:
            return units
        low |= below


def draw(options: Options, u: float) -> str:
    """Return the option that a uniform number falls on: the inverse of the cumulative probabilities in the listed order.

    Args:
        options: Probabilities whose sum is 1.
        u: Uniform in [0, 1).

    Raises:
        ValueError: `u` lies outside.
    """
    if not 0 <= u < 1:
        raise ValueError("a uniform number lies in [0, 1)")
    reached = 0.0
    for name, probability in options:
        reached += probability
        if u < reached:
            return name
    raise ValueError("the probabilities do not add up to 1")
