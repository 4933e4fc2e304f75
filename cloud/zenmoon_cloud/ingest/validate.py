"""Reads the items of a batch by columns. Pure: no clock, no database.

One item's flaw never touches its neighbours: it leaves with the code `bad_value` or `unknown_kind`, the others go on as columns.
Keys that an item has beyond those of its kind are ignored, so that an older cloud takes what a newer gateway sends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

from zenmoon_edge.messages import Refusal

from zenmoon_cloud.ingest.contradictions import without_quality
from zenmoon_cloud.ingest.fields import MISSING, Number, Wrong, read
from zenmoon_cloud.ingest.kinds import KINDS


@dataclass(slots=True)
class Columns:
    """Valid items of one kind, by columns of equal length.

    Attributes:
        kind: name of the kind, a key of `KINDS`.
        index: position of each item in the batch, rising.
        values: field name → values. Identifiers are int8, `ts` is microseconds since 1970 UTC, the rest is in physical units.
    """

    kind: str
    index: list[int]
    values: dict[str, list[Any]]

    def __len__(self) -> int:
        return len(self.index)

    def only(self, keep: Sequence[bool]) -> "Columns":
        """The items where `keep` is true."""
        return Columns(
            self.kind,
            list(compress(self.index, keep)),
            {name: list(compress(column, keep)) for name, column in self.values.items()},
        )


def validate(items: Sequence[object]) -> tuple[list[Columns], list[Refusal]]:
    """Splits `items` by kind and reads each kind's columns.

    Returns:
        One `Columns` a kind that has valid items, and a refusal for each other item, by rising index.
    """
    refusals: list[Refusal] = []
    by_kind: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        kind = item.get("kind", MISSING) if isinstance(item, Mapping) else MISSING
        if isinstance(kind, str) and kind in KINDS:
            by_kind.setdefault(kind, []).append(index)
        elif isinstance(kind, str):
            refusals.append(Refusal(index, "unknown_kind", f"kind {kind[:40]!r} is not stored by this cloud"))
        else:
            reason = "kind is missing or not a text" if isinstance(item, Mapping) else "is not an object"
            refusals.append(Refusal(index, "bad_value", reason))
    columns = []
    for kind, positions in by_kind.items():
        read_kind, wrong = _columns(kind, positions, items)
        refusals += [Refusal(positions[at], "bad_value", detail) for at, detail in wrong.items()]
        if len(read_kind):
            columns.append(read_kind)
    return columns, sorted(refusals, key=lambda refusal: refusal.index)


def _columns(kind: str, index: list[int], items: Sequence[Any]) -> tuple[Columns, Wrong]:
    """Reads the items at `index`, all of one kind. An item keeps its first flaw only."""
    chosen = [items[i] for i in index]
    values: dict[str, list[Any]] = {}
    wrong: Wrong = {}
    for field in KINDS[kind].fields:
        try:
            column = [item[field.name] for item in chosen]
        except KeyError:
            absent = None if isinstance(field, Number) and field.optional else MISSING
            column = [item.get(field.name, absent) for item in chosen]
        values[field.name], flaws = read(field, column)
        wrong = flaws | wrong
    if "quality" in values:
        wrong = without_quality(KINDS[kind].own, values) | wrong
    if check := KINDS[kind].check:
        wrong = check(values) | wrong
    columns = Columns(kind, index, values)
    if wrong:
        columns = columns.only([position not in wrong for position in range(len(index))])
    return columns, wrong
