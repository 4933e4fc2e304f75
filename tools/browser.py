"""A browser that sees the page as a parent does: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Under root there is no sandbox, in a container often no GPU; and nothing of the browser's own shall ask the network.
SWITCHES = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def chromium() -> str | None:
    """The path of this machine's Chromium, None where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextlib.contextmanager
def opened() -> Iterator[Browser]:
    """A browser without a window; ended with the block.

    Raises:
        SystemExit: There is no Chromium; the message names the next action.
    """
    program = chromium()
    if program is None:
        raise SystemExit("No Chromium on this machine.\nNext: install it (Debian, Ubuntu: `apt install chromium`)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(SWITCHES))
        try:
            yield browser
        finally:
            browser.close()
