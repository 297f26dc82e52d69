"""Whatever stops a run: it says in a sentence or two what happened, what was kept and what to do. Real failing runs."""

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from ingestion import warehouse
from ingestion.publishing import current_publication
from ledger.closing import close_ledger
from ledger.log.entry import Draft
from orchestration import definitions, inbox
from orchestration.dbt_in_process import load_manifest, load_manifest_json
from orchestration.definitions import build_definitions
from orchestration.failed_checks import VERIFY_LOG
from orchestration.instance import open_instance
from orchestration.plain_failures import (
    BACKUPS_KEPT,
    INBOX_KEPT,
    LINEAGE_KEPT,
    NUMBERS_KEPT,
    READERS_KEPT,
    RunNotBegun,
    fails_plainly,
)
from orchestration.side_jobs import BACKUP_AND_VERIFY, build_side_jobs
from tests.orchestration.conftest import DAY, Office
from tests.support.living_ledger import append, append_deals, tamper


def ledger_of_another_version(office: Office) -> None:
    tamper(office.ledger, "UPDATE alembic_version SET version_num = '0001'")


def no_ledger(office: Office) -> None:
    for path in office.settings.home.glob("ledger.sqlite3*"):
        path.unlink()


def moved_ledger(office: Office) -> None:
    with office.ledger.write() as session:
        close_ledger(session, "postgresql://db.example.com/dealbook")
    export(office)


def changed_entry(office: Office) -> None:
    append_deals(office.ledger, 1)
    size = office.first.log_size
    tamper(office.ledger, "UPDATE audit_logs SET body = replace(body, 'office', 'retail') WHERE n = :n", n=size)


def chain_cut(office: Office) -> None:
    append_deals(office.ledger, 1)
    size = office.first.log_size
    tamper(office.ledger, "UPDATE audit_logs SET prev = zeroblob(31) || x'01' WHERE n = :n", n=size)


def contract_broken(office: Office) -> None:
    columns = {"agent_id": "a", "asset_type": "castle", "deal_type": "lease", "status": "open"}
    event = {"id": "e", "from": None, "to": "lead_captured"}
    append(office.ledger, Draft("deal:d", "deal.opened", "deal", "d", {"set": columns, "stage_event": event}))


def other_ledgers_warehouse(office: Office) -> None:
    with duckdb.connect(str(office.settings.warehouse_path)) as connection:
        connection.execute("UPDATE raw.watermark SET log_size = 9999")
    append_deals(office.ledger, 1)


def damaged_warehouse(office: Office) -> None:
    office.settings.warehouse_path.write_bytes(b"nonsense" * 1000)


def data_test_failing(office: Office) -> None:
    append_deals(office.ledger, 1)
    office.add_dbt_test("deals_are_imaginary", "select deal_id from {{ ref('deals') }}")


def no_signing_key(office: Office) -> None:
    append_deals(office.ledger, 1)
    for path in office.settings.keys_dir.glob("*.pem"):
        path.unlink()


def export(office: Office) -> None:
    folder = office.settings.home / "inbox" / "hubspot"
    folder.mkdir(parents=True)
    names = "Record ID,Deal Name,Deal Stage,Deal owner,Create Date,Amount,Close Date"
    (folder / "deals.csv").write_text(f"{names}\n1,Acme,closedwon,Ann,2024-01-02 10:00,1000,2024-02-02 10:00\n")


def broken_export(office: Office) -> None:
    export(office)
    (office.settings.home / "inbox" / "hubspot" / "deals.csv").write_text("nonsense\n1\n")


def broken_reference_file(office: Office) -> None:
    folder = office.settings.home / "inbox" / "reference"
    folder.mkdir(parents=True)
    (folder / "rates.csv").write_text("nonsense\n1\n")


def no_backup_folder(office: Office) -> None:
    (office.settings.home / "backups").write_text("a file where the folder should be")


@dataclass(frozen=True)
class Case:
    """What is broken, the job that meets it, and words that must be said; `checks` are the checks that say it too."""

    break_it: Callable[[Office], None]
    job: str
    happened: str
    to_do: str
    kept: str = READERS_KEPT
    checks: dict[str, str] = field(default_factory=dict)


