# Sensor → features → model step → journal: one record every 4 s, stamped at the end of its window.

from zenmoon_edge.core.features import WINDOW_S, Features
from zenmoon_edge.core.record import CHARGING, END, EVENT, MODEL_READY, RECORD, WEAR_CHANGE, WORN


class Sampling:
    # board: its facts, of which battery() and charging() are used.
    def __init__(self, sensor, strain, *, entries, health, board):
        self._sensor = sensor
        self._strain = strain
        self._entries = entries
        self._health = health
        self._board = board
        self._features = Features()
        self._failed = False
        self._worn = False
        self._seconds = 0

    # Runs until the sensor has no more. Records keep their pace whatever fails: of the failures,
    #   1. a value that is no number is left out of its second;
    #   2. features that fail lose their window: its record goes out empty, with quality 0, and they start afresh with the
    #      next window, because what failed may have spoilt their running means;
    #   3. a model step that fails leaves its record without strain (MODEL_READY cleared);
    #   4. a failing sensor or journal ends the run: without them there is nothing to go on with.
    # Cancelled, it stops between two seconds; appends are never cut in two.
    async def run(self):
        while True:
            second = await self._sensor.second()
            if second is None:
                break
            self.step(second)
        self._entries.append(EVENT, 1000 * self._seconds, (END, self._seconds))

    def step(self, second):
        window = None
        if not self._failed:
            try:
                _drop_no_numbers(second)
                window = self._features.step(second)
            except Exception as error:
                self._health.fault(error)
                self._failed = True
        self._seconds += 1
        if self._seconds % WINDOW_S:
            return
        if self._failed:
            self._features = Features()
            self._failed = False
        self._append(window, second.tick_ms)

    def _append(self, window, tick_ms):
        status = self._board.battery() & 0x7F | (CHARGING if self._board.charging() else 0)
        if window is None:
            self._entries.append(RECORD, tick_ms, (None, None, None, None, None, None, 0, 0, 0, status))
            return
        quality = window.quality
        try:
            strain, anomaly, ready = self._strain.step(window.inputs, window.rate_bpm)
            if ready:
                quality |= MODEL_READY
        except Exception as error:
            self._health.fault(error)
            strain = anomaly = 0
        worn = bool(quality & WORN)
        if worn != self._worn:
            self._worn = worn
            self._entries.append(EVENT, tick_ms, (WEAR_CHANGE, int(worn)))
        self._entries.append(
            RECORD,
            tick_ms,
            (
                window.heart_rate,
                window.rmssd,
                window.phasic,
                window.eda,
                window.temperature,
                window.motion,
                strain,
                anomaly,
                quality,
                status,
            ),
        )


# NaN and infinity would stay in the running means for ever. Motion and pulse are integers by type.
def _drop_no_numbers(second):
    for name in ("eda_us", "temperature_c", "intervals_ms"):
        values = getattr(second, name)
        for value in values:
            if value - value != 0:
                setattr(second, name, [v for v in values if v - v == 0])
                break
    rate = second.heart_rate_bpm
    if rate is not None and rate - rate != 0:
        second.heart_rate_bpm = None
