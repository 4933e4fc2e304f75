"""Passwords: argon2id, computed in threads so that nobody else waits."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

# OWASP's recommended minimum for argon2id (19 MiB, 2 passes, 1 lane): a sign-in costs about 20 ms, and two at once keep
# the process well below its memory bound.
_HASHER = PasswordHash((Argon2Hasher(memory_cost=19_456, time_cost=2, parallelism=1),))
_THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="password")


async def hash_password(password: str) -> str:
    """Return the hash to store, with its parameters and salt."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _HASHER.hash, password)


async def verify_password(password: str, stored: str | None) -> tuple[bool, str | None]:
    """Check a password.

    Args:
        password: As typed.
        stored: The stored hash, None when there is no such guardian: it then takes as long as a wrong password.

    Returns:
        Whether it fits, and a newer hash to store when the parameters have changed since.
    """
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _verify, password, stored)


def _verify(password: str, stored: str | None) -> tuple[bool, str | None]:
    fits, newer = _HASHER.verify_and_update(password, stored or _nobody())
    return fits and stored is not None, newer


@cache
def _nobody() -> str:
    return _HASHER.hash("the password of nobody")
