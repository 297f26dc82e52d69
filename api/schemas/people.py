"""People and their tokens as clients see them."""

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field

from api.schemas.fields import ANY_TEXT, TEXT, Answer, Identifier, Request, Time
from ledger.vocabulary import Role

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=TEXT)]


class Me(Answer):
    """Who the caller is, and what they may do at all; over which objects, their role decides."""

    id: Identifier
    name: str
    email: str | None
    role: Role
    actions: list[str]


class NewUser(Request):
    """A member of staff. Nobody has a password: a token or a one-time link lets them in."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Anna Lim", "email": "anna@example.com", "role": "agent"}]}
    )

    name: Name
    email: Annotated[str, Field(max_length=254, pattern=ANY_TEXT)] | None = None
    role: Role


class UserAnswer(Answer):
    """A member of staff."""

    id: Identifier
    name: str
    email: str | None
    role: Role
    active: bool
    created_at: Time
    updated_at: Time


class UserPage(Answer):
    """Users, newest first."""

    items: list[UserAnswer]
    next_cursor: str | None


class NewToken(Request):
    """A token for a user; it may do what the user's role may."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"user_id": "0198c6a2-6f1e-7c7a-9d5e-2f3a4b5c6d7e", "name": "nightly export", "expires_in_days": 90}
            ]
        }
    )

    user_id: Identifier
    name: Annotated[str, Field(min_length=1, max_length=200, pattern=TEXT, description="What it is for.")]
    # JSON Schema calls 90.0 an integer, so it is one here.
    expires_in_days: Annotated[
        int,
        Field(ge=1, le=3650, strict=True),  # before the validator, or the description would not know the bounds
        BeforeValidator(lambda value: int(value) if isinstance(value, float) and value.is_integer() else value),
    ] = 365


class TokenAnswer(Answer):
    """A token without its secret, of which only a digest is kept; `hint` is the secret's last four characters."""

    id: Identifier
    user_id: Identifier
    name: str
    hint: str
    created_at: Time
    expires_at: Time
    revoked_at: Time | None


class NewTokenAnswer(TokenAnswer):
    """A token just made: the only answer that ever holds its secret."""

    token: str | None = Field(
        description="The secret; keep it now. Null when the request is repeated with its `Idempotency-Key`.",
        examples=["dbk_3q2-7w0xkTq0m1zY3bW9Zt8nUe5Rr6Ss7Pp4Oo2Ii1Aa0Bx9K2mP"],
    )


class TokenPage(Answer):
    """Tokens, newest first."""

    items: list[TokenAnswer]
    next_cursor: str | None
