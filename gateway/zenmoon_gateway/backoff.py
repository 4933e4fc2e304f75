"""Waiting between attempts: longer each time, never in step with other gateways."""

from __future__ import annotations

from collections.abc import Callable
from random import random


class Backoff:
    """Exponential waits with jitter.

    The jitter takes between half of the wait and all of it: enough to spread a fleet that lost the same cloud,
    and never the near-zero wait of full jitter, which would hammer an adapter that is just being reset.

    Args:
        first_s: The first wait.
        longest_s: No wait is longer.
        chance: Uniform in [0, 1); handed in by tests.
    """

    def __init__(self, *, first_s: float, longest_s: float, chance: Callable[[], float] = random) -> None:
        self._first_s, self._longest_s, self._chance = first_s, longest_s, chance
        self.attempts = 0

    def next_s(self) -> float:
        """The wait before the next attempt, in seconds."""
        # 2^30 is above every longest_s; without the bound a gateway offline for weeks would compute ever larger powers.
        wait: float = min(self._longest_s, self._first_s * 2.0 ** min(self.attempts, 30))
        self.attempts += 1
        return wait * (0.5 + self._chance() / 2)

    def reset(self) -> None:
        """The attempt succeeded."""
        self.attempts = 0
