"""The yardstick of `dealbook bench` for moves: the route's shape, and one row committed to SQLite, nothing else.

python -m orchestration.one_row_service FILE.sqlite3
"""

import sqlite3
import sys
import threading
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Header
from pydantic import BaseModel

from ledger.collection import collect_seldom
from ledger.vocabulary import PipelineStage


class Move(BaseModel):
    """Where to move the deal."""

    to_stage: PipelineStage
    note: str | None = None


class Moved(BaseModel):
    """The row that was written."""

    n: int
    deal_id: str
    to_stage: PipelineStage


def create_one_row_service(path: str) -> FastAPI:
    """Return the app: each move inserts and commits one row at `synchronous = FULL`, one writer at a time."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE moves (n INTEGER PRIMARY KEY, deal_id TEXT NOT NULL, to_stage TEXT NOT NULL)")
    lock = threading.Lock()
    app = FastAPI()

    @app.post("/api/v1/deals/{deal_id}/stage")
    def advance_stage(deal_id: str, body: Move, if_match: Annotated[str, Header()]) -> Moved:  # noqa: ARG001 - asked for, as there
        with lock:
            connection.execute("BEGIN IMMEDIATE")
            row = connection.execute(
                "INSERT INTO moves (deal_id, to_stage) VALUES (?, ?)", (deal_id, body.to_stage.value)
            )
            connection.execute("COMMIT")
        return Moved(n=row.lastrowid or 0, deal_id=deal_id, to_stage=body.to_stage)

    return app


def main() -> None:
    """Serve on a free port and print the address."""
    config = uvicorn.Config(create_one_row_service(sys.argv[1]), port=0, log_level="warning", server_header=False)
    listener = config.bind_socket()
    sys.stdout.write(f"Serving on http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    collect_seldom()  # as `dealbook serve` does
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
