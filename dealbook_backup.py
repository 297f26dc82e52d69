"""`dealbook backup` and `dealbook restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from dealbook_console import AsJson, out, print_json, read_settings


def backup(
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet; the backup is made in it.")],
    with_keys: Annotated[bool, typer.Option("--with-keys", help="With the keys; else keep them apart.")] = False,
    as_json: AsJson = False,
) -> None:
    """Copy the ledger while it is in use, and verify the copy."""
    from ledger.backup import backup_ledger

    report = backup_ledger(read_settings(), folder, with_keys=with_keys)
    if as_json:
        print_json(msgspec.to_builtins(report))
        return
    out.print(f"{report.folder}: {report.size:,} entries, log verified ({report.verified})", markup=False)
    if not with_keys:
        out.print("Without keys: back up the folder `keys` apart from it, or take --with-keys.", markup=False)


def restore(
    folder: Annotated[Path, typer.Argument(help="A folder that `dealbook backup` made.")],
    force: Annotated[bool, typer.Option("--force", help="Set a ledger that is there aside, and keep it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup back. Stop the service first."""
    from ledger.backup import restore_ledger

    report, kept = restore_ledger(read_settings(), folder, is_forced=force)
    if as_json:
        print_json(msgspec.to_builtins(report) | {"kept": kept})
        return
    out.print(f"Restored {report.size:,} entries, backed up {report.made_at:%Y-%m-%d %H:%M} UTC.", markup=False)
    if kept:
        out.print(f"What was there is kept: {kept}", markup=False)
    out.print("Check it with `dealbook audit verify`, then `dealbook refresh --full`.", markup=False)
