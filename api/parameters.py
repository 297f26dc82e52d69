"""Parameters that many routes share: identifiers in addresses, filters, pages of lists."""

from typing import Annotated

from fastapi import Path, Query

from api.schemas.fields import ANY_TEXT

PathId = Annotated[str, Path(max_length=64, pattern=ANY_TEXT)]
QueryId = Annotated[str | None, Query(max_length=64, pattern=ANY_TEXT)]
Cursor = Annotated[str | None, Query(max_length=200, pattern=ANY_TEXT, description="`next_cursor` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=200, description="Rows of a page.")]
