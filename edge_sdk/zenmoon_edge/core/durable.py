"""Writes that survive a loss of power."""

import io

try:
    from os import fsync

    def make_durable(file: "io.BufferedWriter") -> None:
        """Returns once everything written to `file` is on the disk or flash."""
        file.flush()
        fsync(file.fileno())

except ImportError:
    # On MicroPython flush itself reaches the medium: fsync on the desktop port, sync on littlefs.
    def make_durable(file: "io.BufferedWriter") -> None:
        """Returns once everything written to `file` is on the disk or flash."""
        file.flush()
