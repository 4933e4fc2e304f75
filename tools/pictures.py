"""Pictures of the page for the README: `make pictures`, or `python tools/pictures.py --address … --password …` of a running demo.

Writes docs/pictures/page-light.png, page-dark.png and page-phone.png.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from browser import opened
from playwright.sync_api import Page, expect
from shown_demo import Shown, add_arguments, open_page, shown

ROOT = Path(__file__).resolve().parent.parent
LARGEST_BYTES = 300_000  # a README is read on phones too
SOON_MS = 60_000  # the demo's wearable has to connect first
SPEED = "12"  # of a demo started for this: its child's test raises an alarm within a minute and a half
ALARM_MS = 240_000
ASKS = 5  # chance may leave a moment alone; a further one is made a minute later by the demo's clock
AGAIN_MS = 6_000

PICTURES: dict[str, dict[str, Any]] = {
    "page-light.png": {"viewport": {"width": 1080, "height": 1290}, "color_scheme": "light"},
    "page-dark.png": {"viewport": {"width": 1080, "height": 1290}, "color_scheme": "dark"},
    "page-phone.png": {"viewport": {"width": 390, "height": 1560}, "color_scheme": "light", "has_touch": True, "is_mobile": True},
}


def until_shown(page: Page) -> None:
    """Waits until every card has something to say."""
    number = re.compile(r"^\d+$")
    expect(page.locator('.now [data-field="strain"]').first).to_have_text(number, timeout=SOON_MS)
    expect(page.locator('.chart [data-field="summary"]').first).to_contain_text("on average", timeout=SOON_MS)
    expect(page.locator(".chart canvas")).not_to_have_count(0)
    expect(page.get_by_role("alert").first).to_be_visible(timeout=ALARM_MS)
    ask, activity = page.get_by_role("button", name="Suggest something now").first, page.locator(".activity").first
    for _ in range(ASKS):
        if activity.inner_text():
            break
        ask.click()
        page.wait_for_timeout(AGAIN_MS)
    expect(page.locator('.recommendation [data-field="given"]').first).not_to_be_empty(timeout=SOON_MS)


def take(demo: Shown, folder: Path) -> list[Path]:
    """Takes every picture; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    with opened() as browser:
        for name, settings in PICTURES.items():
            page = open_page(browser, demo, **settings)
            until_shown(page)
            page.screenshot(path=folder / name, animations="disabled")
            page.context.close()
            taken.append(folder / name)
    return taken


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "pictures", help="where they go")
    options = parser.parse_args()
    with shown(options, "--speed", SPEED) as demo:
        pictures = take(demo, options.folder)
    for picture in pictures:
        print(f"{picture}: {picture.stat().st_size // 1000} kB")
    large = [picture.name for picture in pictures if picture.stat().st_size > LARGEST_BYTES]
    if large:
        print(f"{', '.join(large)} is larger than {LARGEST_BYTES // 1000} kB.\nNext: make its viewport smaller", file=sys.stderr)
    return 1 if large else 0


if __name__ == "__main__":
    sys.exit(main())
