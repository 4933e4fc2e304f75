"""The link against a wearable whose every frame the test decides: durable before acknowledged, and back again after anything."""

import asyncio
import itertools
import json
import logging
import sqlite3
from contextlib import suppress

import pytest
from bleak.exc import BleakError
from scripted_band import Band
from wearable_entries import BOOT, DEVICE, UTC_MS, anchor_entry, boot_event, record
from zenmoon_edge.client import current_time
from zenmoon_edge.core.clock import Clock
from zenmoon_edge.core.record import ANCHOR
from zenmoon_gateway import link as link_module
from zenmoon_gateway import session
from zenmoon_gateway.adapter import Adapter, AdapterDownError, Backend
from zenmoon_gateway.errors import GatewayError, Reason
from zenmoon_gateway.link import Link, LinkState
from zenmoon_gateway.pairing import Pairing
from zenmoon_gateway.ranges import RangeSet
from zenmoon_gateway.state import State
from zenmoon_gateway.writer import Writer

KEY = bytes(range(32))
NOW = 1_800_000_000_000


class BandAdapter(Adapter):
    """An adapter that sees one band; `down` counts how often it cannot be opened first."""

    def __init__(self, band):
        super().__init__(None)
        self.band, self.down = band, 0

    async def backend(self):
        if self.down:
            self.down -= 1
            raise AdapterDownError("the adapter does not answer")
        return Backend(scanner=self.band.scanner, client=self.band.client)


class Clockwork(Clock):
    """Stands at NOW unless moved."""

    def __init__(self):
        super().__init__(NOW, 0, 1, monotonic_us=lambda: 0)


@pytest.fixture
def band():
    return Band(key=KEY, boot=BOOT)


@pytest.fixture
def adapter(band):
    return BandAdapter(band)


@pytest.fixture
async def writer(tmp_path):
    opened = Writer(tmp_path / "outbox.db")
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(link_module, "RETRY_FIRST_S", 0.01)
    monkeypatch.setattr(link_module, "RETRY_LONGEST_S", 0.05)
    monkeypatch.setattr(link_module, "SCAN_S", 0.05)
    monkeypatch.setattr(session, "ACKNOWLEDGE_EVERY_S", 0.01)
    monkeypatch.setattr(session, "REST_S", 0.02)
    monkeypatch.setattr(session, "STATUS_EVERY_S", 0.1)
    monkeypatch.setattr("zenmoon_gateway.sync.IN_FLIGHT_S", 0.05)
    monkeypatch.setattr("zenmoon_gateway.sync.ASK_AGAIN_FIRST_S", 0.01)


