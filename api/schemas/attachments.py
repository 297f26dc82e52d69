"""Contacts and documents of a deal as clients send and see them."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from api.schemas.deals import Metadata
from api.schemas.fields import ANY_TEXT, MEDIA_TYPE_NAME, TEXT, WEB_ADDRESS, Answer, Identifier, Note, Request, Time

Kind = Annotated[str, Field(min_length=1, max_length=50, pattern=TEXT)]
Short = Annotated[str, Field(min_length=1, max_length=200, pattern=TEXT)]
Address = Annotated[
    str,
    Field(
        max_length=2000,
        pattern=WEB_ADDRESS,
        examples=["https://files.example.com/leases/harbour-12.pdf"],
    ),
]


class NewContact(Request):
    """A person or company on the other side of a deal. At least one field besides the type must be given."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "contact_type": "counterparty",
                    "name": "Grace Teo",
                    "email": "grace@example.com",
                    "company": "Harbour Holdings",
                }
            ]
        }
    )

    contact_type: Kind = "counterparty"
    name: Short | None = None
    email: Annotated[str, Field(max_length=254, pattern=ANY_TEXT)] | None = None
    phone: Annotated[str, Field(max_length=50, pattern=ANY_TEXT)] | None = None
    company: Short | None = None
    notes: Note | None = None


class ContactAnswer(Answer):
    """A contact. Once erased, its personal fields are null for good."""

    id: Identifier
    deal_id: Identifier
    contact_type: str
    name: str | None
    email: str | None
    phone: str | None
    company: str | None
    notes: str | None
    created_at: Time
    erased_at: Time | None


class ContactList(Answer):
    """A deal's contacts, oldest first; always all of them."""

    items: list[ContactAnswer]
    next_cursor: None = None


class NewDocument(Request):
    """A paper of the deal that is kept elsewhere; `sha256` lets anyone check later that it is the same paper."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "document_type": "lease",
                    "title": "Lease, signed",
                    "uri": "https://files.example.com/leases/harbour-12.pdf",
                    "mime_type": "application/pdf",
                }
            ]
        }
    )

    document_type: Kind
    title: Annotated[str, Field(min_length=1, max_length=500, pattern=TEXT)]
    uri: Address
    mime_type: Annotated[str, Field(max_length=100, pattern=MEDIA_TYPE_NAME)] | None = None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = Field(
        default=None, description="Of the document's bytes, in lower-case hex."
    )
    metadata: Metadata | None = None


class DocumentAnswer(Answer):
    """A document. Once erased, title, address and metadata are null for good."""

    id: Identifier
    deal_id: Identifier
    document_type: str
    title: str | None
    uri: str | None
    mime_type: str | None
    sha256: str | None
    metadata: dict[str, Any] | None = Field(validation_alias="metadata_")
    uploaded_by: Identifier
    uploaded_at: Time
    erased_at: Time | None


class DocumentList(Answer):
    """A deal's documents, oldest first; always all of them."""

    items: list[DocumentAnswer]
    next_cursor: None = None
