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


class SignedCheckpoint(Answer):
    """What the log's signer states about it: `note` is the whole signed text (C2SP tlog-checkpoint), the rest reads it.

    The signature is checked with the public key that the agency hands out by another way than this API.
    """

    origin: str = Field(examples=["dealbook/0198c1d2-7c1e-7a43-9d0b-3f6a1c2b4d5e"])
    size: int = Field(examples=[41233])
    root: Hash
    note: str = Field(
        examples=["dealbook/0198…\n41233\nqINS1GRFhWHwdkUeqLEoP4yEMkTBBzxBkGwGQlVlVcs=\n\n— dealbook/0198… Az3grlgt…\n"]
    )


class InclusionProof(Answer):
    """The way from an entry to the root over the first `size` entries (RFC 6962, 2.1.1), the lowest sibling first."""

    n: int = Field(description="The entry's place in the whole log, from 0.", examples=[41230])
    hash: Hash
    size: int = Field(examples=[41233])
    root: Hash
    path: list[Hash]
    checkpoint: SignedCheckpoint = Field(description="The newest; its root is the one above when the sizes are equal.")


class ConsistencyProof(Answer):
    """That the first `from_size` entries are the beginning of the first `to_size` (RFC 6962, 2.1.2)."""

    from_size: int = Field(examples=[41200])
    from_root: Hash
    to_size: int = Field(examples=[41233])
    to_root: Hash
    path: list[Hash]
    checkpoint: SignedCheckpoint = Field(description="The newest; its root is `to_root` when the sizes are equal.")


class ChainPage(Answer):
    """Entries of a deal's chain, the first first."""

    items: list[ChainEntry]
    next_cursor: str | None
