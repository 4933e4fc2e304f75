"""The embedded server: it must come back after every way its owner, or it itself, may have died."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from zenmoon_cloud.database import binaries
from zenmoon_cloud.database.launcher import EmbeddedPostgres
from zenmoon_cloud.database.unprivileged import as_user, server_account
from zenmoon_cloud.errors import CloudError

OWNER = """
import sys
from pathlib import Path
from zenmoon_cloud.database.launcher import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), settings={"fsync": "off"})
server.start()
print(server.pid, server.url, flush=True)
sys.stdin.read()
"""


def launcher(state: Path, **arguments) -> EmbeddedPostgres:
    return EmbeddedPostgres(state, settings={"fsync": "off"}, **arguments)


def owner(state: Path) -> tuple[subprocess.Popen[str], int, str]:
    """Another process that owns the server; returns it, the server's process id and its URL."""
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(state)], stdin=-1, stdout=-1, text=True)
    assert process.stdout is not None
    pid, url = process.stdout.readline().split()
    return process, int(pid), url


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # An orphan that has ended may wait for its new parent to collect it.
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def write(url: str, number: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (number int)")
        connection.execute("INSERT INTO kept VALUES (%s)", [number])


def read(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT number FROM kept ORDER BY number").fetchall()]


def test_it_starts_cold_and_warm_keeps_its_data_and_stops(state: Path) -> None:
    begin = time.monotonic()
    with launcher(state) as server:
        cold = time.monotonic() - begin
        write(server.url, 1)
        pid = server.pid
        with psycopg.connect(server.url) as connection:
            shown = [connection.execute(f"SHOW {name}").fetchone() for name in ("jit", "synchronous_commit", "timezone")]
        assert shown == [("off",), ("on",), ("UTC",)]
    assert pid is not None
    assert not alive(pid)
    with launcher(state) as server:
        assert read(server.url) == [1]
    assert cold < 20  # 1-3 s on a quiet machine; the bound only catches a hang


def test_it_asks_for_its_password_and_keeps_it_private(state: Path) -> None:
    with launcher(state) as server:
        assert stat.S_IMODE((state / "database.json").stat().st_mode) == 0o600
        assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
        for user in ("postgres", "zenmoon_api"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(f"postgresql://{user}:wrong@127.0.0.1:{server.port}/postgres")


def test_a_killed_owner_leaves_an_orphan_that_the_next_start_ends(state: Path) -> None:
    process, pid, url = owner(state)
    write(url, 1)
    kill(process)
    assert alive(pid)
    with launcher(state) as server:
        assert not alive(pid)
        assert read(server.url) == [1]


def test_a_killed_server_recovers_what_was_committed(state: Path) -> None:
    with launcher(state) as server:
        write(server.url, 1)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
    with launcher(state) as server:
        assert read(server.url) == [1]


def test_a_second_owner_is_refused_and_told_who_the_first_is(state: Path) -> None:
    process, pid, url = owner(state)
    try:
        with pytest.raises(CloudError, match=str(process.pid)) as caught:
            launcher(state).start()
        assert caught.value.reason == "already-running"
        write(url, 1)
        assert alive(pid)
    finally:
        kill(process)
        with launcher(state):
            pass


def test_a_stale_process_id_that_another_program_has_by_now_is_no_obstacle(state: Path) -> None:
    with launcher(state) as server:
        write(server.url, 1)
        data = server.data
    bystander = subprocess.Popen(["sleep", "600"], **as_user(server_account()))
    try:
        (data / "postmaster.pid").write_text(f"{bystander.pid}\n{data}\n0\n5432\n\n127.0.0.1\n")
        with launcher(state) as server:
            assert read(server.url) == [1]
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_an_interrupted_creation_is_begun_again(state: Path) -> None:
    half = state / "postgres.new"
    half.mkdir(parents=True)
    state.chmod(0o711)
    (half / "PG_VERSION").write_text("16\n")
    with launcher(state) as server:
        write(server.url, 1)


def test_a_lost_password_is_named_with_the_next_action(state: Path) -> None:
    with launcher(state):
        pass
    (state / "database.json").unlink()
    with pytest.raises(CloudError, match="Restore the file") as caught:
        launcher(state).start()
    assert caught.value.reason == "no-password"


def test_a_temporary_server_leaves_no_data(state: Path) -> None:
    with launcher(state, temporary=True) as server:
        write(server.url, 1)
    assert not server.data.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="root: only then does the server run as another user")
def test_under_root_a_private_parent_makes_it_use_a_folder_the_server_can_enter(
    tmp_path: Path, open_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    arguments = {"fallback": open_folder / "fallback"}
    with launcher(private / "state", **arguments) as server:
        write(server.url, 1)
        assert server.data.is_relative_to(open_folder)
        assert server.pid is not None
        assert Path(f"/proc/{server.pid}").stat().st_uid != 0
    assert "cannot enter" in caplog.text
    with launcher(private / "state", **arguments) as server:
        assert read(server.url) == [1]
    with launcher(private / "other", temporary=True, **arguments) as server, pytest.raises(psycopg.errors.UndefinedTable):
        read(server.url)
    assert not server.data.parent.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="root: only root can become an ordinary user")
def test_an_ordinary_user_runs_it_as_herself(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = server_account()
    assert account is not None
    # This checkout may lie where that user cannot go; her own would not.
    hers = binaries.programs(account, open_folder / "programs")
    monkeypatch.setattr("zenmoon_cloud.database.launcher.programs", lambda *_: hers)
    state = open_folder / "ordinary"
    state.mkdir()
    os.chown(state, account.uid, account.gid)
    # A fork, because that user need not be able to start this interpreter.
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(account.gid)
            os.setuid(account.uid)
            with launcher(state) as server:
                write(server.url, 1)
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert (state / "database.json").stat().st_uid == account.uid
    with launcher(state) as server:
        assert read(server.url) == [1]


@pytest.mark.skipif(os.geteuid() != 0, reason="root: only then does the server run as another user")
def test_under_root_an_environment_the_server_cannot_enter_is_copied_once(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "reachable", lambda *_: False)
    first = binaries.programs(server_account(), open_folder / "copies")
    assert first.is_relative_to(open_folder)
    assert binaries.programs(server_account(), open_folder / "copies") == first
    said = subprocess.check_output([first / "postgres", "--version"], text=True, cwd="/", **as_user(server_account()))
    assert "PostgreSQL) 16" in said
