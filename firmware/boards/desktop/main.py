# The wearable's firmware on the desktop: MicroPython's unix port or CPython.
#
# Run as `micropython -X heapsize=2m firmware/boards/desktop/main.py SETTINGS.json` with firmware, edge_sdk,
# edge_sdk/zenmoon_edge/virtual/radio, .toolchain/native/x64 (the model's kernel; without it the portable engine runs) and .frozen
# on MICROPYPATH.
#
# Exit codes: 0 ended by SIGTERM or Ctrl-C, 1 a failure at work (with its traceback), 2 bad settings or files.

import asyncio
import gc
import sys

import board
from ledger import Ledger
from zenmoon.app import App
from zenmoon.errors import FirmwareError
from zenmoon.sensors.replay import Replay
from zenmoon.settings import SettingsError, load
from zenmoon.uptime import Uptime
from zenmoon_edge.core.clock import Clock
from zenmoon_edge.core.errors import EdgeError
from zenmoon_edge.core.journal import Journal
from zenmoon_edge.core.strain import Strain

try:
    import signal

    # asyncio.run ends the app as Ctrl-C would. The desktop port has no signals and ends at once; the journal is whole
    # either way.
    def end_on_sigterm():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)

except ImportError:

    def end_on_sigterm():
        pass


# Collecting early keeps pauses short: a collection takes as long as what is alive, and little of this app is.
_COLLECT_EVERY_BYTES = 200_000


def main(arguments):
    if len(arguments) != 2:
        sys.stderr.write("usage: main.py SETTINGS.json\n")
        return 2
    try:
        app, files = compose(load(arguments[1]))
    except FirmwareError as error:
        sys.stderr.write("zenmoon: %s\n" % error)
        return 2
    gc.collect()
    if hasattr(gc, "mem_alloc"):
        gc.threshold(_COLLECT_EVERY_BYTES)
    try:
        asyncio.run(serve(app))
    except (KeyboardInterrupt, asyncio.CancelledError):
        pass
    finally:
        for file in files:
            file.close()
    return 0


async def serve(app):
    end_on_sigterm()
    await app.run()


# The app and the files that it keeps open.
def compose(settings):
    strain = read_model(settings.model)
    clock = settings.clock or Clock.system()
    uptime = Uptime(clock.elapsed_ms, clock.rate)
    sensor = Replay(settings.replay, uptime, settings.loop)
    journal = open_journal(settings)
    files = [sensor, journal]
    listeners = []
    if settings.ledger:
        ledger = open_ledger(settings)
        ledger.complete(journal)
        files.append(ledger)
        listeners.append(ledger.write)
    # Boot is now: reading files is not part of the recording.
    uptime.restart()
    app = App(
        settings=settings,
        board=board,
        sensor=sensor,
        strain=strain,
        journal=journal,
        uptime=uptime,
        listeners=listeners,
    )
    sys.stderr.write("zenmoon: boot %d, replaying %d s\n" % (app.entries.boot, sensor.seconds))
    return app, files


def read_model(path):
    try:
        with open(path, "rb") as file:
            return Strain(file.read())
    except OSError as error:
        raise SettingsError(
            "missing_file", "model", '%s: field "model" cannot be read (%s). Next: give a .tflite file' % (path, error)
        ) from error
    except EdgeError as error:
        raise SettingsError(
            "bad_value", "model", '%s: field "model" is no model of a wearable (%s). Next: give another file' % (path, error)
        ) from error


def open_journal(settings):
    try:
        return Journal(settings.journal, pages=settings.journal_pages)
    except (OSError, EdgeError) as error:
        raise SettingsError(
            "bad_value",
            "journal",
            '%s: field "journal" cannot be opened (%s). Next: give a folder to write in' % (settings.journal, error),
        ) from error


def open_ledger(settings):
    try:
        return Ledger(settings.ledger, settings.firmware_id, settings.model_id)
    except OSError as error:
        raise SettingsError(
            "missing_file", "ledger", '%s: field "ledger" cannot be written (%s). Next: make its folder' % (settings.ledger, error)
        ) from error


if __name__ == "__main__":
    sys.exit(main(sys.argv))
