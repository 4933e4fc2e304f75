"""The firmware as a whole, seen from its ledger and from the air."""

import os
import signal
from datetime import UTC, datetime

from zenmoon_edge.core import frame
from zenmoon_edge.core.record import ANCHOR, EVENT, HEALTH, RECORD, unpack_body

ACK = "7a656e03-6d6f-6f6e-8000-00805f9b34fb"
CONTROL = "7a656e04-6d6f-6f6e-8000-00805f9b34fb"
CURRENT_TIME = "00002a2b-0000-1000-8000-00805f9b34fb"


def payloads(lines):
    return {line.seq: line.payload for line in lines}


def bodies(central, boot, kind):
    return [unpack_body(kind, e.body) for (b, _), (_, e) in sorted(central.entries.items()) if b == boot and e.kind == kind]


async def test_a_recording_becomes_one_record_for_every_four_seconds(firmware):
    await firmware.start(43)
    lines = await firmware.finished()
    assert [line.seq for line in lines] == list(range(len(lines)))
    assert (lines[0].kind, lines[0].tick_ms) == ("event", 0)
    assert lines[1].kind == "health"
    assert [line.tick_ms for line in lines if line.kind == "record"] == [4000 * k for k in range(1, 11)]
    assert (lines[-1].kind, lines[-1].tick_ms) == ("event", 43_000)
    assert firmware.process.returncode is None, "the radio serves on after the recording"


async def test_what_the_air_carries_is_what_was_journalled(firmware, central):
    await firmware.start(80, rate=20)
    await central.connect()
    lines = await firmware.finished()
    boot = lines[-1].boot
    await central.heard(boot, lines[-1].seq)
    assert central.live > 0
    await central.resend(boot)
    assert central.payloads(boot) == payloads(lines)
    assert central.gone == []
    records = bodies(central, boot, RECORD)
    assert len(records) == 20
    assert all(record.heart_rate == 150 and record.quality & 1 and record.status == 100 for record in records)
    assert [event.code for event in bodies(central, boot, EVENT)] == [1, 2, 4]


async def test_strain_is_told_once_the_model_is_ready(firmware, central):
    await firmware.start(400, rate=200)
    await central.connect()
    boot = (await firmware.finished())[0].boot
    await central.resend(boot)
    ready = [bool(record.quality & 32) for record in bodies(central, boot, RECORD)]
    assert ready[-1]
    assert ready == sorted(ready)


async def test_the_recording_may_repeat_and_time_goes_on(firmware, eventually):
    await firmware.start(10, rate=100, loop=True)
    await eventually(lambda: sum(line.kind == "record" for line in firmware.ledger()) >= 8, "the fourth round")
    ticks = [line.tick_ms for line in firmware.ledger() if line.kind == "record"]
    assert ticks == [4000 * k for k in range(1, len(ticks) + 1)]


async def test_acknowledged_pages_are_released_and_the_rest_is_still_sent(firmware, central):
    await firmware.start(1800, rate=1000)
    status = await central.connect()
    boot = status.holdings[-1].boot
    lines = await firmware.finished()
    await central.acknowledge(boot, lines[-1].seq)
    status = await central.status_once(lambda status: status.holdings[-1].first > 0)
    first = status.holdings[-1].first
    assert first <= lines[-1].seq
    lines = firmware.ledger()
    central.entries.clear()
    await central.resend(boot)
    assert [tuple(gone) for gone in central.gone] == [(boot, 0, first - 1, 2)]
    assert central.payloads(boot).items() >= payloads(lines[first:]).items()


async def test_the_bound_of_the_journal_is_told_as_overwritten(firmware, central):
    await firmware.start(4000, rate=1000, journal_pages=4)
    lines = await firmware.finished()
    status = await central.connect()
    boot, first, _ = status.holdings[-1]
    assert status.overwritten == first > 0
    await central.resend(boot)
    ((gone_boot, begin, last, why),) = [tuple(gone) for gone in central.gone]
    assert (gone_boot, begin, why) == (boot, 0, 1)
    # The device goes on to note its health, which may cost a further page meanwhile.
    later = await central.status_once(lambda status: status.holdings[-1].first >= first)
    assert first - 1 <= last <= later.holdings[-1].first - 1
    assert central.payloads(boot).items() >= payloads(lines[last + 1 :]).items()


