"""The full counts, run by `make soak`: whole real recordings.

Results go to docs/evaluation/soak.json, and an interrupted run resumes.

A result is kept for as long as the code that made it has not changed.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from results import ROOT, Result, Results, code_hash

RESULTS = ROOT / "docs" / "evaluation" / "soak.json"

pytestmark = pytest.mark.soak


def measured(name: str, measure: Callable[[], Result]) -> Result:
    """The result of a measurement, from the file where this code has already made it."""
    results = Results(RESULTS, code_hash())
    return results.current(name) or results.keep(name, measure())


def empty_ibi(folder: Path) -> None:
    next(folder.glob("IBI.csv*")).write_bytes(b"")


def cut_bvp(folder: Path) -> None:
    path = next(folder.glob("BVP.csv*"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


@pytest.mark.parametrize(
    ("name", "spoil"),
    [("S05", None), ("S07", None), ("S12", empty_ibi), ("S16", cut_bvp), ("S20", None), ("S24", None)],
)
def test_a_whole_recording_is_stored_once_at_sixty_times(demo, recording, tmp_path, name, spoil) -> None:  # type: ignore[no-untyped-def]
    def measure() -> Result:
        folder = recording(name)
        if spoil:
            folder = shutil.copytree(folder, tmp_path / name, copy_function=shutil.copyfile)
            folder.chmod(0o755)
            spoil(folder)
        code, output, report = demo("--recording", str(folder), "--speed", "60").result()
        assert report, output
        return {"exit": code, **report}

    result = measured(f"recording {name}" + (f" ({spoil.__name__})" if spoil else ""), measure)
    assert result["exit"] == 0, result
    assert result["records_sent"] == result["records_stored"], result
    assert (result["lost"], result["duplicates"], result["conflicts"]) == (0, 0, 0), result


def test_three_minutes_in_real_time_reach_the_parent_within_a_second(demo, recording) -> None:  # type: ignore[no-untyped-def]
    def measure() -> Result:
        code, output, report = demo("--recording", str(recording("S05")), "--speed", "1", "--limit", "180").result()
        assert report, output
        return {"exit": code, **report}

    result = measured("real time, 180 s", measure)
    assert result["exit"] == 0, result
    assert result["latency_ms"]["p95"] < 1000, result
