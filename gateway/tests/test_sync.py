"""Whatever is lost, repeated or reordered on the air, and wherever the gateway dies: all is durable or gone in the end, and
nothing is ever acknowledged that is not durable here."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from zenmoon_gateway import sync
from zenmoon_gateway.sync import OVERWRITTEN, RELEASED, BootRanges, Resend, Sync

BOOT, EARLIER = 7, 5


def durable(synchronised):
    synchronised.changes()
    synchronised.committed()


def test_what_arrived_is_acknowledged_only_after_its_commit():
    one = Sync({})
    one.status([(BOOT, 0, 3)], 0.0)
    assert one.receive(BOOT, [0, 1, 2], 0.0) == [0, 1, 2]
    assert one.next_acknowledgements() == []
    durable(one)
    assert one.next_acknowledgements() == [(BOOT, 2)]
    one.acknowledged(BOOT, 2)
    assert one.next_acknowledgements() == []


def test_an_acknowledgement_stops_before_a_hole():
    one = Sync({})
    one.status([(BOOT, 0, 10)], 0.0)
    one.receive(BOOT, [0, 1, 2, 4, 5], 0.0)
    durable(one)
    assert one.next_acknowledgements() == [(BOOT, 2)]


def test_a_live_gap_is_asked_for():
    one = Sync({})
    one.status([(BOOT, 0, 0)], 0.0)
    one.receive(BOOT, [0], 0.0)
    assert one.next_resend(0.0) is None
    one.receive(BOOT, [4], 0.0)
    assert one.next_resend(0.0) == Resend(boot=BOOT, first=1, last=3)


def test_the_oldest_boot_is_asked_for_first_and_one_range_at_a_time():
    one = Sync({})
    one.status([(EARLIER, 0, 4), (BOOT, 0, 2)], 0.0)
    assert one.next_resend(0.0) == Resend(boot=EARLIER, first=0, last=3)
    assert one.next_resend(0.0) is None
    one.receive(EARLIER, range(4), 0.0)
    one.done(EARLIER, 0, 3, 0.0)
    assert one.next_resend(0.0) == Resend(boot=BOOT, first=0, last=1)


def test_silence_repeats_the_request_but_live_entries_do_not_count_as_an_answer():
    one = Sync({})
    one.status([(BOOT, 0, 4)], 0.0)
    one.next_resend(0.0)
    one.receive(BOOT, [4], sync.SILENCE_S - 0.1)
    assert one.next_resend(sync.SILENCE_S) == Resend(boot=BOOT, first=0, last=3)


def test_a_hole_that_stays_after_done_is_asked_for_ever_more_rarely():
    one = Sync({})
    one.status([(BOOT, 0, 4)], 0.0)
    now, waits = 0.0, []
    for _ in range(10):
        assert one.next_resend(now) == Resend(boot=BOOT, first=0, last=3)
        one.done(BOOT, 0, 3, now)
        before = now
        while one._patience[BOOT].not_before > now:
            now = one._patience[BOOT].not_before
        waits.append(now - before)
    assert waits == sorted(waits)
    assert waits[0] == sync.ASK_AGAIN_FIRST_S
    assert waits[-1] == sync.ASK_AGAIN_LONGEST_S


def test_what_another_gateway_took_is_gone_but_not_lost():
    one = Sync({})
    one.status([(BOOT, 4, 6)], 0.0)
    one.gone(BOOT, 0, 1, OVERWRITTEN, 0.0)
    one.gone(BOOT, 2, 3, RELEASED, 0.0)
    one.receive(BOOT, [4, 5], 0.0)
    ranges = one.changes()[BOOT]
    assert (list(ranges.overwritten), list(ranges.released)) == ([(0, 1)], [(2, 3)])
    one.committed()
    assert one.next_acknowledgements() == [(BOOT, 5)]


def test_what_is_here_is_never_called_lost():
    one = Sync({})
    one.status([(BOOT, 0, 3)], 0.0)
    one.receive(BOOT, [0, 1], 0.0)
    one.gone(BOOT, 0, 2, OVERWRITTEN, 0.0)
    assert list(one.changes()[BOOT].overwritten) == [(2, 2)]


def test_entries_of_a_later_status_get_time_to_arrive_live():
    one = Sync({})
    one.status([(BOOT, 0, 1)], 0.0)
    one.receive(BOOT, [0], 0.0)
    one.status([(BOOT, 0, 2)], 5.0)
    assert one.next_resend(5.0) is None
    assert one.next_resend(5.0 + sync.IN_FLIGHT_S) == Resend(boot=BOOT, first=1, last=1)


def test_entries_that_come_again_are_counted_and_not_new():
    one = Sync({BOOT: BootRanges()})
    one.status([(BOOT, 0, 2)], 0.0)
    assert one.receive(BOOT, [0, 1], 0.0) == [0, 1]
    assert one.receive(BOOT, [1, 0, 2], 0.0) == [2]
    durable(one)
    assert one.receive(BOOT, [0, 3], 0.0) == [3]
    assert one.redelivered == 3


def test_a_boot_is_finished_once_nothing_of_it_can_arrive():
    one = Sync({})
    one.status([(EARLIER, 0, 2), (BOOT, 0, 1)], 0.0)
    assert not one.finished(EARLIER)
    one.receive(EARLIER, [0, 1], 0.0)
    assert one.finished(EARLIER)
    assert not one.finished(BOOT)


class Wearable:
    """The other end, in memory: what it holds, and frames that may be lost, repeated or reordered before they arrive."""

    def __init__(self, chance, boots):
        self.chance, self.held, self.gone = chance, {}, {}
        self.total = {boot: total for boot, (total, _, _) in boots.items()}
        for boot, (total, overwritten, released) in boots.items():
            self.gone[boot] = [(seq, OVERWRITTEN) for seq in range(min(overwritten, total))]
            self.gone[boot] += [(seq, RELEASED) for seq in range(overwritten, min(overwritten + released, total))]
            self.held[boot] = list(range(min(overwritten + released, total), total))
        self.had = {boot: list(held) for boot, held in self.held.items()}
        self.never_ours = {boot: {seq for seq, _ in gone} for boot, gone in self.gone.items()}

    def holdings(self):
        return [(boot, self.held[boot][0] if self.held[boot] else self.total[boot], self.total[boot]) for boot in self.held]

    def erase(self, boot, seq):
        """An acknowledged entry is erased: whatever was acknowledged wrongly is lost for good."""
        self.gone[boot] += [(one, RELEASED) for one in self.held[boot] if one <= seq]
        self.held[boot] = [one for one in self.held[boot] if one > seq]

    def answer(self, resend):
        wanted = range(resend.first, resend.last + 1)
        frames = [("entries", resend.boot, [seq]) for seq in self.held[resend.boot] if seq in wanted]
        frames += [("gone", resend.boot, seq, seq, reason) for seq, reason in self.gone[resend.boot] if seq in wanted]
        return [*frames, ("done", resend.boot, resend.first, resend.last)]

    def air(self, frames, loss, repeat, shuffle):
        sent = [frame for frame in frames if self.chance.random() >= loss]
        sent += [frame for frame in sent if self.chance.random() < repeat]
        if shuffle:
            self.chance.shuffle(sent)
        return sent


BOOTS = st.lists(st.tuples(st.integers(0, 25), st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=3)


@settings(max_examples=150, deadline=None)
@given(
    boots=BOOTS,
    seed=st.integers(0, 2**32),
    loss=st.floats(0.0, 0.7),
    repeat=st.floats(0.0, 0.5),
    shuffle=st.booleans(),
    commit_fails=st.floats(0.0, 0.5),
    dies=st.floats(0.0, 0.3),
)
def test_everything_becomes_durable_or_gone_and_only_that_is_acknowledged(boots, seed, loss, repeat, shuffle, commit_fails, dies):
    chance = random.Random(seed)
    wearable = Wearable(chance, {100 + at: boot for at, boot in enumerate(boots)})
    on_disk: dict[int, BootRanges] = {}
    one, now = Sync(on_disk), 0.0
    one.status(wearable.holdings(), now)
    for round_number in range(4000):
        calm = round_number > 60
        now += 1.0
        if not calm and chance.random() < dies:
            one = Sync(on_disk)  # killed: what was not committed is forgotten
            one.status(wearable.holdings(), now)
        resend = one.next_resend(now)
        frames = wearable.answer(resend) if resend else []
        for name, boot, *rest in frames if calm else wearable.air(frames, loss, repeat, shuffle):
            if name == "entries":
                one.receive(boot, rest[0], now)
            else:
                getattr(one, name)(boot, *rest, now)
        changes = one.changes()
        if calm or chance.random() >= commit_fails:
            on_disk.update({boot: ranges.copy() for boot, ranges in changes.items()})
            one.committed()
        for boot, seq in one.next_acknowledgements():
            durable_here = on_disk[boot].durable
            assert all(number in durable_here or number in wearable.never_ours[boot] for number in range(seq + 1))
            one.acknowledged(boot, seq)
            wearable.erase(boot, seq)
        if calm and one.missing() == 0:
            break
    assert one.missing() == 0
    for boot, held in wearable.had.items():
        ranges = on_disk.get(boot, BootRanges())
        assert {seq for first, last in ranges.durable for seq in range(first, last + 1)} >= set(held)
        lost = {seq for seq, reason in wearable.gone[boot] if reason == OVERWRITTEN}
        assert {seq for first, last in ranges.overwritten for seq in range(first, last + 1)} == lost
