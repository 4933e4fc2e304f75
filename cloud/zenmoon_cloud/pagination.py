"""Lists in pages: the cursor is the key of the last row given, so a page never shifts when rows are added."""

import base64
import json
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel

from zenmoon_cloud.problems import Problem

Item = TypeVar("Item")

PAGE = 50
PAGE_LIMIT = 200

Limit = Annotated[int, Query(ge=1, le=PAGE_LIMIT, description="Rows a page")]
Cursor = Annotated[str | None, Query(max_length=400, description="`next_cursor` of the page before")]


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next_cursor: str | None = None


def encode_cursor(key: str) -> str:
    """Write the key of a row as an opaque cursor."""
    return base64.urlsafe_b64encode(json.dumps([key]).encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> str:
    """Return the key in a cursor; the empty text, which sorts before every key, for the first page.

    Raises:
        Problem: 400 when it is no cursor of ours.
    """
    if cursor is None:
        return ""
    try:
        (key,) = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        str(key).encode()  # JSON can name half a surrogate pair, which no text of the database holds
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, str) or "\0" in key:
        raise Problem(400, "bad-cursor", "Bad cursor", "Use `next_cursor` of the page before, or leave the cursor out.")
    return key
