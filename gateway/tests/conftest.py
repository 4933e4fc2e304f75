"""Lets the tests of this folder share `wearable_entries.py`, and the scripted wearable of the client's tests."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "edge_sdk" / "tests")]
