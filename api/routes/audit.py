"""The log for whoever wants to check it: a deal's entries, the newest checkpoint, proofs, evidence to take away."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from api.dependencies import Reading, ReadingActor, ServiceDep, refuse_cross_site, refuse_unknown_parameters
from api.documentation import EVERYWHERE, READS, WRITES, problems
from api.parameters import Cursor, Limit, PathId
from api.receipts import HEADER
from api.schemas import audit as shapes
from ledger.deal_audit import list_entries
from ledger.dossier.making import make_dossier
from ledger.errors import Invalid
from ledger.log.notes import Checkpoint

router = APIRouter(
    prefix="/api/v1", tags=["audit"], dependencies=[Depends(refuse_unknown_parameters)], responses=EVERYWHERE
)


@router.get("/deals/{deal_id}/audit", responses=READS, summary="A deal's entries in the log")
def list_deal_entries(
    session: Reading,
    actor: ReadingActor,
    deal_id: PathId,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> shapes.ChainPage:
    """In order, with the hashed bytes, so that a client can recompute every hash and follow the chain."""
    rows, next_cursor = list_entries(session, actor, deal_id, cursor=cursor, limit=limit)
    items = [
        shapes.ChainEntry(
            n=row.n,
            seq=row.seq,
            type=row.type,
            at=row.at,
            effective_at=row.effective_at,
            actor_id=row.actor_id,
            hash=row.hash.hex(),
            prev=row.prev.hex(),
            body=row.body.decode(),
        )
        for row in rows
    ]
    return shapes.ChainPage(items=items, next_cursor=next_cursor)


@router.get("/audit/checkpoint", responses=problems(503), summary="The newest checkpoint of the log")
def read_checkpoint(_: ReadingActor, service: ServiceDep) -> shapes.SignedCheckpoint:
    """What is signed by now, seconds after the last change. Keep it: nobody can rewrite what it covers unnoticed."""
    return _describe(service.proofs.newest())


@router.get("/audit/proof/inclusion", responses=problems(503), summary="Proof that an entry is in the log")
def prove_inclusion(
    _: ReadingActor,
    service: ServiceDep,
    n: Annotated[int | None, Query(ge=0, description="The entry's place in the log; the newest unless given.")] = None,
    size: Annotated[int | None, Query(ge=1, description="The size of the log to prove it in.")] = None,
) -> shapes.InclusionProof:
    """In the log of the newest checkpoint, or of an older one of `size` entries that the caller has kept."""
    tree, size, newest = service.proofs.tree_of(size)
    if n is None:
        n = size - 1
    if n >= size:
        raise Invalid(f"Entry {n:,} is not among the first {size:,} that are signed; ask again in some seconds.", "n")
    path = tree.prove_inclusion(n, size)
    return shapes.InclusionProof(
        n=n,
        hash=tree.leaf(n).hex(),
        size=size,
        root=tree.root(size).hex(),
        path=[node.hex() for node in path],
        checkpoint=_describe(newest),
    )


@router.get("/audit/proof/consistency", responses=problems(503), summary="Proof that the log was only added to")
def prove_consistency(
    _: ReadingActor,
    service: ServiceDep,
    from_size: Annotated[int, Query(alias="from", ge=1, description="Size of the older checkpoint.")] = 1,
    to_size: Annotated[
        int | None, Query(alias="to", ge=1, description="Of the newer; the newest's if left out.")
    ] = None,
) -> shapes.ConsistencyProof:
    """From a checkpoint that the caller has kept to a newer one, in which what the older covers stands unchanged."""
    tree, to_size, newest = service.proofs.tree_of(to_size)
    if from_size > to_size:
        raise Invalid(f"A log of {to_size:,} entries has no beginning of {from_size:,}.", "from")
    path = tree.prove_consistency(from_size, to_size)
    return shapes.ConsistencyProof(
        from_size=from_size,
        from_root=tree.root(from_size).hex(),
        to_size=to_size,
        to_root=tree.root(to_size).hex(),
        path=[node.hex() for node in path],
        checkpoint=_describe(newest),
    )


def _take_turn() -> Iterator[None]:
    yield


_TURN = Depends(_take_turn, scope="function", max_concurrency=2)
"""Dossiers are made two at a time: each takes the write lock on its own, and must not wait for it in every thread."""
_ZIP: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The dossier as a .zip; its `verify.py` checks it and says at its top what the files are.",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "/deals/{deal_id}/evidence",
    responses=WRITES | _ZIP,
    response_class=Response,
    dependencies=[Depends(refuse_cross_site), _TURN],
    summary="Make the evidence dossier of a deal",
)
def make_evidence(service: ServiceDep, actor: ReadingActor, deal_id: PathId) -> Response:
    """The deal's entries as they were hashed, with proofs that an outsider checks without access to this system.

    Writes an entry over the heads of all chains and signs the log. Sent again with nothing new in the log, the same
    bytes come back, so it needs no `Idempotency-Key`.
    """
    dossier = make_dossier(service.ledger, actor, deal_id)
    headers = {HEADER: dossier.receipt, "Content-Disposition": f'attachment; filename="{dossier.file_name}"'}
    return Response(dossier.content, media_type="application/zip", headers=headers)


def _describe(checkpoint: Checkpoint) -> shapes.SignedCheckpoint:
    return shapes.SignedCheckpoint(
        origin=checkpoint.origin, size=checkpoint.size, root=checkpoint.root.hex(), note=checkpoint.note
    )
