"""`dealbook audit`: the tamper-evident log."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dealbook_console import AsJson, err, open_ledger, out, print_json, read_settings

audit_app = typer.Typer(help="The tamper-evident log.", no_args_is_help=True)
keys_app = typer.Typer(help="The keys that sign the log.", no_args_is_help=True)
audit_app.add_typer(keys_app, name="keys")


@audit_app.command("verify", epilog="Example: dealbook audit verify --against /mnt/elsewhere/checkpoints --state")
def audit_verify(
    deal: Annotated[str, typer.Option(help="Verify this deal's chain alone, within the whole tree.")] = "",
    since_last: Annotated[
        bool, typer.Option("--since-last", help="Only entries since the last checkpoint; quick.")
    ] = False,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint, folder of checkpoints or published file kept elsewhere; may be repeated."),
    ] = None,
    state: Annotated[bool, typer.Option("--state", help="Compare the ledger's tables with the log, too.")] = False,
    vkey: Annotated[
        list[str] | None, typer.Option(help="Public key got by another way; those in `keys` unless given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute every hash, walk every chain, compare with every checkpoint. Exit codes: 0 sound, 1 tampered with,
    2 cannot decide."""
    from ledger.log.audit import audit_log
    from ledger.log.audit_report import render_report, report_document
    from ledger.log.keys import PublicKey
    from ledger.log.witnesses import read_outside_witnesses
    from ledger.store import Ledger

    missing = [str(path) for path in against or [] if not path.exists()]
    if missing:
        err.print(f"There is nothing at {', '.join(missing)}.", markup=False)
        raise typer.Exit(2)
    settings = read_settings()
    outside = [witness for path in against or [] for witness in read_outside_witnesses(path)]
    ledger = Ledger.open(settings=settings)
    with ledger.read() as session:
        report = audit_log(
            session,
            settings,
            deal_id=deal or None,
            since_last=since_last,
            outside=outside,
            with_state=state,
            vkeys=[PublicKey.parse(line) for line in vkey or []],
        )
    if against and not outside:
        report.undecided.append("there is no checkpoint in what --against names")
    if as_json:
        print_json(report_document(report))
    else:
        out.print(render_report(report), markup=False)
    raise typer.Exit(report.exit_code)


