"""Clocks that several processes share, and ticks that do not wrap."""

from zenmoon_edge.core.clock import Clock, Ticks48


class Counter:
    """A monotonic counter that a test turns."""

    def __init__(self, value=0, period=None):
        self.value = value
        self.period = period

    def turn(self, by):
        self.value += by
        if self.period:
            self.value %= self.period

    def __call__(self):
        return self.value


def test_a_clock_runs_at_its_rate():
    counter = Counter(5000000)
    clock = Clock(1795197788000, 5000000, 60, counter)
    assert (clock.elapsed_ms(), clock.utc_ms()) == (0, 1795197788000)
    counter.turn(2500000)
    assert (clock.elapsed_ms(), clock.utc_ms()) == (150000, 1795197938000)


def test_a_clock_may_run_slower_than_real_time():
    counter = Counter()
    clock = Clock(0, 0, 0.25, counter)
    counter.turn(8000000)
    assert clock.elapsed_ms() == 2000


def test_two_clocks_of_one_text_tell_the_same_time():
    counter = Counter(777)
    for text in ("1795197788000:123456789:60", "1795197788000:123456789:0.5", "0:0:1"):
        clock = Clock.parse(text)
        assert str(clock) == text
        clock = Clock(clock.origin_utc_ms, clock.origin_monotonic_us, clock.rate, counter)
        again = Clock(1795197788000, 123456789, clock.rate, counter)
        assert clock.elapsed_ms() == again.elapsed_ms() or text == "0:0:1"


def test_a_rate_written_with_a_fraction_is_the_same_rate():
    assert str(Clock.parse("1:2:60.0")) == "1:2:60"


def test_a_clock_keeps_milliseconds_over_years():
    counter = Counter()
    clock = Clock(0, 0, 60, counter)
    counter.turn(10 * 365 * 86400 * 1000000 + 1000)
    assert clock.elapsed_ms() == 60 * (10 * 365 * 86400 * 1000 + 1)


def test_text_that_is_no_clock_is_refused():
    for text in ("", "1:2", "1:2:3:4", "a:2:3", "1:2:x", "1:2:0", "1:2:-1", "1:2:nan", "1:2:inf"):
        try:
            Clock.parse(text)
        except ValueError:
            continue
        raise AssertionError(text)


def test_the_system_clock_is_in_this_century_and_goes_on():
    clock = Clock.system()
    first = clock.utc_ms()
    assert 1750000000000 < first < 4102444800000
    assert clock.utc_ms() >= first
    assert clock.rate == 1


def test_ticks_start_at_zero_and_count_milliseconds():
    counter = Counter(123456)
    ticks = Ticks48(counter, 1 << 62)
    assert ticks.now() == 0
    counter.turn(4000)
    assert ticks.now() == 4000
    assert ticks.now() == 4000


def test_ticks_do_not_wrap_with_a_counter_of_30_bits():
    period = 1 << 30
    counter = Counter(period - 10, period)
    ticks = Ticks48(counter, period)
    counter.turn(25)
    assert ticks.now() == 25
    expected = 25
    for _ in range(100):
        counter.turn(period - 1)
        expected += period - 1
        assert ticks.now() == expected


def test_ticks_stay_within_48_bits():
    period = 1 << 62
    counter = Counter(0, period)
    ticks = Ticks48(counter, period)
    counter.turn((1 << 48) - 1)
    assert ticks.now() == (1 << 48) - 1
    counter.turn(2)
    assert ticks.now() == 1
