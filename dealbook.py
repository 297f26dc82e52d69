"""The command line of dealbook: one page of verbs. Each imports what it needs when it runs, so that help is instant.

Exit codes: 0 done, 1 the answer is no (rejects under --strict, failed checks, tampering), 2 the call can't be served.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from ledger.settings import Settings, get_settings

if TYPE_CHECKING:
    from ledger.store import Ledger

app = typer.Typer(
    name="dealbook",
    help="Business performance for property agencies: deals, protected commissions, numbers that can be reproduced.",
    epilog="Start everything on this machine: dealbook up",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
token_app = typer.Typer(help="Tokens for the REST API.", no_args_is_help=True)
publish_app = typer.Typer(help="The published files that readers see.", no_args_is_help=True)
audit_app = typer.Typer(help="The tamper-evident log.", no_args_is_help=True)
mapping_app = typer.Typer(help="Mappings: what the columns and words of your CRM mean.", no_args_is_help=True)
app.add_typer(mapping_app, name="mapping")
app.add_typer(token_app, name="token")
app.add_typer(publish_app, name="publish")
app.add_typer(audit_app, name="audit")

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document for scripts.")]


def _settings() -> Settings:
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


def _day(text: str) -> date | None:
    """Read a day from the command line; none for an empty text."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        err.print(f"{text!r} is not a day. Write it as YYYY-MM-DD, for example 2026-03-31.", markup=False)
        raise typer.Exit(2) from error


def _ledger(settings: Settings) -> Ledger:
    """Open the ledger, making it first where there is none yet."""
    from ledger.store import initialise

    return initialise(settings)


def _print_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, default=str, indent=2) + "\n")


@app.command(epilog="Example: dealbook up --deals 20000")
def up(
    deals: Annotated[int, typer.Option(help="Deals in the sample that fills an empty ledger.", min=0)] = 5_000,
    agents: Annotated[int, typer.Option(help="Agents in that sample.", min=1)] = 40,
    empty: Annotated[bool, typer.Option("--empty", help="Start with an empty ledger, without the sample.")] = False,
    dagster: Annotated[bool, typer.Option(help="Serve the Dagster UI and run its schedules too.")] = True,
) -> None:
    """Run everything on this machine and print the addresses and a log-in link."""
    from dealbook_up import run_everything

    raise typer.Exit(run_everything(_settings(), out, deals=0 if empty else deals, agents=agents, with_dagster=dagster))


@app.command(epilog="Example: DEALBOOK_HOME=/srv/dealbook dealbook init")
def init() -> None:
    """Make the ledger, its folders and its keys; does nothing where they exist."""
    settings = _settings()
    _ledger(settings)
    out.print(f"The ledger is ready in {settings.home}")


@app.command(epilog="Example: dealbook demo --deals 1000 --agents 10 --seed 7")
def demo(
    deals: Annotated[int, typer.Option(help="How many deals.", min=1)] = 5_000,
    agents: Annotated[int, typer.Option(help="How many agents.", min=1)] = 40,
    years: Annotated[int, typer.Option(help="Over how many years.", min=1)] = 3,
    seed: Annotated[int, typer.Option(help="The same seed and day give the same files, byte for byte.")] = 1,
    until: Annotated[str, typer.Option(help="Last day of the sample, YYYY-MM-DD; today unless given.")] = "",
    files_only: Annotated[bool, typer.Option("--files-only", help="Write the files, import nothing.")] = False,
) -> None:
    """Write a realistic CRM export, with the dirt that real ones have, and import it."""
    from dealbook_up import load_sample

    settings = _settings()
    ledger = None if files_only else _ledger(settings)
    load_sample(settings, ledger, out, deals=deals, agents=agents, years=years, seed=seed, until=_day(until))


