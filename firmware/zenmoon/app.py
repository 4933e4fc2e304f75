# Composes the tasks of the wearable and watches over them.

import asyncio

from zenmoon.entries import Entries
from zenmoon.health import Health
from zenmoon.radio import Radio
from zenmoon.sampling import Sampling

# Pause before a crashed radio starts again: doubles up to the longest, starts over once it has served for that long.
_SHORTEST_S = 0.25
_LONGEST_S = 30


class App:
    # settings: as settings.load gives them. board: the facts of a board (boards/*/board.py). sensor, strain, journal,
    # uptime: what the board has made of them. The boot event is journalled here.
    def __init__(self, *, settings, board, sensor, strain, journal, uptime, listeners=()):
        self._uptime = uptime
        self.entries = Entries(journal, settings.firmware_id, settings.model_id, board.RESET_CAUSE, listeners)
        self._health = Health(self.entries, uptime, board.battery)
        self._sampling = Sampling(sensor, strain, entries=self.entries, health=self._health, board=board)
        self._radio = Radio(settings=settings, board=board, entries=self.entries, health=self._health, uptime=uptime)

    # Runs until cancelled; after the end of a recording the radio goes on serving.
    #   1. A crashed radio is noted in health and started again: sampling and the journal do without it.
    #   2. Crashed sampling or health means that sensor or journal failed: everything is ended and the failure raised.
    #   3. Cancelled: all tasks are ended; the journal is whole after every append, so there is nothing to close.
    async def run(self):
        work = (self._sampling.run(), self._health.run(), self._keep_radio())
        tasks = [asyncio.create_task(task) for task in work]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _keep_radio(self):
        pause = _SHORTEST_S
        while True:
            started = self._uptime.now()
            try:
                await self._radio.run()
            except Exception as error:
                self._health.fault(error)
            if self._uptime.now() - started >= 1000 * _LONGEST_S:
                pause = _SHORTEST_S
            await asyncio.sleep(pause)
            pause = min(_LONGEST_S, 2 * pause)