CASES = [
    Case(ledger_of_another_version, "hourly", "schema is 0001", "`dealbook init`"),
    Case(no_ledger, "hourly", "There is no ledger at", "`dealbook init`"),
    Case(damaged_warehouse, "hourly", "warehouse cannot be read", "`dealbook refresh --full`"),
    Case(changed_entry, "hourly", "n=20: its bytes do not give its hash", "`dealbook audit verify`"),
    Case(chain_cut, "hourly", "prev is not", "`dealbook audit verify`", checks={"chain_sound": VERIFY_LOG}),
    Case(contract_broken, "hourly", "break the contract of raw", "report it", checks={"contract": "rejects/"}),
    Case(other_ledgers_warehouse, "hourly", "it is another ledger", "`dealbook refresh --full`"),
    Case(
        data_test_failing, "hourly", "deals_are_imaginary failed (3 rows)", "To see the rows: duckdb",
        checks={"deals_are_imaginary": "To see the rows"},
    ),
    Case(no_signing_key, "hourly", "private key is not in", "Restore it from its backup"),
    Case(moved_ledger, "crm_import", "was moved to", "Set DEALBOOK_LEDGER_URL", INBOX_KEPT),
    Case(broken_export, "crm_import", "fits no section", "drop them into", "Everything else was taken in."),
    Case(broken_reference_file, "reference", "is no reference file", "drop them into", "Everything else was taken in."),
    Case(ledger_of_another_version, "backup_and_verify", "schema is 0001", "`dealbook init`", BACKUPS_KEPT),
    Case(no_backup_folder, "backup_and_verify", "backups cannot be used", "See that the folder", BACKUPS_KEPT),
    Case(damaged_warehouse, "column_lineage", "warehouse cannot be read", "`dealbook refresh --full`", LINEAGE_KEPT),
]  # fmt: skip


def run(office: Office, job: str) -> dg.ExecuteInProcessResult:
    config: dict[str, Any] = {}
    if job == "hourly":
        config = {"resources": {"refresh_run": {"config": {"as_of_date": DAY.isoformat()}}}}
        found = build_definitions(office.settings).resolve_job_def(job)
    else:
        found = build_side_jobs(office.settings, {})[job]
    with open_instance(office.settings) as instance:
        return found.execute_in_process(run_config=config, instance=instance, raise_on_error=False)


def words_of(result: dg.ExecuteInProcessResult) -> str:
    """What the Dagster UI shows first of a failed run: the failure's description, or the error that began it."""
    assert not result.success
    for event in result.get_step_failure_events():
        told = event.step_failure_data.user_failure_data
        assert told is not None, f"a bare error is shown: {event.step_failure_data.error}"
        assert told.metadata["kept"].value
        return str(told.description)
    error = result.all_events[-1].event_specific_data.error  # type: ignore[union-attr]
    assert error.cls_name == RunNotBegun.__name__, f"a bare error is shown: {error}"
    return str(error.message).removeprefix(f"{RunNotBegun.__module__}.{RunNotBegun.__name__}: ").strip()


