"""`dealbook ledger`: where the ledger is kept."""

from __future__ import annotations

from typing import Annotated

import typer

from dealbook_console import AsJson, err, out, print_json, read_settings

ledger_app = typer.Typer(help="Where the ledger is kept.", no_args_is_help=True)


@ledger_app.command("move", epilog="Example: dealbook ledger move --to postgresql://dealbook@db.example.com/dealbook")
def ledger_move(
    to: Annotated[
        str,
        typer.Option(help="Address of an empty database: postgresql://user@host/name, or a file: sqlite:////folder/f."),
    ],
    as_json: AsJson = False,
) -> None:
    """Move the ledger to another database, from SQLite to PostgreSQL or back. Stop the service first. Both end with the
    same log and tables; the former ledger stays, closed to writing. `--to sqlite` means the file in DEALBOOK_HOME."""
    import msgspec

    from dealbook_up import progress_of
    from ledger.moving import move_ledger

    with progress_of(err, "Moving the ledger") as advance:
        source, target = move_ledger(read_settings(), to, on_progress=advance)
    if as_json:
        print_json({"source": msgspec.to_builtins(source), "target": msgspec.to_builtins(target)})
        return
    for word, side in (("from", source), ("to", target)):
        rows = sum(side.rows.values())
        out.print(f"{word:<5}{side.address}", markup=False)
        out.print(
            f"     {side.size:,} entries, root {side.root}, {rows:,} rows in {len(side.rows)} tables", markup=False
        )
    out.print("Both verify; their roots and all their tables are equal.")
    out.print(f"Now set DEALBOOK_LEDGER_URL to {target.address} and start the service.", markup=False)
    out.print("Tokens stay valid; people sign in again. The former ledger is kept and takes no more entries.")