async def test_losing_the_connection_loses_no_entry(firmware, central):
    await firmware.start(240)
    for _ in range(3):
        status = await central.connect()
        boot, _, following = status.holdings[-1]
        await central.heard(boot, following)
        await central.disconnect()
    lines = await firmware.finished()
    await central.connect()
    await central.resend(boot)
    assert central.payloads(boot) == payloads(lines)


async def test_a_disconnect_ends_the_answers_that_were_waiting(firmware, central):
    await firmware.start(2400, rate=1200)
    lines = await firmware.finished()
    status = await central.connect()
    boot = status.holdings[-1].boot
    for _ in range(4):
        request = frame.encode_resend(boot, 0, 0xFFFFFFFF)
        await central.write(CONTROL, central.sealed(frame.CONTROL, request))
    await central.disconnect()
    await central.connect()
    done = len(central.done)
    await central.resend(boot, lines[-1].seq, lines[-1].seq)
    assert [tuple(answer) for answer in central.done[done:]] == [(boot, lines[-1].seq, lines[-1].seq)]


async def test_writes_that_are_not_genuine_are_counted_and_change_nothing(firmware, central, eventually):
    await firmware.start(20, rate=300, loop=True)
    status = await central.connect()
    boot = status.holdings[-1].boot
    genuine = central.sealed(frame.CONTROL, frame.encode_resend(boot, 0, 0))
    acknowledge_all = frame.encode_ack(boot, 0xFFFFFFFF)
    await central.write(CONTROL, genuine)
    await eventually(lambda: central.done, "the answer to a genuine request")
    refused = [
        (CONTROL, genuine),  # replayed
        (CONTROL, b""),
        (CONTROL, b"\x01"),
        (CONTROL, os.urandom(39)),
        (CONTROL, central.sealed(frame.CONTROL, b"\x63" + bytes(12))),  # genuine seal, unknown request
        (CONTROL, bytes(500)),  # longer than any frame
        (ACK, central.sealed(frame.ACK, acknowledge_all, key=bytes(32))),  # another key
        (ACK, central.sealed(frame.CONTROL, acknowledge_all)),  # another direction
        (ACK, central.sealed(frame.ACK, acknowledge_all, boot=boot ^ 1)),  # another boot
        (ACK, central.sealed(frame.ACK, acknowledge_all)[:-1]),
        (ACK, b"\x02" + central.sealed(frame.ACK, acknowledge_all)[1:]),  # unknown version
        (CURRENT_TIME, b"now"),
        (CURRENT_TIME, bytes(10)),
        (CURRENT_TIME, bytes.fromhex("ea07 02 1d 00 00 00 00 00 00")),  # 29 February 2026
    ]
    for characteristic, data in refused:
        await central.write(characteristic, data)
    so_far = len(firmware.ledger())
    await eventually(lambda: [line for line in firmware.ledger()[so_far:] if line.kind == "health"], "a health entry")
    await central.resend(boot)
    assert bodies(central, boot, HEALTH)[-1].refused == len(refused)
    assert len(central.done) == 2
    assert bodies(central, boot, ANCHOR) == []
    status = await central.status()
    assert (status.holdings[-1].first, central.gone) == (0, [])
    assert firmware.process.returncode is None


async def test_a_written_time_becomes_an_anchor_on_the_scale_of_the_ticks(firmware, central, eventually):
    clock = await firmware.start(20, rate=10, loop=True)
    origin_utc_ms = int(clock.split(":")[0])
    await central.connect()
    wanted = datetime(2028, 2, 29, 23, 59, 58, tzinfo=UTC)
    data = (2028).to_bytes(2, "little") + bytes([2, 29, 23, 59, 58, 7, 128, 0])
    await central.write(CURRENT_TIME, data)
    anchor = await eventually(lambda: [line for line in firmware.ledger() if line.kind == "anchor"], "an anchor")
    entry = await central.heard(anchor[0].boot, anchor[0].seq)
    values = unpack_body(ANCHOR, entry.body)
    assert values.utc_ms == wanted.timestamp() * 1000 + 500
    assert values.source == 1
    status = await central.status()
    assert entry.tick_ms <= status.tick_ms
    before = [line.tick_ms for line in firmware.ledger() if line.kind == "record" and line.seq < entry.seq]
    assert entry.tick_ms >= max(before, default=0)
    assert origin_utc_ms > 0


