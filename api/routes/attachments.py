"""Contacts and documents of a deal. Deleting one erases what is personal; the log keeps a commitment to what it was."""

from fastapi import APIRouter, Depends, Response
from sqlalchemy.orm import Session

from api.dependencies import Reading, ReadingActor, refuse_unknown_parameters
from api.documentation import EVERYWHERE, READS, WRITES, documented_key
from api.parameters import PathId
from api.receipts import leave_receipt
from api.schemas import attachments as shapes
from api.writing import WriteRoute, writes
from ledger import deals
from ledger.actors import Actor

router = APIRouter(
    prefix="/api/v1/deals/{deal_id}",
    tags=["deals"],
    dependencies=[Depends(refuse_unknown_parameters)],
    responses=EVERYWHERE,
    route_class=WriteRoute,
)


@router.get("/contacts", responses=READS, summary="A deal's contacts")
def list_contacts(session: Reading, actor: ReadingActor, deal_id: PathId) -> shapes.ContactList:
    """Oldest first. Erased ones stay in the list, without anything personal."""
    rows = deals.list_contacts(session, actor, deal_id)
    return shapes.ContactList(items=[shapes.ContactAnswer.model_validate(row) for row in rows])


@router.post("/contacts", status_code=201, responses=WRITES, summary="Add a contact", openapi_extra=documented_key())
@writes
def add_contact(
    session: Session, actor: Actor, deal_id: PathId, body: shapes.NewContact, response: Response
) -> shapes.ContactAnswer:
    """The log's entry holds commitments to the personal fields, not the fields, so that they can be erased."""
    contact = deals.add_contact(session, actor, deal_id, **body.model_dump())
    leave_receipt(session, deal_id, response)
    return shapes.ContactAnswer.model_validate(contact)


@router.delete("/contacts/{contact_id}", status_code=204, responses=WRITES, summary="Erase a contact's personal data")
@writes
def erase_contact(session: Session, actor: Actor, deal_id: PathId, contact_id: PathId, response: Response) -> None:
    """For good; that there was a contact stays, and the log still verifies. Repeating it changes nothing."""
    deals.erase_contact(session, actor, deal_id, contact_id)
    leave_receipt(session, deal_id, response)


@router.get("/documents", responses=READS, summary="A deal's documents")
def list_documents(session: Reading, actor: ReadingActor, deal_id: PathId) -> shapes.DocumentList:
    """Oldest first. Erased ones stay in the list, without title, address and metadata."""
    rows = deals.list_documents(session, actor, deal_id)
    return shapes.DocumentList(items=[shapes.DocumentAnswer.model_validate(row) for row in rows])


@router.post("/documents", status_code=201, responses=WRITES, summary="Add a document", openapi_extra=documented_key())
@writes
def add_document(
    session: Session, actor: Actor, deal_id: PathId, body: shapes.NewDocument, response: Response
) -> shapes.DocumentAnswer:
    """The paper itself stays where `uri` says; give its `sha256` to prove later that it is the same."""
    document = deals.add_document(session, actor, deal_id, **body.model_dump())
    leave_receipt(session, deal_id, response)
    return shapes.DocumentAnswer.model_validate(document)


@router.delete(
    "/documents/{document_id}", status_code=204, responses=WRITES, summary="Erase what is personal in a document"
)
@writes
def erase_document(session: Session, actor: Actor, deal_id: PathId, document_id: PathId, response: Response) -> None:
    """Title, address and metadata go for good; type and digest stay. Repeating it changes nothing."""
    deals.erase_document(session, actor, deal_id, document_id)
    leave_receipt(session, deal_id, response)
