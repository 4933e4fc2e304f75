"""What an operator may choose, from the environment (`ZENMOON_…`) and the command line."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from zenmoon_edge.core.clock import Clock


def _clock(text: str) -> str:
    Clock.parse(text)
    return text


def _upper(text: object) -> object:
    return text.upper() if isinstance(text, str) else text


class Settings(BaseSettings):
    """Settings of the service; every one has a default that is safe on one machine."""

    model_config = SettingsConfigDict(env_prefix="ZENMOON_", extra="ignore", populate_by_name=True)

    state: Path = Field(default=Path(".zenmoon"), description="Folder for everything that must survive a restart")
    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("DATABASE_URL", "ZENMOON_DATABASE_URL"),
        description="A PostgreSQL 16 database and a role that may create roles; the embedded server when absent",
    )
    database_secret: SecretStr | None = Field(
        default=None, description="What the role passwords derive from; the password in DATABASE_URL when absent"
    )
    host: str = Field(default="127.0.0.1", description="Address that `serve` listens on")
    port: int = Field(default=8420, ge=0, le=65535, description="Port that `serve` listens on; 0 = a free one")
    clock: Annotated[str, AfterValidator(_clock)] | None = Field(
        default=None, description="utc_ms:monotonic_us:rate of a demo; event time of what parents do. Sessions use real time"
    )
    allowed_origins: list[str] = Field(
        default=[], description="Origins whose pages may write, beside the address the service itself is reached at"
    )
    cookie_secure: bool = Field(default=False, description="Send the session cookie over HTTPS only; set it behind TLS")
    session_lifetime: timedelta = Field(default=timedelta(hours=12), description="Until a session must be refreshed")
    session_limit: timedelta = Field(default=timedelta(days=30), description="Until the password is asked for again")
    body_limit: int = Field(default=4_000_000, ge=1_000, description="Largest request in bytes")
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)] = Field(default="INFO")


def clock_of(settings: Settings) -> Clock:
    """Return the demo's clock where one is set, else the machine's calendar time.

    The latter is asked anew each time: a monotonic clock stands still while a machine sleeps, and a service that is a day
    behind refuses what has just been measured.
    """
    return Clock.parse(settings.clock) if settings.clock else Clock(0, 0, 1, lambda: time.time_ns() // 1000)


def now(clock: Clock) -> datetime:
    """Return the present event time of a clock."""
    return datetime.fromtimestamp(clock.utc_ms() / 1000, UTC)
