"""`Audit-Receipt: chain;seq;hash`, left with every change: proof for the caller of what was recorded.

Whoever keeps it can later show that the log must hold that entry, whatever anybody makes of the database by then.
"""

from typing import Any

from fastapi import Response
from sqlalchemy.orm import Session

from ledger.log.chain import read_head

HEADER = "Audit-Receipt"
DOCUMENTED: dict[str, Any] = {
    "description": (
        "`chain;seq;hash` of the newest entry that the change wrote: chain of the log, number in that chain, and "
        "SHA-256 of the entry in hex. Keep it: `GET /deals/{deal_id}/audit` must show it for good. A repetition under "
        "the same `Idempotency-Key` carries the same receipt."
    ),
    "required": True,
    "schema": {"type": "string", "pattern": "^[a-z0-9:-]+;[1-9][0-9]*;[0-9a-f]{64}$"},
    "example": f"deal:0198c1d2-7c1e-7a43-9d0b-3f6a1c2b4d5e;3;{'9f86d081884c7d65' * 4}",
}
"""How OpenAPI describes the header at each change."""


def leave_receipt(session: Session, deal_id: str, response: Response) -> None:
    """Put the receipt of the deal's newest entry into the answer."""
    leave_receipt_of(session, f"deal:{deal_id}", response)


def leave_receipt_of(session: Session, chain: str, response: Response) -> None:
    """Put the receipt of the newest entry of any chain into the answer."""
    head = read_head(session, chain)
    if head is None:
        raise LookupError(f"The chain {chain} has no entry to give a receipt of.")
    response.headers[HEADER] = f"{chain};{head[0]};{head[1].hex()}"
