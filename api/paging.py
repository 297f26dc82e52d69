"""Pages of lists that come from the published file.

A cursor names the file and how many rows were shown. Rows of a file never change their order, so pages joined are the
list; and a page of another file would mix two publications, so its cursor is refused.
"""

import base64
from collections.abc import Sequence
from typing import Annotated, TypeVar

from fastapi import Query

from api.published import Marts, Span
from api.schemas.fields import ANY_TEXT
from ledger.errors import CursorInvalid

Row = TypeVar("Row")
Limit = Annotated[int, Query(ge=1, le=200, description="Rows of a page.")]
Cursor = Annotated[str | None, Query(max_length=400, pattern=ANY_TEXT, description="`next_cursor` of the page before.")]


def begin_page(marts: Marts, cursor: str | None, limit: int) -> Span:
    """Return which rows to read: one more than the page holds, to know whether another follows.

    Raises `CursorInvalid` for a cursor of another list or of another published file.
    """
    if cursor is None:
        return Span(0, limit + 1)
    try:
        file_name, offset = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split("|")
        span = Span(_read_count(offset), limit + 1)
    except ValueError:
        raise CursorInvalid("This cursor was not made by this list. Begin again without one.", "cursor") from None
    if file_name != marts.file_name:
        raise CursorInvalid("New numbers were published since that page. Begin again without a cursor.", "cursor")
    return span


def end_page(marts: Marts, rows: Sequence[Row], span: Span) -> tuple[Sequence[Row], str | None]:
    """Return the page's rows and the cursor of the next page, None on the last."""
    limit = (span.limit or 1) - 1
    if len(rows) <= limit:
        return rows, None
    place = f"{marts.file_name}|{span.offset + limit}"
    return rows[:limit], base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _read_count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise ValueError(text)
    return int(text)