@audit_app.command("fold", epilog="Example: dealbook audit fold --dry-run")
def audit_fold(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what differs; change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make the ledger's tables again from the log alone, from nothing. Exit code 1: with --dry-run where they differ,
    and where the log itself is not sound, for then nothing is changed."""
    from dataclasses import asdict

    from ledger.log.audit import audit_log
    from ledger.log.audit_report import render_report
    from ledger.rebuild import compare_tables, restore_tables
    from ledger.store import Ledger

    settings = read_settings()
    ledger = Ledger.open(settings=settings)
    with ledger.read() if dry_run else ledger.write() as session:
        report = audit_log(session, settings)
        if report.findings:
            err.print(render_report(report), markup=False)
            err.print("The log is not sound, so no tables are made from it. See docs/verify-the-log.md.")
            raise typer.Exit(1)
        differences = compare_tables(session) if dry_run else restore_tables(session)
    if as_json:
        print_json([asdict(each) for each in differences])
    else:
        for each in differences:
            place = f"{each.table}, row {each.id}" + (f", column {each.column}" if each.column else "")
            out.print(f"{place}: the log says {each.expected!s:.80}, the table {each.found!s:.80}", markup=False)
        doing = "differ" if dry_run else "were put right"
        out.print(f"{report.entries:,} entries folded; {len(differences):,} places {doing}.")
    raise typer.Exit(1 if dry_run and differences else 0)


@audit_app.command("checkpoint", epilog="Example: dealbook audit checkpoint > /mnt/elsewhere/checkpoint")
def audit_checkpoint() -> None:
    """Sign the log as it stands and print the checkpoint, to be kept where nobody who edits the ledger reaches it."""
    from ledger.log.checkpoint import make_checkpoint

    sys.stdout.write(make_checkpoint(open_ledger(read_settings())).note)


@audit_app.command("key", epilog="Example: dealbook audit key")
def audit_key() -> None:
    """Print the public keys of the log, to be handed to whoever verifies it."""
    from ledger.log.keys import trusted_keys

    settings = read_settings()
    open_ledger(settings)
    for key in trusted_keys(settings.keys_dir).values():
        sys.stdout.write(key.vkey + "\n")


@audit_app.command("recover", epilog='Example: dealbook audit recover --accept-loss --reason "disk failed on 3 May"')
def audit_recover(
    reason: Annotated[str, typer.Option(help="Why entries are lost; it goes into the log.")],
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Say that what was signed and is missing is lost for good.")
    ] = False,
) -> None:
    """Go on with a ledger that lacks signed entries, for example an old backup; the loss is written into the log."""
    from ledger.actors import SYSTEM
    from ledger.log.checkpoint import recover_log

    if not accept_loss:
        err.print("Signed entries would be given up for good. If no newer copy is left, say --accept-loss.")
        raise typer.Exit(2)
    checkpoint = recover_log(open_ledger(read_settings()), SYSTEM, reason)
    out.print(f"The loss is written into the log, which holds {checkpoint.size:,} entries and is signed again.")


@audit_app.command("dossier", epilog="Example: dealbook audit dossier 0198c1d2-7c1e-7a43-9d0b-3f6a1c2b4d5e --out d.zip")
def audit_dossier(
    deal: Annotated[str, typer.Argument(help="The deal's id.")],
    out_file: Annotated[
        Path | None, typer.Option("--out", help="The .zip to write; dossier-<id>.zip if not given.")
    ] = None,
) -> None:
    """Write the evidence about a deal, to be checked by an outsider: its entries, proofs, a page, and the program that
    checks them. Hand the public key over by another way: dealbook audit key."""
    from ledger.actors import SYSTEM
    from ledger.dossier.making import make_dossier
    from ledger.log.keys import write_private

    if out_file is not None and out_file.exists():
        err.print(f"{out_file} exists and is left alone. Give another name, or remove it first.", markup=False)
        raise typer.Exit(2)
    dossier = make_dossier(open_ledger(read_settings()), SYSTEM, deal)
    path = out_file or Path(dossier.file_name)
    write_private(path, dossier.content)
    out.print(f"{path}: {dossier.entries:,} entries. Check it with: python3 verify.py --key KEY {path}", markup=False)


@keys_app.command("list", epilog="Example: dealbook audit keys list")
def keys_list(as_json: AsJson = False) -> None:
    """List the keys that have signed the log, the oldest first, and how each stands."""
    from ledger.log.key_history import KeyHistory
    from ledger.log.keys import PublicKey

    with open_ledger(read_settings()).read() as session:
        history = KeyHistory.of(session)
    rows = [
        {
            "key_id": PublicKey.parse(event.key).key_id.hex(),
            "vkey": event.key,
            "introduced_at": event.at,
            "standing": history.describe(event.key),
        }
        for event in history.events
        if event.type != "key.revoked"
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        out.print(f"{row['key_id']}  since {row['introduced_at'][:10]}  {row['standing']}", markup=False)
        out.print(f"          {row['vkey']}", markup=False)


@keys_app.command("rotate", epilog="Example: dealbook audit keys rotate")
def keys_rotate() -> None:
    """Let a new key sign the log from now on; both keys sign the change, and the old private key is removed."""
    from ledger.actors import SYSTEM
    from ledger.log.key_changes import rotate_key

    key, checkpoint = rotate_key(open_ledger(read_settings()), SYSTEM)
    out.print(f"Key {key.key_id.hex()} signs from now on; its first checkpoint covers {checkpoint.size:,} entries.")
    out.print(f"Hand its public half to whoever verifies the log:\n{key.vkey}", markup=False)


@keys_app.command(
    "revoke", epilog='Example: dealbook audit keys revoke a1b2c3d4 --last-trusted-size 41233 --reason "laptop stolen"'
)
def keys_revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")],
    last_trusted_size: Annotated[
        int, typer.Option(help="Size of the last checkpoint under it that is still to be trusted.", min=0)
    ],
    reason: Annotated[str, typer.Option(help="Why; it goes into the log.")],
) -> None:
    """Declare that nothing a former key has signed counts beyond a size. Where the key signs now, rotate first."""
    from ledger.actors import SYSTEM
    from ledger.log.key_changes import revoke_key

    checkpoint = revoke_key(open_ledger(read_settings()), SYSTEM, key_id, last_trusted_size, reason)
    out.print(f"The revocation is in the log, which holds {checkpoint.size:,} entries and is signed again.")


@audit_app.command("bench", epilog="Example: dealbook audit bench --entries 100000")
def audit_bench(
    entries: Annotated[int, typer.Option(help="How long a log to measure with.", min=1_000)] = 100_000,
    repeat: Annotated[int, typer.Option(help="Runs of each; the best counts.", min=1)] = 3,
) -> None:
    """Measure appending, verifying and a dossier on a log made for it, beside their yardsticks in one run."""
    from orchestration.log_bench import run_log_bench

    run_log_bench(read_settings(), out, entries=entries, repeat=repeat)
