"""A counter used twice under one key would give away what it seals, and a key that leaks is worse."""

import stat

import pytest
from zenmoon_gateway.errors import GatewayError
from zenmoon_gateway.pairing import BLOCK, COUNTERS, Pairing, Pairings

PAIRING = Pairing(device=0xA1B2C3D4E5F60718, key=bytes(range(32)), key_id=1)


def test_counters_never_repeat_across_crashes(tmp_path):
    Pairings(tmp_path).store(PAIRING)
    seen = []
    for _ in range(3):  # each new reserver is a process that died without a word
        reserve = Pairings(tmp_path).reserver(PAIRING)
        seen += [reserve() for _ in range(BLOCK + 3)]
    assert len(set(seen)) == len(seen)
    assert seen == sorted(seen)


def test_pairing_again_goes_on_counting(tmp_path):
    pairings = Pairings(tmp_path)
    pairings.store(PAIRING)
    used = pairings.reserver(PAIRING)()
    pairings.store(PAIRING)
    assert pairings.reserver(PAIRING)() > used


def test_a_new_key_counts_for_itself_and_an_earlier_one_goes_on(tmp_path):
    pairings = Pairings(tmp_path)
    other = Pairing(device=PAIRING.device, key=bytes(32), key_id=2)
    pairings.store(PAIRING)
    used = [pairings.reserver(PAIRING)() for _ in range(2)]
    pairings.store(other)
    assert pairings.reserver(other)() == 0
    pairings.store(PAIRING)
    assert pairings.reserver(PAIRING)() > max(used)


def test_a_used_up_counter_asks_for_a_new_key(tmp_path):
    Pairings(tmp_path).store(PAIRING)
    Pairings(tmp_path).reserver(PAIRING)()
    next((tmp_path / "wearables").glob("*.counter")).write_text(f"{COUNTERS - BLOCK + 1}\n")
    with pytest.raises(GatewayError, match="pair the wearable with a new key"):
        Pairings(tmp_path).reserver(PAIRING)()


def test_a_damaged_counter_is_never_guessed(tmp_path):
    Pairings(tmp_path).store(PAIRING)
    Pairings(tmp_path).reserver(PAIRING)()
    next((tmp_path / "wearables").glob("*.counter")).write_text("7x\n")
    with pytest.raises(GatewayError, match="new key"):
        Pairings(tmp_path).reserver(PAIRING)


def test_keys_are_readable_by_their_owner_only(tmp_path):
    pairings = Pairings(tmp_path)
    pairings.store(PAIRING)
    pairings.reserver(PAIRING)()
    assert pairings.load() == [PAIRING]
    for path in (tmp_path / "wearables").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


def test_a_damaged_pairing_names_its_file(tmp_path):
    Pairings(tmp_path).store(PAIRING)
    (tmp_path / "wearables" / f"{PAIRING.name}.json").write_text("{")
    with pytest.raises(GatewayError, match=r"a1b2c3d4e5f60718\.json is damaged"):
        Pairings(tmp_path).load()
