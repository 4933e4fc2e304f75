"""The gateway's side of the air: whatever arrives that is not the wearable's is refused and counted, and its neighbours go on."""

import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from scripted_band import FIRMWARE, MODEL, Band
from zenmoon_edge import client
from zenmoon_edge.client import Reason, Source, Wearable, WearableError
from zenmoon_edge.core.plaintext import Done, Entries, Gone, entries_plaintext
from zenmoon_edge.core.record import RECORD, Entry, pack_body


def record(seq):
    return Entry(RECORD, seq, 4_000 * seq, pack_body(RECORD, (169, 38, 12, 241, 3318, 31, 107, 18, 63, 81)))


def wearable(band, **changes):
    fields = {"key": band.key, "key_id": band.key_id, "reserve": itertools.count().__next__, "backend": band.client}
    return Wearable(band.address, **{**fields, **changes})


@pytest.fixture
def band():
    return Band()


def seqs(received):
    return [entry.seq for one in received for entry in one.content.entries]


async def test_live_and_backlog_frames_arrive_tagged_and_with_their_counters(band):
    async with wearable(band) as one:
        band.journal(record(0), record(1))
        band.send(client.BACKLOG, entries_plaintext([record(2), record(3)], FIRMWARE, MODEL, 3))
        received = await one.gather(limit=10)
    assert [(frame.source, frame.boot, frame.counter) for frame in received] == [
        (Source.LIVE, 7, 1),
        (Source.LIVE, 7, 2),
        (Source.BACKLOG, 7, 3),
    ]
    assert received[0].content == Entries(None, FIRMWARE, MODEL, [record(0)])
    assert received[2].content == Entries(3, FIRMWARE, MODEL, [record(2), record(3)])
    assert one.highest == {7: 3}


async def test_the_status_tells_boot_ticks_and_holdings(band):
    band.boots = {3: {}, 7: {}}
    band.journal(record(0), record(1))
    async with wearable(band) as one:
        status = await one.status()
        again = await one.status()
    assert one.boot == 7
    assert (status.tick_ms, status.battery_pct) == (4_000, 81)
    assert [tuple(holding) for holding in status.holdings] == [(3, 0, 0), (7, 0, 2)]
    assert again == status


async def test_what_it_writes_opens_on_the_wearable(band):
    band.journal(*map(record, range(5)))
    async with wearable(band) as one:
        await one.status()
        await one.acknowledge(7, 1)
        await one.resend(7, 2, 4)
        await one.set_time(1_800_000_000_500)
        received = await one.gather(limit=10)
    assert band.acknowledged == [(7, 1)]
    assert band.resends == [(7, 2, 4)]
    assert seqs(received[:1]) == [2, 3, 4]
    assert received[1].content == Done(7, 2, 4)
    assert band.times == [bytes([0xEB, 0x07, 1, 15, 8, 0, 0, 5, 128, 2])]


async def test_what_is_gone_is_told(band):
    band.overwritten = {7: {0}}
    async with wearable(band) as one:
        await one.status()
        await one.resend(7, 0, 1)
        received = await one.gather(limit=10)
    assert [one.content for one in received] == [Gone(7, 0, 0, 1), Gone(7, 1, 1, 2), Done(7, 0, 1)]


SPOILED = {
    "truncated": lambda band: band.notify(client.TELEMETRY, b"\x01" * 20),
    "version": lambda band: band.send(client.TELEMETRY, b"\x11", spoil=lambda sealed: b"\x02" + sealed[1:]),
    "key_id": lambda band: band.send(client.TELEMETRY, b"\x11", key_id=9),
    "forged": lambda band: band.send(client.TELEMETRY, entries_plaintext([record(9)], FIRMWARE, MODEL), key=bytes(32)),
    "replayed": lambda band: band.send(client.TELEMETRY, entries_plaintext([record(9)], FIRMWARE, MODEL), counter=1),
    "malformed": lambda band: band.send(client.TELEMETRY, b"\x09 no kind that is known"),
}


