"""What `run` is told, and what it must not believe of its surroundings."""

import time

import pytest
from zenmoon_gateway.errors import GatewayError, Reason
from zenmoon_gateway.settings import check_cloud, parse_clock


def test_the_clock_follows_the_machines_when_that_is_set_or_wakes_up(monkeypatch):
    """The monotonic clock stands still while a laptop sleeps, and knows nothing of the network's time arriving late."""
    clock = parse_clock(None)
    before, true_ns = clock.utc_ms(), time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: true_ns() + 8 * 3600 * 10**9)
    assert clock.utc_ms() - before >= 8 * 3600 * 1000


@pytest.mark.parametrize(
    "url",
    ["http://[::1", "http://127.0.0.1:99999", "http://127.0.0.1:x", "https://cloud example", "https://cloud.example.org/?a=1"],
)
def test_an_address_that_no_request_can_go_to_is_refused(url):
    with pytest.raises(GatewayError, match="Next: give --cloud https://") as caught:
        check_cloud(url)
    assert caught.value.reason is Reason.SETTINGS
