# The facts of the desktop board: a process on somebody's machine, with the virtual air for a radio.

import asyncio

try:
    from time import ticks_us as monotonic_us
except ImportError:
    from time import monotonic_ns

    def monotonic_us():
        return monotonic_ns() // 1000


MANUFACTURER = "ZenMoon"
MODEL = "Desktop"
RESET_CAUSE = 1  # power-on, as machine.PWRON_RESET


# Runs on mains.
def battery():
    return 100


def charging():
    return False


# Events of the virtual radio come from the event loop itself, so an Event will do. ThreadSafeFlag costs 3 % of a core
# here: the desktop port looks at it every ms.
class Flag:
    def __init__(self):
        self._event = asyncio.Event()

    def set(self):
        self._event.set()

    async def wait(self):
        await self._event.wait()
        self._event.clear()
