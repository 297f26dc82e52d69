"""People as clients see them."""

from api.schemas.fields import Answer, Identifier
from ledger.vocabulary import Role


class Me(Answer):
    """Who the caller is, and what they may do at all; over which objects, their role decides."""

    id: Identifier
    name: str
    email: str | None
    role: Role
    actions: list[str]
