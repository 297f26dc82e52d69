"""What all verbs of the command line share: the two consoles, the settings, the ledger, and how input is read."""

from __future__ import annotations

import json
import sys
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from ledger.settings import Settings, get_settings

if TYPE_CHECKING:
    from ledger.store import Ledger

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document for scripts.")]


def read_settings() -> Settings:
    """Read the settings; a wrong one is named as the variable that holds it."""
    try:
        return get_settings()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"])
            err.print(
                f"DEALBOOK_{name.upper()}={problem['input']}: {problem['msg']}. See docs/operate.md.", markup=False
            )
        raise typer.Exit(2) from error


def read_day(text: str) -> date | None:
    """Read a day from the command line; none for an empty text."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        err.print(f"{text!r} is not a day. Write it as YYYY-MM-DD, for example 2026-03-31.", markup=False)
        raise typer.Exit(2) from error


def open_ledger(settings: Settings) -> Ledger:
    """Open the ledger, making it first where there is none yet."""
    from ledger.store import initialise

    return initialise(settings)


def print_json(document: Any) -> None:
    """Print one JSON document, for scripts."""
    sys.stdout.write(json.dumps(document, default=str, indent=2) + "\n")
