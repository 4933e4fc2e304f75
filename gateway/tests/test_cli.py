"""The commands a person types: what goes wrong is said in one line with the next action, and never with a key or token."""

import json
import stat
import subprocess
import sys

import pytest
from zenmoon_gateway.state import Lock

DEVICE = "a1b2c3d4e5f60718"
KEY = "00112233445566778899aabbccddeeff" * 2


def gateway(home, *words, **options):
    command = [sys.executable, "-m", "zenmoon_gateway.cli", *words]
    return subprocess.run(
        command, env={"ZENMOON_GATEWAY_HOME": str(home)}, capture_output=True, text=True, timeout=30, check=False, **options
    )


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def credentials(tmp_path):
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps({"gateway_id": "gw_1", "token": "secret-token"}))
    return path


def paired(home, tmp_path, key=KEY):
    path = tmp_path / "key"
    path.write_text(key + "\n")
    return gateway(home, "pair", "--device", DEVICE, "--key-file", str(path), "--key-id", "1")


def test_pair_keeps_the_key_for_its_owner_only(home, tmp_path):
    result = paired(home, tmp_path)
    assert result.returncode == 0, result.stderr
    stored = home / "wearables" / f"{DEVICE}.json"
    assert json.loads(stored.read_text()) == {"device": DEVICE, "key": KEY, "key_id": 1}
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert KEY not in result.stdout + result.stderr


@pytest.mark.parametrize("key", [KEY[:-2], KEY + "00", "x" * 64, ""], ids=["short", "long", "not_hex", "empty"])
def test_pair_refuses_a_key_of_the_wrong_length_with_the_next_action(home, tmp_path, key):
    result = paired(home, tmp_path, key)
    assert result.returncode == 2
    assert "a key is 64 hex digits or 32 bytes. Next: " in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (home / "wearables").exists()
    assert key == "" or key not in result.stderr


def test_pair_refuses_a_device_that_is_none(home, tmp_path):
    (tmp_path / "key").write_text(KEY)
    result = gateway(home, "pair", "--device", "0718", "--key-file", str(tmp_path / "key"))
    assert result.returncode == 2
    assert "16 hex digits" in result.stderr


def test_status_without_any_state_shows_nothing_and_creates_nothing(home):
    result = gateway(home, "status", "--json")
    assert result.returncode == 0, result.stderr
    content = json.loads(result.stdout)
    assert content["running"] is False
    assert content["outbox"]["depth"] == content["redelivered"] == content["refused"] == content["dead_letters"] == 0
    assert content["last_acknowledgement"] is None
    assert not home.exists()


def test_status_is_readable_too(home, tmp_path):
    paired(home, tmp_path)
    result = gateway(home, "status")
    assert result.returncode == 0, result.stderr
    assert "not running" in result.stdout
    assert DEVICE in result.stdout


def test_status_of_a_damaged_outbox_says_what_to_do(home):
    home.mkdir()
    (home / "outbox.db").write_bytes(b"nonsense " * 1000)
    content = json.loads(gateway(home, "status", "--json").stdout)
    assert "Next: start `run`" in content["outbox"]["error"]


def test_run_without_a_pairing_names_the_next_command(home, credentials):
    result = gateway(home, "run", "--cloud", "http://127.0.0.1:1", "--credentials", str(credentials))
    assert result.returncode == 2
    assert "Next: zenmoon-gateway pair" in result.stderr


def test_run_sends_nothing_unencrypted_to_another_machine(home, credentials):
    result = gateway(home, "run", "--cloud", "http://cloud.example.org", "--credentials", str(credentials))
    assert result.returncode == 2
    assert "https://" in result.stderr


@pytest.mark.parametrize("content", ["", "[]", '{"gateway_id": "gw_1"}', '{"gateway_id": "gw_1", "token": "a\\nb"}'])
def test_run_refuses_credentials_it_cannot_use(home, tmp_path, content):
    path = tmp_path / "credentials.json"
    path.write_text(content)
    result = gateway(home, "run", "--cloud", "http://127.0.0.1:1", "--credentials", str(path))
    assert result.returncode == 2
    assert "Next: enroll this gateway again" in result.stderr


@pytest.mark.parametrize("command", ["pair", "run"])
def test_a_home_that_cannot_be_made_is_said_in_one_line(tmp_path, credentials, command):
    (tmp_path / "file").touch()
    (tmp_path / "key").write_text(KEY)
    options = {
        "pair": ("--device", DEVICE, "--key-file", str(tmp_path / "key")),
        "run": ("--cloud", "http://127.0.0.1:1", "--credentials", str(credentials)),
    }
    result = gateway(tmp_path / "file", command, *options[command])
    assert result.returncode == 1
    assert "Next: " in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_run_on_a_damaged_lock_does_not_claim_that_another_one_runs(home, tmp_path, credentials):
    paired(home, tmp_path)
    (home / "run.lock").mkdir()
    result = gateway(home, "run", "--cloud", "http://127.0.0.1:1", "--credentials", str(credentials))
    assert result.returncode == 1
    assert "already running" not in result.stderr
    assert "Next: " in result.stderr


@pytest.mark.parametrize("name", ["outbox.db", "wearables/a1b2c3d4e5f60718.json"])
def test_run_on_a_file_that_cannot_be_opened_says_so_in_one_line(home, tmp_path, credentials, name):
    paired(home, tmp_path)
    (home / name).unlink(missing_ok=True)
    (home / name).mkdir()
    result = gateway(home, "run", "--cloud", "http://127.0.0.1:1", "--credentials", str(credentials))
    assert result.returncode == 1
    assert name in result.stderr
    assert "Next: " in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_status_of_a_gateway_that_is_just_starting(home, tmp_path):
    paired(home, tmp_path)
    lock = Lock(home)
    lock.take()
    try:
        result = gateway(home, "status")
    finally:
        lock.release()
    assert result.returncode == 0, result.stderr
    assert "starting" in result.stdout


def test_run_refuses_a_clock_that_is_none(home, credentials):
    result = gateway(home, "run", "--cloud", "http://127.0.0.1:1", "--credentials", str(credentials), "--clock", "noon")
    assert result.returncode == 2
    assert "--clock utc_ms:monotonic_us:rate" in result.stderr


def test_status_is_quick(home):
    """It is asked by scripts and looked at by people: no Bluetooth and no HTTP library is loaded for it."""
    code = "import pathlib, sys; from zenmoon_gateway import cli, status; status.collect(pathlib.Path()); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=home.parent)
    assert not {"bleak", "httpx", "bumble", "cryptography"} & set(done.stdout.split())
