"""Finds tables by their columns, whatever their files are called; files that are something else are passed over."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from zenmoon_models.errors import ModelsError

Row = dict[str, str]


def text_tables(folder: Path, *columns: str) -> list[Path]:
    """Every .csv or .csv.gz of a folder whose first line names these columns, in any order and among others.

    Raises:
        ModelsError: `data` when it is no folder.
    """
    if not folder.is_dir():
        raise ModelsError("data", f"{folder} is no folder: name the one that holds the recordings with --data")
    return [path for path in _files(folder, ".csv", ".csv.gz") if {*columns} <= {*_header(path)}]


def parquet_tables(folder: Path, *columns: str) -> list[Path]:
    """Every .parquet of a folder that has these columns; none where pyarrow is not installed.

    Raises:
        ModelsError: `extra` when there are such files and pyarrow is not installed.
    """
    files = _files(folder, ".parquet")
    return [path for path in files if {*columns} <= {*_schema(path)}]


def rows(path: Path) -> Iterator[Row]:
    """The rows of a text table, a column name to its text.

    Raises:
        ModelsError: `data` when the file ends or breaks in the middle, or is no text.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
        table = csv.DictReader(io.StringIO(text), skipinitialspace=True)
        table.fieldnames = [name.strip() for name in table.fieldnames or []]  # as `_header` found them
        yield from table
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise ModelsError("data", f"{path} cannot be read to its end ({error}): restore the table") from error


def _files(folder: Path, *endings: str) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.endswith(endings) and path.is_file())


def _header(path: Path) -> list[str]:
    """The column names; none where the file cannot be read so far: then it is no table that anybody could have meant."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            line = file.readline(1 << 16).decode("utf-8-sig")
        return [name.strip() for name in next(csv.reader([line]), [])]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error):
        return []


def _schema(path: Path) -> list[str]:
    try:
        parquet, arrow = import_module("pyarrow.parquet"), import_module("pyarrow")
    except ImportError as error:
        raise ModelsError("extra", f"{path.name} needs pyarrow: run `pip install 'zenmoon-models[datasets]'`") from error
    try:
        return list(parquet.read_schema(path).names)
    except (arrow.ArrowException, OSError):
        return []