@pytest.fixture
async def link(adapter, writer, tmp_path):
    pairing = Pairing(device=DEVICE, key=KEY, key_id=1)
    counters = itertools.count()
    one = Link(pairing=pairing, reserve=counters.__next__, adapter=adapter, writer=writer, clock=Clockwork(), state=State(tmp_path))
    task = asyncio.create_task(one.run())
    yield one
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def until(condition, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def durable(writer, boot=BOOT):
    ranges = writer.outbox.ranges(DEVICE)[0]
    return ranges[boot].durable if boot in ranges else RangeSet()


def first_entries(band, number=5):
    band.boots[BOOT] = {0: boot_event(), **{seq: record(seq) for seq in range(1, number)}}


async def test_history_is_asked_for_made_durable_and_then_acknowledged(band, link, writer):
    first_entries(band, 50)
    await until(lambda: (BOOT, 49) in band.acknowledged)
    assert durable(writer) == RangeSet([(0, 49)])
    assert link.state is LinkState.LIVE
    assert band.times == [current_time(NOW)]


async def test_live_entries_are_acknowledged_after_their_commit(band, link, writer):
    await until(lambda: link.state is LinkState.LIVE)
    band.journal(boot_event(), record(1), record(2))
    await until(lambda: (BOOT, 2) in band.acknowledged)
    assert durable(writer) == RangeSet([(0, 2)])


async def test_nothing_is_acknowledged_that_could_not_be_written(band, link, writer, monkeypatch):
    await until(lambda: link.state is LinkState.LIVE)
    commit = writer.outbox.commit

    def full(*args, **fields):
        raise GatewayError(Reason.STORAGE, "disk full")

    monkeypatch.setattr(writer.outbox, "commit", full)
    band.journal(boot_event(), record(1))
    await until(lambda: link.state is LinkState.PAUSED)
    assert band.acknowledged == []
    monkeypatch.setattr(writer.outbox, "commit", commit)
    await until(lambda: (BOOT, 1) in band.acknowledged)
    assert durable(writer) == RangeSet([(0, 1)])


async def test_a_frame_lost_on_the_air_is_asked_for_again(band, link, writer):
    await until(lambda: link.state is LinkState.LIVE)
    band.journal(boot_event())
    band.loses = lambda plaintext: True
    band.journal(record(1), record(2))
    band.loses = lambda plaintext: False
    band.journal(record(3))
    await until(lambda: (BOOT, 3) in band.acknowledged)
    assert (BOOT, 1, 2) in band.resends


async def test_a_lost_last_frame_is_found_by_the_status(band, link, writer):
    await until(lambda: link.state is LinkState.LIVE)
    band.journal(boot_event())
    band.loses = lambda plaintext: True
    band.journal(record(1))
    band.loses = lambda plaintext: False
    await until(lambda: (BOOT, 1) in band.acknowledged)


async def test_a_lost_link_is_made_again_and_nothing_is_taken_twice(band, link, writer):
    first_entries(band)
    await until(lambda: (BOOT, 4) in band.acknowledged)
    for seq in range(5, 8):
        band.drop()
        band.boots[BOOT][seq] = record(seq)
        await until(lambda seq=seq: (BOOT, seq) in band.acknowledged)
    assert band.connections == 4
    assert [resend[1] for resend in band.resends] == [0, 5, 6, 7]


async def test_a_restarted_wearable_keeps_its_earlier_boot(band, link, writer):
    first_entries(band)
    await until(lambda: (BOOT, 4) in band.acknowledged)
    band.boots[BOOT][5] = record(5)
    band.restart(11)
    band.boots[11] = {0: boot_event()}
    await until(lambda: (BOOT, 5) in band.acknowledged and (11, 0) in band.acknowledged)
    assert [boot.boot for boot in writer.outbox.boots(DEVICE)] == [BOOT, 11]


async def test_overwritten_entries_are_counted_and_do_not_hold_up_the_rest(band, link, writer):
    band.boots[BOOT] = {seq: record(seq) for seq in range(4, 8)}
    band.overwritten[BOOT] = {0, 1, 2}
    await until(lambda: (BOOT, 7) in band.acknowledged)
    ranges = writer.outbox.ranges(DEVICE)[0][BOOT]
    assert (ranges.overwritten, ranges.released) == (RangeSet([(0, 2)]), RangeSet([(3, 3)]))


async def test_a_wearable_of_somebody_else_is_left_alone(band, link, writer, adapter, caplog):
    stranger = Band(key=bytes(32), address="C0:FF:EE:00:00:02")
    await until(lambda: link.state is LinkState.LIVE)
    adapter.band = stranger
    band.drop()
    await until(lambda: stranger.connections == 1 and link.state is LinkState.SCANNING)
    adapter.band = band
    first_entries(band)
    await until(lambda: (BOOT, 4) in band.acknowledged)
    adapter.band = stranger
    band.drop()
    await until(lambda: link.state is LinkState.SCANNING)
    assert stranger.connections == 1
    assert stranger.times == []


async def test_an_adapter_that_went_away_is_waited_for(band, link, adapter, caplog):
    await until(lambda: link.state is LinkState.LIVE)
    adapter.down = 3
    with caplog.at_level(logging.INFO, "zenmoon_gateway"):
        band.drop()
        await until(lambda: link.state is LinkState.LIVE and band.connections == 2)
    assert sum("waiting_for_adapter" in line for line in caplog.messages) == 1


async def test_failing_connections_are_tried_for_ever(band, link, monkeypatch):
    failures = []
    connect = band.client.connect

    async def failing(self, pair, **_):
        failures.append(1)
        if len(failures) < 8:
            raise BleakError("try again")
        await connect(self, pair)

    monkeypatch.setattr(band.client, "connect", failing)
    band.drop()
    await until(lambda: link.state is LinkState.LIVE and len(failures) >= 8)


async def test_an_adapter_is_closed_by_one_link_only_while_no_other_uses_it(band, link, adapter, monkeypatch):
    """Closed while another link opens it, the opened one would be held by nobody and closed by nobody."""
    held, dropped, read, drop = [], [], band.client.read_gatt_char, adapter.drop

    async def failing(self, characteristic, **_):
        if dropped:
            return await read(self, characteristic)
        await until(lambda: held)
        raise BleakError("try again")

    async def watched():
        dropped.append(len(held))
        await drop()

    async def other_link():
        while not dropped:
            async with adapter.radio:
                held.append(adapter)
                for _ in range(20):
                    await asyncio.sleep(0)
                held.clear()

    monkeypatch.setattr(band.client, "read_gatt_char", failing)
    monkeypatch.setattr(adapter, "drop", watched)
    other = asyncio.create_task(other_link())
    band.drop()
    await until(lambda: link.state is LinkState.LIVE and dropped)
    await other
    assert dropped == [0]


async def test_the_first_plausible_anchor_rules_and_an_implausible_one_is_reported(band, link, writer, caplog):
    await until(lambda: link.state is LinkState.LIVE)
    with caplog.at_level(logging.WARNING, "zenmoon_gateway"):
        band.journal(boot_event(), anchor_entry(1, NOW - 86_400_000))
        await until(lambda: (BOOT, 1) in band.acknowledged)
    assert writer.outbox.ready(10) == []
    assert any("is not used" in line for line in caplog.messages)
    band.journal(anchor_entry(2, NOW))
    await until(lambda: len(writer.outbox.ready(10)) == 3)
    assert [one.ts_ms for one in writer.outbox.ready(10)] == [NOW - 8_000, NOW - 4_000, NOW]
    assert writer.outbox.ready(10)[1].arrived.entry.kind == ANCHOR


async def test_a_boot_without_an_anchor_gets_an_estimate_from_the_next_one(band, link, writer):
    band.boots = {5: {0: boot_event(), 1: record(1)}, BOOT: {0: boot_event()}}
    band.drop()
    await until(lambda: (5, 1) in band.acknowledged)
    assert writer.outbox.ready(10) == []
    band.journal(anchor_entry(1, NOW))
    await until(lambda: len(writer.outbox.ready(10)) == 4)
    times = {(one.arrived.boot, one.arrived.entry.seq): one.ts_ms for one in writer.outbox.ready(10)}
    assert times == {(BOOT, 0): NOW - 4_000, (BOOT, 1): NOW, (5, 1): NOW - 4_000, (5, 0): NOW - 8_000}
    assert [boot.anchor.source for boot in writer.outbox.boots(DEVICE)] == [2, 1]


async def test_the_log_names_states_and_no_key(band, link, writer, tmp_path, caplog):
    with caplog.at_level(logging.DEBUG, "zenmoon_gateway"):
        first_entries(band)
        band.drop()
        await until(lambda: (BOOT, 4) in band.acknowledged and link.state is LinkState.LIVE)
    assert KEY.hex() not in caplog.text
    state = json.loads((tmp_path / "state.json").read_text())
    assert state["links"][f"{DEVICE:016x}"]["state"] == "live"
    assert UTC_MS == NOW


async def test_a_damaged_outbox_ends_the_link_instead_of_pausing_for_ever(band, adapter, writer, tmp_path, monkeypatch):
    def malformed(*args, **fields):
        raise sqlite3.DatabaseError("database disk image is malformed")

    monkeypatch.setattr(writer.outbox, "ranges", malformed)
    pairing = Pairing(device=DEVICE, key=KEY, key_id=1)
    one = Link(
        pairing=pairing,
        reserve=itertools.count().__next__,
        adapter=adapter,
        writer=writer,
        clock=Clockwork(),
        state=State(tmp_path),
    )
    with pytest.raises(GatewayError, match="start again, which sets the file aside"):
        await asyncio.wait_for(one.run(), 10.0)