@app.command("import", epilog="Example: dealbook import deals.csv stage_history.csv --mapping sample_crm --dry-run")
def import_(
    files: Annotated[
        list[Path], typer.Argument(help="CSV or Parquet files, also .gz; files that belong together go in one call.")
    ],
    mapping: Annotated[str, typer.Option(help="Name of a shipped mapping, or a TOML file of your own.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and report; write nothing.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="All or nothing: one rejected row keeps everything out.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Import a CRM export: deals, stage history, commissions, people."""
    from dealbook_up import import_with_progress

    settings = _settings()
    report = import_with_progress(settings, _ledger(settings), err, files, mapping, dry_run=dry_run, strict=strict)
    if as_json:
        _print_json(report.to_dict())
    else:
        out.print(report.render(), markup=False)
    raise typer.Exit(1 if strict and report.rejected else 0)


@mapping_app.command("new", epilog="Example: dealbook mapping new deals.csv stage_history.csv --out my_crm.toml")
def mapping_new(
    files: Annotated[list[Path], typer.Argument(help="CSV or Parquet files of one export, also .gz.")],
    out_file: Annotated[Path | None, typer.Option("--out", help="Where to write it; printed unless given.")] = None,
    no_input: Annotated[bool, typer.Option("--no-input", help="Ask nothing; open points become TODO lines.")] = False,
) -> None:
    """Look at files and propose a mapping for them; asks for what it cannot tell. Exit code 1: points are open."""
    from ingestion.crm_files import propose

    def ask(question: str, answers: Sequence[str]) -> str | None:
        shown = f" [{', '.join(answers)}]" if answers else ""
        given = str(typer.prompt(f"{question}{shown} (empty: leave open)", default="", show_default=False, err=True))
        while given and answers and given not in answers:
            given = str(typer.prompt("One of these, or empty", default="", show_default=False, err=True))
        return given or None

    if out_file and out_file.suffix != ".toml":
        err.print(f"{out_file} is no name for a mapping: let it end in .toml.", markup=False)
        raise typer.Exit(2)
    if out_file and out_file.exists():
        err.print(f"{out_file} exists and is left alone. Give another name, or remove it first.", markup=False)
        raise typer.Exit(2)
    source = out_file.stem if out_file else "my_crm"
    asks = not no_input and sys.stdin.isatty()
    proposal = propose(files, source, ask) if asks else propose(files, source)
    if out_file:
        out_file.write_text(proposal.text, "utf-8")
    else:
        sys.stdout.write(proposal.text)
    err.print(proposal.render(str(out_file) if out_file else "my_crm.toml"), markup=False)
    raise typer.Exit(1 if proposal.missing else 0)


@mapping_app.command("list", epilog="Example: dealbook mapping list")
def mapping_list(as_json: AsJson = False) -> None:
    """List the mappings that come with dealbook."""
    from ingestion.crm_files import load_mapping, shipped_mappings

    rows = [(name, load_mapping(name)) for name in shipped_mappings()]
    if as_json:
        _print_json(
            [{"name": name, "description": row.description, "sections": list(row.sections)} for name, row in rows]
        )
        return
    for name, row in rows:
        out.print(f"{name:<12} {row.description} ({', '.join(row.sections)})", markup=False)


@mapping_app.command("check", epilog="Example: dealbook mapping check my_crm.toml deals.csv")
def mapping_check(
    mapping: Annotated[str, typer.Argument(help="A TOML file, or the name of a shipped mapping.")],
    files: Annotated[
        list[Path] | None, typer.Argument(help="Files to be read with it: their headers are tried.")
    ] = None,
) -> None:
    """Check a mapping, and whether files fit it; exit code 1 where it has mistakes."""
    from ingestion.crm_files import FileInvalid, MappingInvalid, load_mapping, sections_of

    try:
        checked = load_mapping(mapping)
        found = sections_of(files, checked) if files else []
    except (MappingInvalid, FileInvalid) as error:
        err.print(error.detail, markup=False)
        raise typer.Exit(1) from error
    out.print(f"{mapping} is sound. It reads: {', '.join(checked.sections)}.", markup=False)
    for path, section in zip(files or [], found, strict=True):
        out.print(f"{path} is read as {section}.", markup=False)


@app.command(epilog="Example: dealbook reference data/reference/performance_benchmarks.csv")
def reference(
    files: Annotated[
        list[Path], typer.Argument(help="CSV, JSON or Parquet files of benchmarks, exchange rates, targets or costs.")
    ],
    as_json: AsJson = False,
) -> None:
    """Load reference figures: benchmarks, exchange rates, targets, costs."""
    from ingestion.reference_files import load_reference_files
    from orchestration.refresh_lock import hold_refresh_lock

    settings = _settings()
    # A refresh leaves the warehouse between its steps; loading there would keep dbt out.
    with hold_refresh_lock(settings, on_wait=err.print):
        report = load_reference_files(files, settings.warehouse_path, settings.rejects_dir)
    if as_json:
        _print_json(report.to_dict())
    else:
        out.print(report.render(), markup=False)


@app.command(epilog="Example: dealbook refresh --as-of 2017-12-31")
def refresh(
    full: Annotated[bool, typer.Option("--full", help="Read the whole log again and rebuild everything.")] = False,
    as_of: Annotated[
        str, typer.Option(help="Day asked about, YYYY-MM-DD; today in the business time zone unless given.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Bring the published numbers up to date: ingest, build, check, publish."""
    from dealbook_up import refresh_with_progress

    settings = _settings()
    report = refresh_with_progress(settings, err, full=full, as_of=_day(as_of))
    if as_json:
        _print_json(report.to_dict())
    else:
        out.print(report.render(), markup=False)
    raise typer.Exit(1 if report.outcome == "failed" else 0)


@app.command(epilog="Example: dealbook replay --log-size 41233 --as-of 2026-03-31")
def replay(
    log_size: Annotated[int, typer.Option(help="How many entries of the log were known; `publish list` shows it.")],
    as_of: Annotated[
        str, typer.Option(help="Day asked about, YYYY-MM-DD; that of the publication with this log size unless given.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Build the numbers again as they were known then, elsewhere, and compare them with what was published."""
    from dealbook_up import progress_of
    from orchestration.replay import replay as replay_log

    settings, day = _settings(), _day(as_of)
    with progress_of(err, "Replaying") as advance:
        report = replay_log(settings, log_size, as_of=day, on_progress=advance)
    if as_json:
        _print_json(report.to_dict())
    else:
        out.print(report.render(), markup=False)
    raise typer.Exit(1 if report.outcome == "different" else 0)


@app.command(epilog="Example: dealbook export --parquet exports/today")
def export(
    parquet: Annotated[Path, typer.Option(help="Folder for a Parquet file per mart; made where it is missing.")],
    name: Annotated[str, typer.Option(help="A name that `publish list` shows; the current one unless given.")] = "",
    as_json: AsJson = False,
) -> None:
    """Write the published numbers as Parquet, with their manifest, for tools that do not read DuckDB."""
    from ingestion.exporting import export_parquet

    report = export_parquet(_settings().published_dir, parquet, name or None)
    if as_json:
        _print_json(report.to_dict())
    else:
        out.print(report.render(), markup=False)


@app.command(epilog="Example: dealbook serve")
def serve() -> None:
    """Serve the REST API and the workspace, nothing else."""
    from dealbook_up import serve_api

    raise typer.Exit(serve_api(_settings(), out))


@app.command("login-link", epilog="Example: dealbook login-link --email boss@example.com")
def login_link(
    email: Annotated[str, typer.Option(help="Whose link; the administrator's unless given.")] = "",
    base: Annotated[str, typer.Option(help="Address where the workspace is served.")] = "",
) -> None:
    """Print a one-time link that signs a user in to the workspace; valid for 15 minutes."""
    from dealbook_up import make_login_link

    settings = _settings()
    out.print(
        make_login_link(_ledger(settings), base or f"http://{settings.host}:{settings.port}", email=email or None)
    )


@token_app.command("create", epilog="Example: dealbook token create --role manager --email boss@example.com")
def token_create(
    role: Annotated[
        str, typer.Option(help="viewer, agent, manager or admin; for a user who exists it must be theirs.")
    ],
    email: Annotated[str, typer.Option(help="Whose token; the user is made where there is none.")],
    name: Annotated[str, typer.Option(help="Name of a new user.")] = "",
    days: Annotated[int, typer.Option(help="Days until it expires.", min=1)] = 90,
    as_json: AsJson = False,
) -> None:
    """Make a token for the REST API. It is shown once."""
    from ledger import access
    from ledger.log.chain import now_utc
    from ledger.vocabulary import Role

    settings = _settings()
    with _ledger(settings).write() as session:
        user = access.find_user(session, email=email)
        if user is None:
            user = access.create_user(
                session, access.SYSTEM, email=email, name=name or email.split("@")[0], role=Role(role)
            )
        elif user.role != role:
            err.print(f"{email} is {user.role}, not {role}. Say --role {user.role}, or use another address.")
            raise typer.Exit(2)
        expires_at = now_utc() + timedelta(days=days)
        token, secret = access.create_token(session, access.SYSTEM, user.id, name="command line", expires_at=expires_at)
        document = {
            "token": secret,
            "token_id": token.id,
            "user_id": user.id,
            "role": str(user.role),
            "expires_at": expires_at,
        }
    if as_json:
        _print_json(document)
    else:
        out.print(f"{secret}\nKeep it now: it is not shown again. It expires on {expires_at:%d %B %Y}.")


@publish_app.command("list", epilog="Example: dealbook publish list --json")
def publish_list(as_json: AsJson = False) -> None:
    """List the published files, newest first; * marks the one that readers see."""
    from ingestion.publishing import current_publication, list_publications

    settings = _settings()
    current = current_publication(settings.published_dir)
    rows = list_publications(settings.published_dir)
    if as_json:
        _print_json([{**row.to_dict(), "is_current": bool(current and row.name == current.name)} for row in rows])
        return
    if not rows:
        out.print("Nothing is published yet. Run: dealbook refresh")
    for row in rows:
        mark = "*" if current and row.name == current.name else " "
        out.print(f"{mark} {row.name}  as of {row.as_of_date}  log {row.log_size:,}", markup=False)


@publish_app.command("rollback", epilog="Example: dealbook publish rollback marts-000000041233-1a2b3c.duckdb")
def publish_rollback(
    name: Annotated[
        str, typer.Argument(help="A name that `dealbook publish list` shows; the one before the current unless given.")
    ] = "",
) -> None:
    """Point readers at an older published file; the next refresh moves forward again."""
    from ingestion.publishing import rollback_publication

    publication = rollback_publication(_settings().published_dir, name or None)
    out.print(f"Readers now see {publication.name} (as of {publication.as_of_date}).")


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
    settings = _settings()
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
        _print_json(report_document(report))
    else:
        out.print(render_report(report), markup=False)
    raise typer.Exit(report.exit_code)


@audit_app.command("checkpoint", epilog="Example: dealbook audit checkpoint > /mnt/elsewhere/checkpoint")
def audit_checkpoint() -> None:
    """Sign the log as it stands and print the checkpoint, to be kept where nobody who edits the ledger reaches it."""
    from ledger.log.checkpoint import make_checkpoint

    sys.stdout.write(make_checkpoint(_ledger(_settings())).note)


@audit_app.command("key", epilog="Example: dealbook audit key")
def audit_key() -> None:
    """Print the public keys of the log, to be handed to whoever verifies it."""
    from ledger.log.keys import trusted_keys

    settings = _settings()
    _ledger(settings)
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
    checkpoint = recover_log(_ledger(_settings()), SYSTEM, reason)
    out.print(f"The loss is written into the log, which holds {checkpoint.size:,} entries and is signed again.")


@app.command(epilog="Example: dealbook docs")
def docs() -> None:
    """Build the dbt docs site, which describes every table and column."""
    from orchestration.dbt_docs import build_docs

    out.print(f"The docs site is in {build_docs(_settings())}")


@app.command(epilog="Example: dealbook doctor")
def doctor(as_json: AsJson = False) -> None:
    """Look at this installation and say what is wrong and what to do."""
    from dealbook_up import examine

    findings = examine(_settings())
    if as_json:
        _print_json([{"check": check, "ok": ok, "says": says} for check, ok, says in findings])
    else:
        for check, ok, says in findings:
            out.print(f"{'ok  ' if ok else 'LOOK'} {check}: {says}", markup=False)
    raise typer.Exit(0 if all(ok for _, ok, _ in findings) else 1)


@app.command(epilog="Example: dealbook bench --new 0 --new 1 --new 5000")
def bench(
    new: Annotated[list[int] | None, typer.Option(help="Numbers of new deals to refresh with.")] = None,
    repeat: Annotated[int, typer.Option(help="Runs of each; the median is printed.", min=1)] = 3,
) -> None:
    """Measure refreshes beside a bare `dbt build` of the same project, in one run; the table goes to home/bench."""
    from orchestration.bench import run_bench

    run_bench(_settings(), out, new=new or [0, 1, 5_000], repeat=repeat)


def main() -> None:
    """Run the command line; an error that we know becomes one sentence that says what to do, and exit code 2."""
    from ledger.errors import DealbookError

    try:
        app()
    except DealbookError as error:
        about = getattr(error, "identifier", "")
        err.print(f"{about}: {error.detail}" if about else error.detail, markup=False)
        sys.exit(2)


if __name__ == "__main__":
    main()
