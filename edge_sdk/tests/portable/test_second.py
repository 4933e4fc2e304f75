"""A second survives packing unchanged: what trains the model is what the wearable sees."""

from zenmoon_edge.core.second import Second, SecondError


def e4_second():
    return Second(
        4_294_967_296_000,
        [-128, 127, 64] * 32,
        [b * 100 - 3200 for b in range(64)],
        [0.25, 1.5, 0.0625, 99.5],
        [33.12, -0.01, 33.1, 0.0],
        83.25,
        [890.6, 0.0, 850.0],
    )


def test_a_packed_second_comes_back_equal():
    second = e4_second()
    packed = second.pack()
    assert len(packed) == 261 + 2 * 3
    assert Second.unpack(packed) == second


def test_absent_sensors_come_back_absent():
    second = Second(1000, [], [], [], [])
    back = Second.unpack(second.pack())
    assert back == second
    assert back.heart_rate_bpm is None
    assert not back.bvp


def test_values_outside_a_field_are_clamped():
    back = Second.unpack(Second(0, [300, -300, 0], [99999], [1.0], [9999.0], 9999.0, [99999.0]).pack())
    assert list(back.acc) == [127, -128, 0]
    assert list(back.bvp) == [32767]
    assert back.temperature_c == [327.67]
    assert back.heart_rate_bpm == 655.34
    assert back.intervals_ms == [6553.5]


def test_other_lengths_are_refused():
    packed = e4_second().pack()
    for data, reason in ((b"", "truncated"), (packed[:-1], "truncated"), (packed + b"\0", "trailing")):
        try:
            Second.unpack(data)
        except SecondError as error:
            assert error.reason == reason
        else:
            raise AssertionError("accepted %d bytes" % len(data))


def test_more_samples_than_a_count_can_say_are_refused():
    try:
        Second(0, [], [0] * 256, [], []).pack()
    except SecondError as error:
        assert error.reason == "too_long"
    else:
        raise AssertionError("accepted")
