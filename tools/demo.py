"""The whole path on this machine: a virtual wearable, the gateway, the cloud and its database, seen as a parent sees it.

    python tools/demo.py                                                  live, until Ctrl-C; state in .zenmoon/
    python tools/demo.py --recording DIR --speed 60 --once --json FILE    replay an Empatica E4 folder, account for every record

Exit codes: 0 = every record sent is stored exactly once, 1 = the accounting does not balance, 2 = bad input, 3 = a part failed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accounting import Account, latencies, read_ledger, settle
from child import simulated_child
from machine import Unavailable
from parts import Parts
from supervisor import ServiceFailed
from zenmoon_edge.simulator import write_lesson_with_test
from zenmoon_edge.virtual.recording import Recording, RecordingError

ROOT = Path(__file__).resolve().parent.parent
SIMULATED_S = 60  # a --once run without a recording
LIVE_S = 3600  # the live demo repeats an hour
TEST_MINUTE = 4  # of that hour: a visitor does not wait for long, and the model has seen some calm
STALLED_S = 30.0  # nothing new stored for so long: the account is closed as it stands
LOOK_EVERY_S = 0.25
STARTED = time.monotonic()
# What stays of a --once run that a part of it has failed: the messages name these.
LOGS = {"logs", "postgres.log"}


class Refused(Exception):  # noqa: N818 - reads as what happened
    """Bad input; the text names the cause and the next action."""


def say(text: str) -> None:
    """One line of progress, with the seconds since the start."""
    print(f"{time.monotonic() - STARTED:6.1f} s  {text}", flush=True)


def arguments() -> argparse.Namespace:
    """Parses and checks the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recording", type=Path, metavar="DIR", help="an Empatica E4 folder: NAME.csv or NAME.csv.gz")
    parser.add_argument("--speed", type=float, help="recording seconds per second (default 1; 60 with --once)")
    parser.add_argument("--limit", type=int, metavar="S", help="stop after S seconds of the recording")
    parser.add_argument("--once", action="store_true", help="fresh temporary state; ends with the recording")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the accounting here")
    parser.add_argument("--port", type=int, default=None, help="the page's port (default 8420, or a free one)")
    parser.add_argument("--state", type=Path, default=ROOT / ".zenmoon", help="where a live demo keeps its state")
    parser.add_argument(
        "--inject",
        choices=["loss", "duplicate"],
        action="append",
        default=[],
        help="spoil the stored rows before the accounting, to see it fail",
    )
    options = parser.parse_args()
    options.speed = options.speed if options.speed is not None else (60.0 if options.once else 1.0)
    if not 0.1 <= options.speed <= 240:
        parser.error("--speed takes 0.1 to 240. Next: choose a speed in that range")
    if options.limit is not None and options.limit < 4:
        parser.error("--limit takes at least 4 seconds, one record. Next: raise it")
    if options.port is not None and not 0 <= options.port <= 65535:
        parser.error("--port takes 0 to 65535, 0 = a free one. Next: choose a port in that range")
    if options.json and options.json.is_dir():
        parser.error(f"--json: {options.json} is a folder. Next: name a file")
    if options.json and not options.json.resolve().parent.is_dir():
        parser.error(f"--json: the folder {options.json.resolve().parent} does not exist. Next: create it")
    return options


@contextlib.contextmanager
def state_folder(options: argparse.Namespace) -> Iterator[Path]:
    """A temporary state that is removed afterwards, or the kept one, locked so that two demos never share it."""
    if options.once:
        folder = Path(tempfile.mkdtemp(prefix="zenmoon-"))
        # Started as root, PostgreSQL runs as a user that must be able to pass through; every secret inside is 0600.
        folder.chmod(0o711)
        kept: set[str] = set()
        try:
            yield folder
        except (ServiceFailed, Unavailable):
            kept = LOGS
            folder.chmod(0o700)
            raise
        finally:
            for path in [path for path in folder.iterdir() if path.name not in kept or (path.is_dir() and not any(path.iterdir()))]:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # not empty: the logs
                folder.rmdir()
        return
    folder = options.state.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "demo.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            cause = f"a demo is already running on {folder} (process {lock.read().strip() or 'unknown'})."
            raise Refused(f"{cause}\nNext: end it with Ctrl-C, or choose another --state") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield folder


def prepare(options: argparse.Namespace, folder: Path) -> Path:
    """Reads the recording (or makes one) and writes the wearable's replay file."""
    source = options.recording
    if source is None:
        source = folder / "simulated"
        seconds = SIMULATED_S if options.once else LIVE_S
        if not (source / "EDA.csv").exists() and not (source / "EDA.csv.gz").exists():
            say(f"simulating {seconds} s of a child's lesson with a test in it")
            draft = folder / "simulated.new"
            shutil.rmtree(draft, ignore_errors=True)
            write_lesson_with_test(simulated_child(), draft, seconds=seconds, test_minute=TEST_MINUTE)
            shutil.rmtree(source, ignore_errors=True)
            draft.rename(source)
    try:
        recording = Recording.open(source)
        replay = folder / "replay.bin"
        replay.touch(mode=0o600)  # somebody's recording, in a folder that others may pass through
        seconds = recording.write_replay(replay, limit_s=options.limit)
    except RecordingError as error:
        raise Refused(str(error)) from error
    for warning in recording.warnings:
        say(f"recording: {warning}")
    say(f"recording {source.name}: {seconds} s, {seconds // 4} records, at {options.speed:g} times real time")
    return replay


