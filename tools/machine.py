"""What the demo needs of this machine, and the error that says it is not to be had."""

from __future__ import annotations

import socket


class Unavailable(Exception):  # noqa: N818 - reads as what happened
    """Something that the demo needs of this machine is not to be had; the text names the cause and the next action."""


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_free(port: int) -> None:
    """Raises Unavailable where the service could not listen, before anything is started for it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the service does: a port just given up is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            cause = f"port {port} cannot be used ({error.strerror})."
            raise Unavailable(f"{cause}\nNext: end the program that uses it, or choose another with --port") from error
