"""The page for people names every setting, and no other."""

import re
from pathlib import Path

from zenmoon.settings import FIELDS

PAGE = Path(__file__).parents[2] / "docs/firmware.md"


def test_the_table_of_settings_is_complete():
    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert sorted(name for row in rows for name in re.findall(r"`(\w+)`", row)) == sorted(FIELDS)
