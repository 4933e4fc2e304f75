"""What was acknowledged is on the disk, whatever happens to the process; and nothing leaves but by the cloud's answer."""

import json
import sqlite3
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from wearable_entries import BOOT, DEVICE, UTC_MS, group
from zenmoon_gateway.anchors import Anchor
from zenmoon_gateway.errors import GatewayError, Reason
from zenmoon_gateway.outbox import DeadLetter, Group, Outbox
from zenmoon_gateway.ranges import RangeSet
from zenmoon_gateway.sync import BootRanges

ANCHOR = Anchor(tick_ms=0, utc_ms=UTC_MS, source=1, uncertainty_ms=50)
LATER = Anchor(tick_ms=0, utc_ms=UTC_MS + 3_600_000, source=1, uncertainty_ms=50)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "outbox.db"


@pytest.fixture
def outbox(path):
    opened = Outbox(path)
    yield opened
    opened.close()


def reopened(path):
    opened = Outbox(path)
    ranges, highest = opened.ranges(DEVICE)
    opened.close()
    return ranges, highest


def test_a_group_survives_being_closed_with_its_ranges_and_counters(path):
    outbox = Outbox(path)
    outbox.commit(DEVICE, group([0, 1, 2], anchors=[(BOOT, ANCHOR)], highest={BOOT: 17}), now_ms=5)
    outbox.close()
    ranges, highest = reopened(path)
    assert ranges == {BOOT: BootRanges(durable=RangeSet([(0, 2)]))}
    assert highest == {BOOT: 17}
    outbox = Outbox(path)
    waiting = outbox.ready(10)
    outbox.close()
    assert [(one.device, one.arrived.boot, one.arrived.entry.seq, one.ts_ms) for one in waiting] == [
        (DEVICE, BOOT, seq, UTC_MS + 4_000 * seq) for seq in range(3)
    ]


def test_entries_wait_for_an_anchor_and_the_first_one_rules(outbox):
    outbox.commit(DEVICE, group([0, 1]), now_ms=5)
    assert outbox.ready(10) == []
    assert outbox.commit(DEVICE, Group(anchors=[(BOOT, ANCHOR)]), now_ms=6) == [BOOT]
    assert [one.ts_ms for one in outbox.ready(10)] == [UTC_MS, UTC_MS + 4_000]
    assert outbox.commit(DEVICE, group([2], anchors=[(BOOT, LATER)]), now_ms=7) == []
    assert [one.ts_ms for one in outbox.ready(10)] == [UTC_MS, UTC_MS + 4_000, UTC_MS + 8_000]


def test_only_the_answered_items_leave(outbox, path):
    outbox.commit(DEVICE, group([0, 1, 2, 3], anchors=[(BOOT, ANCHOR)]), now_ms=5)
    first, second, third, fourth = outbox.ready(10)
    dead = DeadLetter(waiting=third, code="conflict", detail="another payload", item={"seq": 2})
    outbox.settle([first, second], [dead], tallies={"delivered": 2, "refused": 1}, now_ms=9)
    assert outbox.ready(10) == [fourth]
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT seq, code, item FROM dead_letters").fetchall() == [
            (2, "conflict", json.dumps({"seq": 2}))
        ]
        assert dict(connection.execute("SELECT name, value FROM tallies")) == {"delivered": 2, "refused": 1}
    connection.close()


def test_delivered_entries_that_come_again_are_known(outbox):
    outbox.commit(DEVICE, group([0, 1], anchors=[(BOOT, ANCHOR)]), now_ms=5)
    outbox.settle(outbox.ready(10), [], tallies={}, now_ms=6)
    assert outbox.ranges(DEVICE)[0][BOOT].durable == RangeSet([(0, 1)])


def test_a_failed_commit_keeps_nothing_of_the_group(outbox, path):
    outbox.commit(DEVICE, group([0]), now_ms=5)
    blocker = sqlite3.connect(path, isolation_level=None)
    outbox._connection.execute("PRAGMA busy_timeout = 10")
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(GatewayError, match="nothing was acknowledged") as caught:
        outbox.commit(DEVICE, group([0, 1]), now_ms=6)
    assert caught.value.reason is Reason.STORAGE
    blocker.execute("ROLLBACK")
    blocker.close()
    assert outbox.ranges(DEVICE)[0][BOOT].durable == RangeSet([(0, 0)])
    outbox.commit(DEVICE, group([0, 1]), now_ms=7)
    assert outbox.ranges(DEVICE)[0][BOOT].durable == RangeSet([(0, 1)])


