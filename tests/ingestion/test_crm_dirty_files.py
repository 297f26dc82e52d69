"""No file crashes an import: every row is accepted or rejected with a reason, and dirt costs no clean row."""

import csv
from pathlib import Path

import pytest
from sqlalchemy import func, select

from ingestion.crm_files import FileInvalid, import_files
from ledger.actors import SYSTEM
from ledger.store import Ledger
from ledger.tables import AgentDeal, AuditLog
from tests.support.campaigns import Campaign, rounds
from tests.support.crm_export import write_mapping
from tests.support.dirty_exports import FILE_DIRT, make_dirty_export
from tests.support.ledger import build_ledger

SEEDS = 40  # the first of them; any number is as good


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return build_ledger(tmp_path_factory.mktemp("home"))


def count_entries(ledger: Ledger) -> int:
    with ledger.read() as session:
        return session.scalar(select(func.count()).select_from(AuditLog)) or 0


@pytest.mark.parametrize("seed", range(SEEDS), ids=lambda seed: f"{seed}-{FILE_DIRT[seed % len(FILE_DIRT)]}")
def test_a_dirty_file_is_accounted_for_row_by_row(ledger: Ledger, tmp_path: Path, seed: int) -> None:
    """Accepted and rejected make the rows, each reject has a line and a reason, each clean deal is in the ledger."""
    check_dirty_export(ledger, tmp_path, seed)


@pytest.mark.soak
def test_any_dirty_file_is_accounted_for(ledger: Ledger, tmp_path: Path, campaign: Campaign) -> None:
    """The same with dirt that nobody has chosen."""
    for number in campaign.each(rounds(5, 500), "files"):
        seed = campaign.rng.randrange(SEEDS, 2**31)
        directory = tmp_path / str(number)
        directory.mkdir()
        try:
            check_dirty_export(ledger, directory, seed)
        except BaseException:
            campaign.say(f"dirt {seed}: {FILE_DIRT[seed % len(FILE_DIRT)]}")
            raise


def check_dirty_export(ledger: Ledger, directory: Path, seed: int) -> None:
    export = make_dirty_export(directory, seed)
    before = count_entries(ledger)
    try:
        report = import_files(ledger, SYSTEM, export.files, write_mapping(directory), rejects_dir=directory / "rejects")
    except FileInvalid as error:
        assert export.may_be_refused, error.detail
        assert export.files[0].name in error.detail
        assert count_entries(ledger) == before
        return
    for file in report.files:
        assert file.accepted + file.rejected == file.rows, (export.dirt, file)
        rejects = []
        if file.rejects_file:
            with Path(file.rejects_file).open(encoding="utf-8", newline="") as opened:
                rejects = list(csv.DictReader(opened))
        assert len({row["line"] for row in rejects}) == file.rejected
        assert all(row["reason"].strip() for row in rejects)
    with ledger.read() as session:
        refs = session.scalars(
            select(AgentDeal.external_ref).where(AgentDeal.external_ref.like(f"tiny:{seed}-%"))
        ).all()
    missing = {f"tiny:{key}" for key in export.clean} - set(refs)
    assert not missing, (export.dirt, missing)
