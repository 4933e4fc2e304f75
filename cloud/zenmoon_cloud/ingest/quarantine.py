"""What the quarantine keeps of a refused item. Pure.

An item refused for want of consent is never here: its key is counted in the ledger, its content is kept nowhere. An item refused
for another reason, of a child that is not monitored, is here without its content.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson
from zenmoon_edge.messages import Refusal

from zenmoon_cloud.ingest.kinds import KEY

LONGEST = 16_000
"""Characters of JSON kept of one item: twenty times a record. More is no observation."""

COLUMNS = ("digest", "code", "detail", "item", "kind", "device", "boot", "seq")


WITHHELD = '{"withheld": true}'


def quarantined(
    items: Sequence[object], refusals: Iterable[Refusal], may_stay: Callable[[int | None, int | None], bool]
) -> dict[str, list[Any]]:
    """The quarantine's rows for `refusals`, as columns.

    Args:
        items: the batch's items.
        refusals: which of them were refused, and why.
        may_stay: tells of a device and a time, each None where it is unreadable, whether the item's content may be kept.

    Returns:
        One list a name of `COLUMNS`. `digest` is the same whenever the same observation is refused for the same reason.
    """
    rows = [_row(items[refusal.index], refusal, may_stay) for refusal in refusals if refusal.code != "consent"]
    return {name: [row[at] for row in rows] for at, name in enumerate(COLUMNS)}


def _row(item: object, refusal: Refusal, may_stay: Callable[[int | None, int | None], bool]) -> tuple[object, ...]:
    text = _json(item)
    known = _readable(item) if isinstance(item, Mapping) else {}
    key = tuple(known.get(name) for name in ("device", "boot", "seq"))
    identity = (*key, known.get("payload"))
    what = text if None in identity else repr(identity)
    digest = hashlib.sha256(f"{refusal.code}\0{what}".encode()).digest()
    if not may_stay(known.get("device"), known.get("ts")):
        text = WITHHELD
    return (digest, refusal.code, refusal.detail, text, known.get("kind"), *key)


def _json(item: object) -> str:
    """The item as jsonb can hold it: no NUL, no depth, no length beyond reason."""
    try:
        text = orjson.dumps(item, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # nested more than 254 deep, lone surrogates
        return '{"unreadable": true}'
    text = text.replace("\\u0000", "\\ufffd")
    return text if len(text) <= LONGEST else orjson.dumps({"beginning": text[:LONGEST]}).decode()


def _readable(item: Mapping[Any, Any]) -> dict[str, Any]:
    """The kind and those fields of the key that can be read."""
    kind = item.get("kind")
    found: dict[str, Any] = {}
    if isinstance(kind, str) and kind.isprintable():
        found["kind"] = kind[:40]
    for field in KEY:
        try:
            found[field.name] = field.parse(item.get(field.name))
        except ValueError:
            continue
    return found
