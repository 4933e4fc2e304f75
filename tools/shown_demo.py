"""A demo to look at: the one that runs at a given address, or one of its own with a temporary state."""

from __future__ import annotations

import argparse
import contextlib
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parent.parent
ENDS_WITHIN_S = 60
PRINTED = re.compile(
    r"""the\ parents'\ page\s+(?P<address>\S+?)/?\s | ^\s*parent\s+(?P<email>\S+)\s+password\s(?P<password>\S+)""",
    re.MULTILINE | re.VERBOSE,
)


class Shown(NamedTuple):
    """Where a demo's page is, and who may see it."""

    address: str
    email: str
    password: str

    def sign_in(self, page: Page) -> None:
        """Signs in, by the form; returns once the page is live."""
        page.goto(self.address)
        page.get_by_label("E-mail").fill(self.email)
        page.get_by_label("Password").fill(self.password)
        page.get_by_role("button", name="Sign in").click()
        page.locator('#connection[data-state="connected"]').wait_for()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that name a running demo."""
    parser.add_argument("--address", help="of a running demo's page; without it one is started and ended again")
    parser.add_argument("--email", default="parent@example.org", help="as the running demo has printed it")
    parser.add_argument("--password", help="as the running demo has printed it")


@contextlib.contextmanager
def shown(options: argparse.Namespace, *arguments: str) -> Iterator[Shown]:
    """Gives the demo that the options name, else starts one with these arguments and ends it with the block.

    Raises:
        SystemExit: The password is missing, or no demo could be started.
    """
    if options.address:
        if not options.password:
            raise SystemExit("--address needs --password.\nNext: give the one that the demo has printed")
        yield Shown(options.address.rstrip("/"), options.email, options.password)
        return
    with tempfile.TemporaryDirectory(prefix="zenmoon-shown-") as folder:
        Path(folder).chmod(0o711)  # under root the database runs as somebody else
        command = [sys.executable, str(ROOT / "tools" / "demo.py"), "--state", folder, "--port", "0", *arguments]
        # Its own session: Ctrl-C reaches this program, which then ends the demo.
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
            try:
                yield _printed(process)
            finally:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=ENDS_WITHIN_S)


def _printed(process: subprocess.Popen[str]) -> Shown:
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        said += line
        found = {name: text for match in PRINTED.finditer(said) for name, text in match.groupdict().items() if text}
        if len(found) == len(Shown._fields):
            return Shown(**found)
    raise SystemExit("The demo ended before its page was there.\nNext: read the lines above")


def open_page(browser: Browser, demo: Shown, **settings: Any) -> Page:
    """A page of its own context, signed in; settings as for Playwright's contexts."""
    page = browser.new_context(**settings).new_page()
    demo.sign_in(page)
    return page
