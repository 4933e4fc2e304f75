"""What every replay that went well has in common."""


def assert_balanced(result: tuple[int, str, dict[str, object]], records: int | None = None) -> None:
    code, output, report = result
    assert code == 0, output
    assert report["records_sent"] == report["records_stored"], report
    assert [report[name] for name in ("lost", "duplicates", "conflicts", "refused", "altered")] == [0] * 5, report
    if records is not None:
        assert report["records_sent"] == records