@pytest.mark.parametrize("reason", SPOILED)
async def test_a_bad_frame_is_refused_and_counted_and_its_neighbours_go_on(band, reason):
    async with wearable(band) as one:
        band.journal(record(0))
        SPOILED[reason](band)
        band.journal(record(1))
        received = await one.gather(limit=10)
    assert seqs(received) == [0, 1]
    assert one.refused == {reason: 1}


async def test_a_frame_recorded_before_a_restart_of_the_gateway_is_still_a_replay(band):
    async with wearable(band) as one:
        band.journal(record(0))
        sealed = band.send(client.TELEMETRY, entries_plaintext([record(1)], FIRMWARE, MODEL))
        assert len(await one.gather(limit=10)) == 2
    async with wearable(band, highest=one.highest) as later:
        band.notify(client.TELEMETRY, sealed)
        band.journal(record(2))
        assert seqs(await later.gather(limit=10)) == [2]
    assert later.refused == {"replayed": 1}


async def test_frames_before_the_end_of_the_link_are_still_given(band):
    one = wearable(band)
    await one.connect()
    band.journal(record(0))
    band.drop()
    assert seqs(await one.gather(limit=10)) == [0]
    with pytest.raises(WearableError) as caught:
        await one.gather(limit=10)
    assert caught.value.reason == Reason.DISCONNECTED


async def test_frames_end_with_the_link(band):
    one = wearable(band)
    await one.connect()
    band.journal(record(0), record(1))
    band.drop()
    frames = one.frames()
    assert seqs([await anext(frames), await anext(frames)]) == [0, 1]
    with pytest.raises(WearableError):
        await anext(frames)


async def test_nothing_for_a_while_is_an_empty_list(band):
    async with wearable(band) as one:
        assert await one.gather(limit=10, seconds=0.01) == []


@pytest.mark.parametrize("changes", [{"key": bytes(32)}, {"key_id": 2}], ids=["key", "key_id"])
async def test_a_wearable_of_somebody_else_is_told_by_its_status(band, changes):
    async with wearable(band, **changes) as one:
        with pytest.raises(WearableError) as caught:
            await one.status()
    assert caught.value.reason == Reason.WRONG_KEY


async def test_a_device_without_the_service_is_no_wearable(band):
    del band.characteristics[client.BACKLOG]
    with pytest.raises(WearableError) as caught:
        await wearable(band).connect()
    assert caught.value.reason == Reason.NOT_A_WEARABLE
    assert band.reader is None


async def test_a_wearable_out_of_range_is_a_bluetooth_error(band):
    band.in_range = False
    with pytest.raises(WearableError) as caught:
        await wearable(band).connect()
    assert caught.value.reason == Reason.BLUETOOTH


async def test_a_call_on_a_lost_link_says_so(band):
    one = wearable(band)
    await one.connect()
    band.drop()
    with pytest.raises(WearableError) as caught:
        await one.status()
    assert caught.value.reason == Reason.DISCONNECTED


async def test_scanning_lists_wearables_with_their_signal(band):
    assert await client.scan(seconds=0.05, backend=band.scanner) == [
        client.Sighting(name="ZenMoon-0718", address=band.address, rssi=-60)
    ]


async def test_finding_takes_the_one_that_is_accepted(band):
    found = await client.find(lambda name, _: name.endswith("0718"), seconds=1.0, backend=band.scanner)
    assert found is not None
    assert found.address == band.address
    assert await client.find(lambda name, _: name.endswith("9999"), seconds=0.05, backend=band.scanner) is None


@pytest.mark.parametrize(
    ("utc_ms", "expected"),
    [
        (1_800_000_000_000, (2027, 1, 15, 8, 0, 0, 5, 0)),
        (1_709_251_199_999, (2024, 2, 29, 23, 59, 59, 4, 255)),
        (1_804_000_000_500, (2027, 3, 2, 15, 6, 40, 2, 128)),
    ],
)
def test_the_time_is_exact_time_256(utc_ms, expected):
    data = client.current_time(utc_ms)
    assert (int.from_bytes(data[:2], "little"), *data[2:9]) == expected
    assert len(data) == 10
