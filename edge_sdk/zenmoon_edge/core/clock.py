"""Time without a calendar on the wearable: a clock that may run fast, and ticks that never wrap."""

import time

try:
    from time import ticks_us as _monotonic_us  # type: ignore[attr-defined]
except ImportError:

    def _monotonic_us() -> int:
        return time.monotonic_ns() // 1000


class Clock:
    """UTC that starts at an origin and runs at a rate; every process given the same text tells the same time.

    The monotonic counter is CLOCK_MONOTONIC in µs on both interpreters, comparable between processes of one machine.
    Ports whose `ticks_us` wraps within minutes keep time with `Ticks48` instead.
    """

    def __init__(self, origin_utc_ms: int, origin_monotonic_us: int, rate: float, monotonic_us: object = None) -> None:
        """
        Args:
            origin_utc_ms: UTC at the origin, ms since 1970.
            origin_monotonic_us: The machine's monotonic counter at the origin, µs.
            rate: Seconds of this clock in one real second, above 0 and below 1e9.
            monotonic_us: The counter as a function; the machine's own when absent.
        """
        if not 0 < rate < 1e9:
            raise ValueError("a clock's rate must be above 0 and finite, not %r" % rate)
        self.origin_utc_ms = origin_utc_ms
        self.origin_monotonic_us = origin_monotonic_us
        # Whole rates stay integers: no rounding however long the clock runs.
        self.rate = int(rate) if rate == int(rate) else rate
        self._monotonic_us = monotonic_us or _monotonic_us

    @classmethod
    def system(cls) -> "Clock":
        """The machine's own time at rate 1."""
        # Some ports count from 2000-01-01, which 1970 lies 946 684 800 s before.
        epoch_ms = 0 if time.gmtime(0)[0] == 1970 else 946684800000
        return cls(time.time_ns() // 1000000 + epoch_ms, _monotonic_us(), 1)

    @classmethod
    def parse(cls, text: str) -> "Clock":
        """The clock that `str()` wrote as `utc_ms:monotonic_us:rate`; ValueError when it is no such text."""
        parts = text.split(":")
        if len(parts) != 3:
            raise ValueError("a clock reads utc_ms:monotonic_us:rate, not %r" % text)
        return cls(int(parts[0]), int(parts[1]), float(parts[2]))

    def __str__(self) -> str:
        return "%d:%d:%s" % (self.origin_utc_ms, self.origin_monotonic_us, self.rate)

    def elapsed_ms(self) -> int:
        """Milliseconds of this clock since its origin."""
        return int((self._monotonic_us() - self.origin_monotonic_us) * self.rate) // 1000  # type: ignore[operator]

    def utc_ms(self) -> int:
        """UTC by this clock, ms since 1970."""
        return self.origin_utc_ms + self.elapsed_ms()


class Ticks48:
    """Milliseconds since its making, 48 bits, from a counter that wraps.

    `now` must be called at least once a period, else whole periods go missing unseen.
    """

    def __init__(self, ticks_ms: object, period: int) -> None:
        """
        Args:
            ticks_ms: The wrapping counter as a function, for example `time.ticks_ms`.
            period: Its number of values: 2**30 on 32-bit ports of MicroPython, 12.4 days.
        """
        self._ticks_ms = ticks_ms
        self._period = period
        self._last = ticks_ms()  # type: ignore[operator]
        self._total = 0

    def now(self) -> int:
        """Milliseconds since this object was made."""
        ticks = self._ticks_ms()  # type: ignore[operator]
        self._total += (ticks - self._last) % self._period
        self._last = ticks
        return self._total & 0xFFFFFFFFFFFF
