# Replays a replay file: b"ZMR1", then u16 length and Second.pack() for every second of a recording.

from zenmoon.errors import FirmwareError
from zenmoon_edge.core.second import Second, SecondError

_MAGIC = b"ZMR1"


# reason: "missing", "alien" (no replay file at all), "truncated", "empty" or "bad_second".
class ReplayError(FirmwareError):
    pass


class Replay:
    # The whole file is walked once, so that a truncated file is refused at the start and not in the middle of a night.
    # uptime: paces the seconds. loop: begin again at the end, with ticks rising on.
    def __init__(self, path, uptime, loop=False):
        self._path = path
        self._uptime = uptime
        self._loop = loop
        self._tick_ms = 0
        self.seconds = _measure(path)
        self._file = open(path, "rb")  # noqa: SIM115 - stays open as long as the driver
        self._file.seek(len(_MAGIC))
        self._next = 0

    # The next second once its time has come; None at the end. Late seconds follow without a pause, none is dropped.
    async def second(self):
        if self._next == self.seconds:
            if not self._loop:
                return None
            self._file.seek(len(_MAGIC))
            self._next = 0
        await self._uptime.until(self._tick_ms + 1000)
        length = self._file.read(2)
        data = self._file.read(length[0] | length[1] << 8)
        try:
            second = Second.unpack(data)
        except SecondError as error:
            raise ReplayError(
                "bad_second",
                "%s: second %d cannot be read (%s). Next: write the replay file again" % (self._path, self._next, error),
            ) from error
        self._next += 1
        # The recording's own ticks would fall back when it loops.
        self._tick_ms += 1000
        second.tick_ms = self._tick_ms
        return second

    def close(self):
        self._file.close()


# Number of seconds in the file.
def _measure(path):
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise ReplayError("missing", "%s: cannot be read (%s). Next: give the path of a replay file" % (path, error)) from error
    with file:
        size = file.seek(0, 2)
        file.seek(0)
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ReplayError("alien", "%s: is no replay file. Next: make one with zenmoon_edge.virtual.recording" % path)
        position = len(_MAGIC)
        seconds = 0
        while position < size:
            file.seek(position)
            length = file.read(2)
            if len(length) == 2:
                position += 2 + (length[0] | length[1] << 8)
            if len(length) < 2 or position > size:
                raise ReplayError(
                    "truncated",
                    "%s: ends in the middle of second %d. Next: write the replay file again" % (path, seconds),
                )
            seconds += 1
    if not seconds:
        raise ReplayError("empty", "%s: holds no second. Next: write the replay file again" % path)
    return seconds