def test_a_full_disk_acknowledges_nothing_and_loses_nothing(outbox):
    outbox.commit(DEVICE, group([0], anchors=[(BOOT, ANCHOR)]), now_ms=5)
    pages = outbox._connection.execute("PRAGMA page_count").fetchone()[0]
    outbox._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(GatewayError, match="free space"):
        outbox.commit(DEVICE, group(list(range(2_000))), now_ms=6)
    assert [one.arrived.entry.seq for one in outbox.ready(10)] == [0]
    assert outbox.ranges(DEVICE)[0][BOOT].durable == RangeSet([(0, 0)])


def test_overwritten_entries_stay_counted(outbox, path):
    ranges = BootRanges(durable=RangeSet([(10, 12)]), overwritten=RangeSet([(0, 7)]), released=RangeSet([(8, 9)]))
    outbox.commit(DEVICE, Group(ranges={BOOT: ranges}), now_ms=5)
    assert outbox.ranges(DEVICE)[0][BOOT] == ranges
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT lost FROM ranges").fetchall() == [(8,)]
    connection.close()


def test_boots_keep_the_order_in_which_the_wearable_had_them(outbox):
    outbox.order(DEVICE, [30, 20])
    outbox.order(DEVICE, [20, 10])
    assert [boot.boot for boot in outbox.boots(DEVICE)] == [30, 20, 10]


def test_the_files_are_readable_by_their_owner_only(outbox, path):
    outbox.commit(DEVICE, group([0]), now_ms=5)
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


def test_a_damaged_file_is_set_aside_and_a_fresh_one_started(path):
    path.write_bytes(b"no database at all, but long enough to look like one" * 100)
    outbox = Outbox(path)
    outbox.commit(DEVICE, group([0]), now_ms=5)
    outbox.close()
    assert outbox.set_aside is not None
    assert outbox.set_aside.read_bytes().startswith(b"no database")
    assert reopened(path)[0][BOOT].durable == RangeSet([(0, 0)])


def test_damage_inside_the_file_is_noticed_at_the_next_start(path):
    outbox = Outbox(path)
    outbox.commit(DEVICE, group(list(range(2_000))), now_ms=5)
    outbox.close()
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 12] = b"\xa5" * 4096 * 9
    path.write_bytes(content)
    outbox = Outbox(path)
    outbox.close()
    assert outbox.set_aside == path.with_name("outbox.damaged-1.db")


def test_a_file_of_a_newer_gateway_is_left_alone(path):
    Outbox(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(GatewayError, match="update zenmoon-gateway"):
        Outbox(path)
    assert path.exists()


WRITER = """
    import sys
    from pathlib import Path
    sys.path.insert(0, {folder!r})
    from wearable_entries import BOOT, DEVICE, group
    from zenmoon_gateway.outbox import Outbox
    outbox = Outbox(Path({path!r}))
    first = outbox.ranges(DEVICE)[0]
    seq = first[BOOT].durable.end if first else 0
    while True:
        new = group(list(range(seq, seq + 7)))
        outbox.commit(DEVICE, new, now_ms=1)
        seq += 7
        print(seq - 1, flush=True)  # the acknowledgement
"""


def test_nothing_acknowledged_is_lost_when_the_writer_is_killed(path):
    acknowledged = -1
    code = textwrap.dedent(WRITER.format(folder=str(Path(__file__).parent), path=str(path)))
    for kill in range(5):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                acknowledged = int(line)
                if acknowledged > 100 * (kill + 1):
                    process.kill()
                    break
            acknowledged = max([acknowledged, *(int(line) for line in process.stdout.read().split("\n")[:-1])])
        outbox = Outbox(path)
        durable = outbox.ranges(DEVICE)[0][BOOT].durable
        stored = RangeSet((row[0], row[0]) for row in outbox._connection.execute("SELECT seq FROM items"))
        outbox.close()
        assert outbox.set_aside is None
        assert durable.prefix >= acknowledged
        assert stored == durable
    assert acknowledged > 500
