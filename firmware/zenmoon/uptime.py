# Time since boot in ms of sensor time. Every entry of a boot is stamped by this one scale, so that a single
# anchor places all of them.

import asyncio

# Longest sleep at a stretch: a clock that jumps is noticed within this time.
_LONGEST_S = 1.0


class Uptime:
    # elapsed_ms: function, ms on a scale that never wraps (core.clock: Clock.elapsed_ms or Ticks48.now).
    # rate: sensor seconds per real second; 1 on hardware.
    def __init__(self, elapsed_ms, rate=1):
        self._elapsed_ms = elapsed_ms
        self._rate = rate
        self.restart()

    # Boot is now.
    def restart(self):
        self._zero = self._elapsed_ms()

    # ms since boot.
    def now(self):
        return self._elapsed_ms() - self._zero

    # Returns once `tick_ms` has come, at once if it has passed. It gives way to other tasks at least once, so that a
    # sampling task that catches up does not starve the radio.
    async def until(self, tick_ms):
        await asyncio.sleep(0)
        while True:
            left = tick_ms - self.now()
            if left <= 0:
                return
            # A whole ms more, because the desktop port cuts sleeps to whole ms and would spin through the rest.
            await asyncio.sleep(min(_LONGEST_S, (int(left / self._rate) + 1) / 1000))