def assert_told(words: str, happened: str, to_do: str, kept: str) -> None:
    assert happened in words
    assert to_do in words
    assert words.endswith(kept)
    assert "Traceback" not in words


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the waits for a file to settle and for another program to let go."""
    monkeypatch.setattr(inbox, "SETTLE_SECONDS", 0.0)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.break_it.__name__}-{case.job}")
def test_a_failed_run_says_what_happened_what_was_kept_and_what_to_do(office: Office, case: Case) -> None:
    """No bare error is shown, a failed check says it beside its findings, and readers see what they saw."""
    case.break_it(office)
    result = run(office, case.job)
    words = words_of(result)
    assert_told(words, case.happened, case.to_do, case.kept)
    assert "Error" not in words, "the name of a class in code says nothing to people"
    if case.job == BACKUP_AND_VERIFY:
        line = (office.settings.home / "logs" / "backup.jsonl").read_text().splitlines()[-1]
        assert json.loads(line)["reason"] == words.removesuffix(case.kept).strip()
    failed = {check.check_name: check for check in result.get_asset_check_evaluations() if not check.passed}
    assert failed.keys() == case.checks.keys()
    for name, to_do in case.checks.items():
        assert to_do in str(failed[name].metadata["what_to_do"].value)
        assert failed[name].metadata["kept"].value == READERS_KEPT
        assert failed[name].description
    publication = current_publication(office.settings.published_dir)
    assert publication is not None
    assert publication.name == office.first.publication


@contextmanager
def held_open(path: Path) -> Iterator[None]:
    """Another program has the file open, until the context ends."""
    program = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline()
        yield


def test_a_warehouse_that_another_program_has_open_is_named(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the run, and by `dealbook refresh`, which finds it before there is a run."""
    monkeypatch.setattr(warehouse.open_warehouse.__wrapped__, "__defaults__", (0.2,))  # type: ignore[attr-defined]
    append_deals(office.ledger, 1)
    with held_open(office.settings.warehouse_path):
        words = words_of(run(office, "hourly"))
        assert_told(words, "Another process is writing", "close the program", READERS_KEPT)
    assert office.refresh().outcome == "published"


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """No file of this process may grow beyond this size: to whoever writes it looks like a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_called_that_and_the_next_run_has_room(office: Office) -> None:
    """What is to be published does not fit, while Dagster's records still do: readers stay where they were."""
    append_deals(office.ledger, 1)
    with duckdb.connect(str(office.settings.warehouse_path)) as connection:
        connection.execute("CREATE TABLE marts.ballast AS SELECT random() AS x FROM range(700_000)")
    with files_at_most(5_000_000):
        result = run(office, "hourly")
    assert_told(words_of(result), "The disk is full", "`dealbook doctor`", READERS_KEPT)
    assert office.refresh().outcome == "published"


def test_a_damaged_parse_of_the_dbt_project_is_made_again(office: Office) -> None:
    """Cut short by a power cut or a full disk, or missing: nobody has to do anything."""
    target = office.settings.dbt_target_dir
    nodes = load_manifest_json(office.settings)["nodes"].keys()
    (target / "manifest.json").write_text('{"nodes":')
    assert load_manifest_json(office.settings)["nodes"].keys() == nodes
    (target / "partial_parse.msgpack").write_bytes(b"\xc1 no parse")
    assert load_manifest(office.settings).nodes.keys() == nodes


def test_a_graph_that_cannot_be_loaded_and_a_sensor_say_it_too(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the UI shows of the code location and of a tick."""
    sensor = build_definitions(office.settings).resolve_sensor_def("new_entries_sensor")
    ledger_of_another_version(office)
    with open_instance(office.settings) as instance, pytest.raises(RunNotBegun) as tick:
        sensor.evaluate_tick(dg.build_sensor_context(instance=instance))
    assert_told(str(tick.value), "schema is 0001", "`dealbook init`", READERS_KEPT)
    (office.settings.dbt_project_dir / "models" / "marts" / "agents.sql").write_text("select {{ no_such_macro(")
    monkeypatch.setattr(definitions, "get_settings", lambda: office.settings)
    with pytest.raises(RunNotBegun) as load:
        definitions.defs()
    assert_told(str(load.value), "agents.sql", "Mend the dbt project", READERS_KEPT)


def test_an_error_that_nobody_foresaw_is_told_as_that(office: Office) -> None:
    """Its kind and message are said in a line, and whom to tell."""

    @dg.op
    @fails_plainly(NUMBERS_KEPT)
    def divide() -> None:
        raise ZeroDivisionError("division\n by zero")

    @dg.job
    def calculate() -> None:
        divide()

    with open_instance(office.settings) as instance:
        result = calculate.execute_in_process(instance=instance, raise_on_error=False)
    assert_told(words_of(result), "(ZeroDivisionError: division by zero)", "report it", NUMBERS_KEPT)


def test_every_step_of_every_job_fails_in_words(office: Office) -> None:
    """A new asset, check or job cannot be forgotten."""
    bare = []
    repository = build_definitions(office.settings).get_repository_def()
    for job in repository.get_all_jobs():
        for node in job.graph.node_defs:
            assert isinstance(node, dg.OpDefinition)
            if not hasattr(node.compute_fn.decorated_fn, "__wrapped__"):  # type: ignore[union-attr]
                bare.append(f"{job.name}.{node.name}")
    assert not bare
