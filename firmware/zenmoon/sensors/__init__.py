# Sensor drivers. A driver is any object with
#
#     async def second(self)    the next core.second.Second, or None once there will be no more
#
# second() returns when the second is over, not before: the driver paces sampling, by its chip's own data-ready or by
# uptime.until(tick). `tick_ms` of the Second is its end in ms since boot, rises by 1000 and has no holes: a driver that
# missed samples hands out a Second with empty lists, and one that is late hands out what it owes one after the other.
# Cancelling second() between two calls loses nothing; a failure that the driver cannot mend is raised and ends the app,
# whose supervisor on the board (watchdog, or the process that started it) starts afresh.
