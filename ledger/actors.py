"""Who acts: a user with a role, or the system itself."""

from dataclasses import dataclass
from typing import Literal

from ledger.vocabulary import Role


@dataclass(frozen=True, slots=True)
class Actor:
    """The one responsible for a change; copied into every entry.

    `token_id` names the API token used, `request_id` the HTTP request, `idempotency_digest` the SHA-256 (hex) of the
    request's `Idempotency-Key`.
    """

    kind: Literal["user", "system"]
    id: str
    role: Role
    token_id: str | None = None
    request_id: str | None = None
    idempotency_digest: str | None = None


SYSTEM = Actor(kind="system", id="00000000-0000-7000-8000-000000000000", role=Role.ADMIN)
"""dealbook itself: the command line on the machine that holds the ledger. No rule of access binds it."""