async def settled(parts: Parts) -> None:
    """Waits until the recording has ended and everything sent is stored and seen, or until nothing moves any more."""
    best, moved = -1, time.monotonic()
    while True:
        ledger = read_ledger(parts.ledger)
        stored = await parts.stored(ledger.boots)
        account = settle(ledger.sent, stored)
        arrived = len(parts.watcher.received_us)
        if ledger.ended and account.lost == account.others_lost == 0 and arrived >= account.records_stored:
            return
        progress = len(stored) + len(ledger.sent) + arrived
        if progress > best:
            best, moved = progress, time.monotonic()
        elif time.monotonic() - moved > STALLED_S:
            say(f"nothing has moved for {STALLED_S:.0f} s: closing the account as it stands")
            return
        await asyncio.sleep(LOOK_EVERY_S)


async def show(parts: Parts) -> None:
    """A live summary: one line that renews itself on a terminal, a line now and then elsewhere."""
    terminal = sys.stdout.isatty()
    pause = 0.5 if terminal else 10.0
    while True:
        await asyncio.sleep(pause)
        ledger = read_ledger(parts.ledger)
        latest, wait = parts.watcher.latest, latencies(ledger.sent, parts.watcher.received_us)
        sent = sum(entry.kind == "record" for entry in ledger.sent)
        line = f"{time.monotonic() - STARTED:6.1f} s  sent {sent} · seen by the parent {len(parts.watcher.received_us)}"
        strain, heart_rate = latest.get("stress_level"), latest.get("heart_rate_bpm")
        line += f" · strain {'–' if strain is None else round(100 * strain)} · heart rate {heart_rate or '–'}"
        line += f" · p95 {wait['p95']} ms" if wait else ""
        line += f" · open alarms {len(parts.watcher.open_alarms)}" if parts.watcher.open_alarms else ""
        print(f"\r\x1b[2K{line}" if terminal else line, end="" if terminal else "\n", flush=True)


async def result(parts: Parts, account: Account) -> tuple[dict[str, object], bool]:
    """The JSON of a run, and whether it balances."""
    gateway = await parts.gateway_status()
    ledger, told = read_ledger(parts.ledger), await parts.suggestion()
    report: dict[str, object] = {
        "records_sent": account.records_sent,
        "records_stored": account.records_stored,
        "duplicates": account.duplicates,
        "lost": account.lost,
        "redelivered": gateway["redelivered"],
        "refused": gateway["refused"],
        "conflicts": gateway["conflicts"],
        "altered": account.altered,
        "other_kinds": {"sent": account.others_sent, "lost": account.others_lost},
        "latency_ms": latencies(ledger.sent, parts.watcher.received_us),
        "live": {"arrived": len(parts.watcher.received_us), "twice": parts.watcher.arrived_twice},
        "strain_mean": account.strain_mean,
        "alerts": await parts.alarms(),
        "insight": {"text": told["recommendation"], "grounded": told["grounded"], "model_version": told["model_version"]},
        "engine": parts.engine,
        "wall_s": round(time.monotonic() - STARTED, 1),
    }
    return report, account.balanced(gateway["refused"], gateway["conflicts"]) and ledger.ended


async def run(options: argparse.Namespace, folder: Path, replay: Path) -> int:
    """Starts every part, follows the recording, settles the account."""
    parts = Parts(folder, options, replay, say)
    ending = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, ending.set)
    work: list[asyncio.Task[Any]] = []
    try:
        stop = asyncio.create_task(ending.wait(), name="signal")
        starting = asyncio.create_task(parts.start(), name="start")
        work += [stop, starting]
        await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            say("ending before everything had started")
            return 3 if options.once else 0
        starting.result()
        say(f"demo start: {time.monotonic() - STARTED:.1f} s")
        parts.print_addresses()
        work.append(asyncio.create_task(show(parts), name="show"))
        # A live demo runs until it is told to end; one that was asked to run once ends with its account.
        closing = asyncio.create_task(settled(parts), name="settle") if options.once else None
        work += [closing] if closing else []
        await asyncio.wait([*work[:1], *([closing] if closing else []), parts.failed], return_when=asyncio.FIRST_COMPLETED)
        if parts.failed.done():
            parts.failed.result()
        if closing is None or not closing.done():
            print()
            say("ending")
            return 3 if options.once else 0
        closing.result()
        await parts.spoil(options.inject)
        ledger = read_ledger(parts.ledger)
        account = settle(ledger.sent, await parts.stored(ledger.boots))
        report, balanced = await result(parts, account)
        print("\n" + json.dumps(report, indent=2))
        if options.json:
            options.json.write_text(json.dumps(report, indent=2) + "\n")
        say("every record sent is stored exactly once" if balanced else "THE ACCOUNT DOES NOT BALANCE")
        return 0 if balanced else 1
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await parts.stop()


def main() -> int:
    """Command line."""
    options = arguments()
    # Until the event loop takes it over: leave through the context managers, so that nothing temporary stays.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    try:
        with state_folder(options) as folder:
            return asyncio.run(run(options, folder, prepare(options, folder)))
    except Refused as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except (ServiceFailed, Unavailable) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 3
    except OSError as error:
        print(f"demo: {error}.\nNext: free space on the disk, and check who owns the folder", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 3 if options.once else 0


if __name__ == "__main__":
    sys.exit(main())
