"""The command line of dealbook: one page of verbs. Each imports what it needs when it runs, so that help is instant.

`dealbook_audit`, `dealbook_ledger` and `dealbook_mapping` hold the verbs under those words, `dealbook_console` what all
verbs share.

Exit codes: 0 done, 1 the answer is no (rejects under --strict, failed checks, tampering), 2 the call can't be served.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dealbook_audit import audit_app
from dealbook_backup import backup, restore
from dealbook_console import AsJson, err, open_ledger, out, print_json, read_day, read_settings
from dealbook_ledger import ledger_app
from dealbook_mapping import mapping_app

if TYPE_CHECKING:
    from ledger.errors import DealbookError

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
app.add_typer(mapping_app, name="mapping")
app.add_typer(token_app, name="token")
app.add_typer(publish_app, name="publish")
app.add_typer(audit_app, name="audit")
app.add_typer(ledger_app, name="ledger")
app.command(epilog="Example: dealbook backup /backups/2026-03-31")(backup)
app.command(epilog="Example: dealbook restore /backups/2026-03-31 --force")(restore)


@app.command(epilog="Example: dealbook up --deals 20000")
def up(
    deals: Annotated[int, typer.Option(help="Deals in the sample that fills an empty ledger.", min=0)] = 5_000,
    agents: Annotated[int, typer.Option(help="Agents in that sample.", min=1)] = 40,
    empty: Annotated[bool, typer.Option("--empty", help="Start with an empty ledger, without the sample.")] = False,
    dagster: Annotated[bool, typer.Option(help="Serve the Dagster UI and run its schedules too.")] = True,
) -> None:
    """Run everything on this machine and print the addresses and a log-in link."""
    from dealbook_up import run_everything

    raise typer.Exit(
        run_everything(read_settings(), out, deals=0 if empty else deals, agents=agents, with_dagster=dagster)
    )


@app.command(epilog="Example: DEALBOOK_HOME=/srv/dealbook dealbook init")
def init() -> None:
    """Make the ledger, its folders and its keys, and print the public one; makes nothing where they exist."""
    from ledger.log.keys import trusted_keys

    settings = read_settings()
    open_ledger(settings).close()
    out.print(f"The ledger is ready in {settings.home}")
    for key in trusted_keys(settings.keys_dir).values():
        out.print(f"Public key, for whoever verifies the log: {key.vkey}", markup=False)


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

    settings = read_settings()
    ledger = None if files_only else open_ledger(settings)
    load_sample(settings, ledger, out, deals=deals, agents=agents, years=years, seed=seed, until=read_day(until))


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

    settings = read_settings()
    report = import_with_progress(settings, open_ledger(settings), err, files, mapping, dry_run=dry_run, strict=strict)
    if as_json:
        print_json(report.to_dict())
    else:
        out.print(report.render(), markup=False)
    raise typer.Exit(1 if strict and report.rejected else 0)


@app.command(epilog="Example: dealbook reference data/reference/performance_benchmarks.csv")
def reference(
    files: Annotated[
        list[Path],
        typer.Argument(help="CSV, JSON or Parquet files of benchmarks, exchange rates, targets, costs or an ROI feed."),
    ],
    as_json: AsJson = False,
) -> None:
    """Load reference figures: benchmarks, exchange rates, targets, costs, an ROI feed."""
    from ingestion.reference_files import load_reference_files_in_turn

    report = load_reference_files_in_turn(read_settings(), files, on_wait=err.print)
    if as_json:
        print_json(report.to_dict())
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

    settings = read_settings()
    report = refresh_with_progress(settings, err, full=full, as_of=read_day(as_of))
    if as_json:
        print_json(report.to_dict())
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

    settings, day = read_settings(), read_day(as_of)
    with progress_of(err, "Replaying") as advance:
        report = replay_log(settings, log_size, as_of=day, on_progress=advance)
    if as_json:
        print_json(report.to_dict())
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

    report = export_parquet(read_settings().published_dir, parquet, name or None)
    if as_json:
        print_json(report.to_dict())
    else:
        out.print(report.render(), markup=False)


@app.command(epilog="Example: dealbook serve")
def serve() -> None:
    """Serve the REST API and the workspace, nothing else."""
    from dealbook_up import serve_api

    raise typer.Exit(serve_api(read_settings(), out))


@app.command("login-link", epilog="Example: dealbook login-link --email boss@example.com")
def login_link(
    email: Annotated[str, typer.Option(help="Whose link; the administrator's unless given.")] = "",
    base: Annotated[str, typer.Option(help="Address where the workspace is served.")] = "",
) -> None:
    """Print a one-time link that signs a user in to the workspace; valid for 15 minutes."""
    from dealbook_up import make_login_link

    settings = read_settings()
    out.print(
        make_login_link(open_ledger(settings), base or f"http://{settings.host}:{settings.port}", email=email or None)
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

    settings = read_settings()
    with open_ledger(settings).write() as session:
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
        print_json(document)
    else:
        out.print(f"{secret}\nKeep it now: it is not shown again. It expires on {expires_at:%d %B %Y}.")


@publish_app.command("list", epilog="Example: dealbook publish list --json")
def publish_list(as_json: AsJson = False) -> None:
    """List the published files, newest first; * marks the one that readers see."""
    from ingestion.publishing import current_publication, list_publications

    settings = read_settings()
    current = current_publication(settings.published_dir)
    rows = list_publications(settings.published_dir)
    if as_json:
        print_json([{**row.to_dict(), "is_current": bool(current and row.name == current.name)} for row in rows])
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
    from orchestration.refresh import command_line_user

    publication = rollback_publication(read_settings().published_dir, name or None, by=command_line_user())
    out.print(f"Readers now see {publication.name} (as of {publication.as_of_date}).")


@app.command(epilog="Example: dealbook docs")
def docs() -> None:
    """Build the dbt docs site, which describes every table and column."""
    from orchestration.dbt_docs import build_docs

    out.print(f"The docs site is in {build_docs(read_settings())}")


@app.command(epilog="Example: dealbook doctor")
def doctor(as_json: AsJson = False) -> None:
    """Look at this installation and say what is wrong and what to do."""
    from dealbook_up import examine

    findings = examine(read_settings())
    if as_json:
        print_json([{"check": check, "ok": ok, "says": says} for check, ok, says in findings])
    else:
        for check, ok, says in findings:
            out.print(f"{'ok  ' if ok else 'LOOK'} {check}: {says}", markup=False)
    raise typer.Exit(0 if all(ok for _, ok, _ in findings) else 1)


class BenchPart(StrEnum):
    """What `dealbook bench` measures."""

    REFRESH = "refresh"
    MODELS = "models"
    LEDGER = "ledger"
    MOVES = "moves"
    PAGES = "pages"


@app.command(epilog="Example: dealbook bench --only refresh --new 0 --new 1 --new 5000")
def bench(
    new: Annotated[list[int] | None, typer.Option(help="Numbers of new deals to refresh with.")] = None,
    repeat: Annotated[int, typer.Option(help="Runs of each; the median is printed.", min=1)] = 3,
    only: Annotated[
        list[BenchPart] | None, typer.Option(help="Measure this part alone; may be repeated. All unless given.")
    ] = None,
    deals: Annotated[
        int, typer.Option(help="Deals of which the models are measured, and a tenth and a hundredth of them.", min=10)
    ] = 20_000,
    moves: Annotated[int, typer.Option(help="Stage moves of each connection in a round.", min=1)] = 250,
) -> None:
    """Measure refreshes beside a bare `dbt build`, summaries over HTTP beside a constant, the models at size beside SQL
    tuned by hand, the log's way to raw, snapshots by a plain loop, stage moves over HTTP beside a bare one-row commit,
    and pages in a browser beside a bare page. Prints a table for each, and one of figures beside aims. Tables and
    plots: home/bench.
    """
    from orchestration.bench_aims import report_aims

    parts = only or list(BenchPart)
    settings = read_settings()
    if BenchPart.REFRESH in parts:
        from api.bench import run_http_bench
        from orchestration.bench import run_bench

        run_bench(
            settings,
            out,
            new=new or [0, 1, 5_000],
            repeat=repeat,
            also=lambda home: run_http_bench(home, settings.home / "bench", out),
        )
    if BenchPart.LEDGER in parts:
        from orchestration.bench_ledger import run_bench_ledger

        run_bench_ledger(settings, out)
    if BenchPart.MODELS in parts:
        from orchestration.bench_models import run_bench_models

        run_bench_models(settings, out, deals=deals)
    if BenchPart.MOVES in parts:
        from orchestration.bench_moves import run_bench_moves

        run_bench_moves(settings, out, rounds=max(repeat, 3), moves=moves)
    if BenchPart.PAGES in parts:
        from orchestration.bench_pages import NoBrowser, run_bench_pages

        try:
            run_bench_pages(settings, out, rounds=max(repeat, 5), deals=5_000)
        except NoBrowser as fact:
            out.print(f"Pages were not measured. {fact}", markup=False)
            if only:
                raise typer.Exit(2) from None
    report_aims(settings.home / "bench", out)


def main() -> None:
    """Run the command line; an error that we know becomes one sentence that says what to do, and exit code 2."""
    try:
        app()
    except Exception as error:
        fact = _fact_of(error)
        if fact is None:
            raise
        about = getattr(fact, "identifier", "")
        err.print(f"{about}: {fact.detail}" if about else fact.detail, markup=False)
        sys.exit(2)


def _fact_of(error: Exception) -> DealbookError | None:
    """Return what an error says in our own words, None when nobody foresaw it."""
    from sqlalchemy.exc import DBAPIError

    from ledger.errors import DealbookError
    from ledger.store_failures import name_failure, name_full_disk

    match error:
        case DealbookError():
            return error
        case DBAPIError():
            return name_failure(error)
        case OSError():
            return name_full_disk(error)
        case _:
            return None


if __name__ == "__main__":
    main()