async def test_a_flood_of_times_is_bounded(firmware, central, eventually):
    await firmware.start(20, rate=1)
    await central.connect()
    data = (2026).to_bytes(2, "little") + bytes([11, 21, 12, 0, 0, 0, 0, 0])
    for _ in range(100):
        await central.write(CURRENT_TIME, data)
    status = await central.status()
    boot, _, following = status.holdings[-1]
    await central.resend(boot, 0, following - 1)
    assert 16 <= len(bodies(central, boot, ANCHOR)) < 60


async def test_a_restart_in_mid_recording_keeps_what_nobody_has_acknowledged(firmware, central, eventually):
    await firmware.start(4000)
    await eventually(lambda: len(firmware.ledger()) >= 8, "some records")
    await firmware.stop(signal.SIGKILL)
    # A kill may come between the append to the journal and the ledger's line, or within the line.
    text = firmware.ledger_file.read_text()
    firmware.ledger_file.write_text(text[: text.rstrip("\n").rfind("\n") + 9])
    earlier = firmware.ledger()
    await firmware.start(20)
    status = await central.connect()
    earlier, short = [line for line in firmware.ledger() if line.boot == earlier[0].boot], earlier
    assert len(earlier) > len(short)
    old, new = earlier[0].boot, status.holdings[-1].boot
    assert [holding.boot for holding in status.holdings] == [old, new]
    first, following = status.holdings[0][1:]
    assert (first, following) == (0, len(earlier))
    await central.resend(old)
    assert central.payloads(old) == payloads(earlier)
    assert len(central.payloads(old)) == following
    await central.acknowledge(old, following - 1)
    await central.status_once(lambda status: [holding.boot for holding in status.holdings] == [new])
    await eventually(lambda: firmware.ledger()[-1].boot == new and firmware.ledger()[-1].tick_ms == 20_000, "the end")
    await central.resend(new)
    assert central.payloads(new) == payloads([line for line in firmware.ledger() if line.boot == new])


async def test_a_radio_that_crashes_is_started_again_and_nothing_is_lost(firmware, central, tmp_path, eventually):
    # Three notifications go out, the next one raises.
    (tmp_path / "bluetooth.py").write_text(FRAGILE_RADIO % str(firmware.path[-1] / "bluetooth.py"))
    firmware.path = [tmp_path, *firmware.path]
    await firmware.start(80, rate=40)
    await central.connect()
    await eventually(lambda: not central.client.is_connected, "the crash")
    await central.connect()
    lines = await firmware.finished()
    boot = lines[-1].boot
    await central.resend(boot)
    assert central.payloads(boot) == payloads(lines)
    assert bodies(central, boot, HEALTH)[-1].crash != 0
    assert firmware.errors().count("ValueError: this radio is fragile") == 1


FRAGILE_RADIO = """
with open(%r) as module:
    exec(module.read())

class BLE(BLE):
    left = 4

    def gatts_notify(self, *arguments):
        BLE.left -= 1
        if BLE.left == 0:
            raise ValueError("this radio is fragile")
        super().gatts_notify(*arguments)
"""


async def test_anybody_may_read_the_standard_services(firmware, central):
    await firmware.start(20, rate=1)
    await central.connect()

    async def read(number):
        return bytes(await central.client.read_gatt_char(f"0000{number:04x}-0000-1000-8000-00805f9b34fb"))

    assert central.name == "ZenMoon-0718"
    assert await read(0x2A00) == b"ZenMoon-0718"
    assert await read(0x2A19) == bytes([100])
    assert await read(0x2A29) == b"ZenMoon"
    assert await read(0x2A24) == b"Desktop"
    assert await read(0x2A26) == b"9f3c01aa"
    services = {service.uuid[4:8] for service in central.client.services}
    assert "180d" not in services, "Heart Rate is off"
    assert central.client.services.get_characteristic("7a656e05-6d6f-6f6e-8000-00805f9b34fb") is None


async def test_sigterm_ends_it(firmware):
    await firmware.start(8, rate=100)
    await firmware.finished()
    code = await firmware.stop()
    # MicroPython's desktop port has no signal handling: the kernel ends it.
    assert code in (0, -signal.SIGTERM)
    assert "Traceback" not in firmware.errors()
