"""The embedded PostgreSQL: our own launcher over the programs of a Python wheel.

One process owns a data folder at a time (a lock file), the server is its direct child, it listens on the loopback
interface with passwords only, and every way the owner may have died is put right by the next start.
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from zenmoon_cloud.database.binaries import ENVIRONMENT, programs
from zenmoon_cloud.database.orphan import end_orphan
from zenmoon_cloud.database.unprivileged import Account, as_user, reachable, server_account
from zenmoon_cloud.errors import CloudError

logger = logging.getLogger(__name__)

SUPERUSER = "postgres"
SERVER_SETTINGS: dict[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "synchronous_commit": "on",  # an acknowledged record must survive a crash
    "fsync": "on",
    "jit": "off",  # short queries: compiling costs more than it saves
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_parameter_max_length": "0",  # parameters are personal data
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",  # DETAIL lines repeat the values of a row
    "log_min_error_statement": "panic",
}
START_TIMEOUT_S = 60.0  # crash recovery of a large write-ahead log takes seconds
STOP_TIMEOUT_S = 20.0
POLL_S = 0.02
LOG_LIMIT_BYTES = 8_000_000
PORT_ATTEMPTS = 3  # another program may take the free port between our look and the server's


class EmbeddedPostgres:
    """A PostgreSQL 16 server that belongs to this process; a context manager.

    Args:
        state: Folder for everything the server keeps. Created when absent.
        database: Name of the database that `url` names; created when absent.
        settings: Server settings that replace or extend `SERVER_SETTINGS`.
        fallback: Where root keeps the data when `state` lies in a folder that the server's user cannot enter.
        temporary: Remove the data once the server has stopped.
    """

    def __init__(
        self,
        state: Path,
        *,
        database: str = "zenmoon",
        settings: dict[str, str] | None = None,
        fallback: Path | None = None,
        temporary: bool = False,
    ) -> None:
        self.state = state.resolve()
        self.database = database
        self.settings = SERVER_SETTINGS | (settings or {})
        self.port = 0
        self.data = self.state / "postgres"
        self._fallback = fallback
        self._temporary = temporary
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._password = ""

    def __enter__(self) -> "EmbeddedPostgres":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The superuser's URL of the database. It holds a password: never log it."""
        return self.url_of(self.database)

    @property
    def pid(self) -> int | None:
        """Process id of the server, None while it is stopped."""
        return self._process.pid if self._process else None

    def url_of(self, database: str) -> str:
        """Return the superuser's URL of another database of this server."""
        return f"postgresql://{SUPERUSER}:{self._password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it answers; a cold start creates the data folder.

        Raises:
            CloudError: ``already-running``, ``no-server``, ``no-account``, ``no-password``, ``initdb`` or ``start``.
        """
        self.state.mkdir(parents=True, exist_ok=True, mode=0o711)
        self._take_lock()
        try:
            account = server_account()
            self.data = self._home(account) / "postgres"
            folder = programs(account, self._shared_fallback())
            end_orphan(self.data)
            self._password = self._read_password()
            if not self.data.exists():
                self._create(folder, account)
            self._launch(folder, account)
            self._create_database()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server: fast shutdown, then immediate, then by force; data stays consistent in every case."""
        process, self._process = self._process, None
        if process is not None:
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_TIMEOUT_S)
                    break
            if self._temporary:
                shutil.rmtree(self.data)
                if self.data.parent != self.state:
                    self.data.parent.rmdir()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take_lock(self) -> None:
        path = self.state / "postgres.lock"
        self._lock = path.open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.seek(0)
            owner = self._lock.read().strip() or "unknown"
            self._lock.close()
            self._lock = None
            raise CloudError(
                "already-running",
                f"The database in {self.state} is in use by process {owner}. "
                "Stop that process, or choose another folder with ZENMOON_STATE.",
            ) from None
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()

    def _shared_fallback(self) -> Path:
        """Return a folder that every user can enter and that only root writes to."""
        if self._fallback is None:
            system = Path("/var/lib")
            parent = system if os.access(system, os.W_OK) else Path(tempfile.gettempdir())
            self._fallback = parent / "zenmoon"
        return self._fallback

    def _home(self, account: Account | None) -> Path:
        """Return the folder that holds the data folder: the state, or for root a place its server can reach."""
        if account is None or reachable(self.state, account):
            return self.state
        home = self._shared_fallback() / hashlib.sha256(str(self.state).encode()).hexdigest()[:16]
        for folder in (home.parent, home):
            folder.mkdir(parents=True, exist_ok=True, mode=0o711)
            if folder.stat().st_uid != 0:
                raise CloudError("foreign-folder", f"{folder} belongs to another user. Remove it, or start ZenMoon as that user.")
        logger.warning("database kept in %s: user %s cannot enter %s", home, account.name, self.state)
        return home

    def _read_password(self) -> str:
        path = self.state / "database.json"
        if path.exists():
            return str(json.loads(path.read_text())["password"])
        if self.data.exists():
            raise CloudError(
                "no-password",
                f"{path} is missing, and without it the data in {self.data} cannot be opened. "
                "Restore the file, or remove the data folder to start empty.",
            )
        password = secrets.token_urlsafe(32)
        unfinished = path.with_suffix(".new")
        unfinished.touch(mode=0o600)
        unfinished.chmod(0o600)
        unfinished.write_text(json.dumps({"password": password}))
        unfinished.rename(path)
        return password

    def _create(self, folder: Path, account: Account | None) -> None:
        """Run initdb beside the final place and rename, so that an interrupted one leaves no half data folder."""
        unfinished = self.data.parent / "postgres.new"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=self.data.parent, prefix="initdb-") as password:
            password.write(self._password)
            password.flush()
            if account:
                os.chown(unfinished, account.uid, account.gid)
                os.chown(password.name, account.uid, account.gid)
            command = [str(folder / "initdb"), "-D", str(unfinished), "-U", SUPERUSER, "-A", "scram-sha-256"]
            command += [f"--pwfile={password.name}", "-E", "UTF8", "--locale=C", "--no-instructions"]
            result = subprocess.run(
                command, check=False, capture_output=True, text=True, cwd="/", env=ENVIRONMENT, **as_user(account)
            )
        if result.returncode != 0:
            raise CloudError("initdb", f"Creating the database in {self.data.parent} failed: {result.stderr.strip()[-600:]}")
        unfinished.rename(self.data)

    def _launch(self, folder: Path, account: Account | None) -> None:
        log = self.state / "postgres.log"
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.rename(log.with_suffix(".log.1"))
        for attempt in range(PORT_ATTEMPTS):
            self.port = _free_port()
            start = log.stat().st_size if log.exists() else 0
            command = [str(folder / "postgres"), "-D", str(self.data), "-c", f"port={self.port}"]
            for name, value in self.settings.items():
                command += ["-c", f"{name}={value}"]
            with log.open("ab") as sink:
                # Its own session: Ctrl-C in a terminal must reach the owner only, which then stops the server in order.
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
                    cwd="/", env=ENVIRONMENT, start_new_session=True, **as_user(account),
                )  # fmt: skip
            if self._wait_ready():
                return
            said = log.read_bytes()[start:].decode(errors="replace")
            self._process = None
            if "Address already in use" not in said or attempt == PORT_ATTEMPTS - 1:
                raise CloudError("start", f"PostgreSQL did not start. Its last words, from {log}:\n{said.strip()[-800:]}")

    def _wait_ready(self) -> bool:
        """Wait until the server accepts a connection; False when it ended instead."""
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return False
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self._conninfo(SUPERUSER)):
                return True
            time.sleep(POLL_S)
        raise CloudError("start", f"PostgreSQL did not answer within {START_TIMEOUT_S:.0f} s. See {self.state}/postgres.log.")

    def _conninfo(self, database: str) -> str:
        return make_conninfo(self.url_of(database), connect_timeout=5)

    def _create_database(self) -> None:
        with psycopg.connect(self._conninfo(SUPERUSER), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [self.database]).fetchone()
            if not found:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.database)))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
