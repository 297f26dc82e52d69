"""Entries of the log as clients see them."""

from typing import Annotated

from pydantic import Field

from api.schemas.fields import Answer, Identifier, Time

Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class ChainEntry(Answer):
    """An entry of a deal's chain. `hash` is SHA-256 over a zero byte and the bytes of `body`; `prev` the hash before.

    `n` is its place in the whole log, `body` the canonical JSON exactly as it was hashed.
    """

    n: int
    seq: int
    type: str = Field(examples=["deal.stage_changed"])
    at: Time
    effective_at: Time
    actor_id: Identifier
    hash: Hash
    prev: Hash
    body: str


class ChainPage(Answer):
    """Entries of a deal's chain, the first first."""

    items: list[ChainEntry]
    next_cursor: str | None
