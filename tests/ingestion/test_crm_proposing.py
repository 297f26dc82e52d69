"""A proposed mapping says what the columns tell, asks for what they don't, and never hides that it assumed."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dealbook import app
from ingestion.crm_files import FileInvalid, ImportReport, import_files, load_mapping, propose
from ingestion.crm_files.fields import Section
from ingestion.crm_files.guessing import guess_dates, guess_numbers, guess_word
from ingestion.crm_files.mapping import Mapping
from ingestion.sample_files import write_sample
from ledger.actors import SYSTEM
from tests.support.crm_export import write_table
from tests.support.ledger import build_ledger

HEADER = ["Case No", "Handled by", "Pipeline stage", "Price", "Date opened", "Property", "Kind of property", "Service"]
ROWS = [
    ["A-1", "Mia Holm", "Viewings", "€ 1.250.000,50", "03.01.2025", "Harbour 1", "Flat", "Letting"],
    ["A-2", "Jon Ek", "Offer made", "€ 90.000,00", "28.01.2025", "Harbour 2", "Shop", "Sale"],
    ["A-3", "Jon Ek", "Sold", "", "05.02.2025", "Harbour 3", "Office", "Sale"],
]


def load_text(tmp_path: Path, text: str) -> Mapping:
    path = tmp_path / "proposed.toml"
    path.write_text(text, "utf-8")
    return load_mapping(path)


def test_an_unknown_export_is_recognised(tmp_path: Path) -> None:
    """Columns by likeness, stage words, date format, comma decimals and the euro sign, in cp1252 with semicolons."""
    path = tmp_path / "cases.csv"
    path.write_bytes("\r\n".join(";".join(row) for row in [HEADER, *ROWS]).encode("cp1252"))
    proposal = propose([path], "cases")
    assert proposal.missing == []
    mapping = load_text(tmp_path, proposal.text)
    assert mapping.deals is not None
    columns = {name: columns[0] for name, columns in mapping.deals.columns.items()}
    assert columns == {
        "id": "Case No", "agent": "Handled by", "stage": "Pipeline stage", "value": "Price", "title": "Property",
        "opened_on": "Date opened", "asset_type": "Kind of property", "deal_type": "Service",
    }  # fmt: skip
    assert (mapping.files.encoding, mapping.files.delimiter) == ("cp1252", ";")
    assert (mapping.numbers.decimal, mapping.numbers.thousands, mapping.numbers.currencies) == (",", ".", {"€": "EUR"})
    assert mapping.dates.formats == ["%d.%m.%Y"]
    assert mapping.word_tables["stage"].items() >= {("viewings", "needs_analysis"), ("offer made", "proposal")}
    report = import_files(
        build_ledger(tmp_path / "home"), SYSTEM, [path], tmp_path / "proposed.toml", rejects_dir=tmp_path
    )
    # The one that is closed has no date: that is the file's fault, and is said.
    assert (report.accepted, report.rejected) == (2, 1)


def test_the_sample_export_goes_in_by_its_proposed_mapping(tmp_path: Path) -> None:
    """Deals, history, commissions and people of the sample are accepted and rejected as by the mapping made by hand."""
    files = sorted(write_sample(tmp_path / "sample", deals=60, agents=5, seed=3, until=date(2025, 6, 30)).files)
    proposal = propose(files, "sample_crm")
    assert (proposal.missing, proposal.looks_like) == ([], ["sample_crm"])
    mapping = load_text(tmp_path, proposal.text)
    assert mapping.stage_events is not None
    assert mapping.stage_events.columns["confidence"] == ("Probability",)
    results = [
        import_files(build_ledger(tmp_path / name), SYSTEM, files, mapping, dry_run=True, rejects_dir=tmp_path / "r")
        for name, mapping in (("by_hand", "sample_crm"), ("proposed", tmp_path / "proposed.toml"))
    ]
    assert results[0].accepted > 200
    assert _figures(results[1]) == _figures(results[0])


def _figures(report: ImportReport) -> list[tuple[str, int, int, int]]:
    return [(file.section, file.rows, file.accepted, file.rejected) for file in report.files]


def test_what_nothing_tells_is_missing_and_named(tmp_path: Path) -> None:
    """Without answers the mapping has TODO lines, says which, and does not load until they are filled in."""
    path = write_table(tmp_path / "deals.csv", ["Deal ID", "Stage", "Xyz"], [["1", "Won", "q"], ["2", "Limbo", "r"]])
    proposal = propose([path], "x")
    assert [point.split(":")[0] for point in proposal.missing] == [
        "[deals.columns] agent",
        "[deals.constants] asset_type, or its column",
        "[deals.constants] deal_type, or its column",
    ]  # fmt: skip
    assert '# TODO agent = "…"' in proposal.text
    assert any("'Limbo' is no stage that we know" in doubt for doubt in proposal.doubts)
    filled = (
        proposal.text.replace('# TODO agent = "…"', 'agent = "Xyz"')
        .replace('# TODO asset_type = "…"', 'asset_type = "office"')
        .replace('# TODO deal_type = "…"', 'deal_type = "lease"')
        .replace('# TODO "Limbo" = "…"', '"Limbo" = "proposal"')
    )
    assert load_text(tmp_path, filled).word_tables["stage"]["limbo"] == "proposal"


def test_answers_fill_what_is_missing(tmp_path: Path) -> None:
    """Each question is asked with the answers there are, and the answer is in the mapping."""
    path = write_table(
        tmp_path / "deals.csv",
        ["Deal ID", "Stage", "Xyz", "Opened on", "Price"],
        [["1", "Limbo", "Ada", "03/04/2025", "$5.50"], ["2", "Limbo", "Ben", "05/04/2025", "$6.50"]],
    )
    answers = {
        "which column holds agent": "Xyz", "says asset_type": "office", "says deal_type": "lease",
        "'Limbo'": "proposal", "Dates such as": "month", "Which currency is '$'": "usd",
    }  # fmt: skip

    def ask(question: str, choices: Sequence[str]) -> str | None:
        (found,) = [part for part in answers if part in question]
        assert not choices or answers[found] in choices
        return answers.pop(found)

    proposal = propose([path], "x", ask)
    assert (answers, proposal.missing, proposal.doubts) == ({}, [], [])
    mapping = load_text(tmp_path, proposal.text)
    assert mapping.deals is not None
    assert mapping.deals.columns["agent"] == ("Xyz",)
    assert mapping.deals.constants == {"asset_type": "office", "deal_type": "lease", "currency": "reporting"}
    assert (mapping.dates.formats, mapping.numbers.currencies) == (["%m/%d/%Y"], {"$": "USD"})


def test_columns_of_stage_dates_are_seen(tmp_path: Path) -> None:
    """HubSpot's 'Date entered', and a date column named after a stage."""
    header = [
        "Record ID",
        "Deal owner",
        "Deal Stage",
        "Create Date",
        'Date entered "Contract Sent (Sales Pipeline)"',
        "Offer date",
    ]
    path = write_table(tmp_path / "d.csv", header, [["1", "A B", "Won", "2025-01-06", "2025-01-07", "2025-01-07"]])
    proposal = propose([path], "x")
    assert '"Date entered \\"{stage} (*)\\"" = "{stage}"' in proposal.text
    assert '"Offer date" = "proposal"' in proposal.text
    assert '"Contract Sent" = "agreement"' in proposal.text


def test_a_word_that_comes_late_is_translated_too(tmp_path: Path) -> None:
    """Of a stage that only the 700th row has."""
    rows = [[str(number), "Ada", "Negotiaton" if number == 700 else "Won"] for number in range(900)]
    path = write_table(tmp_path / "d.csv", ["Deal ID", "Owner", "Stage"], rows)
    assert '"Negotiaton" = "negotiation"' in propose([path], "x").text


def test_a_history_is_told_from_deals_by_its_repeating_id(tmp_path: Path) -> None:
    """Both have an id, a stage and a date."""
    rows = [["7", "Qualified", "2025-01-06"], ["7", "Won", "2025-01-08"], ["8", "Won", "2025-01-08"]]
    path = write_table(tmp_path / "h.csv", ["Deal ID", "Stage", "Date"], rows)
    assert set(load_text(tmp_path, propose([path], "x").text).sections) == {Section.STAGE_EVENTS}


@pytest.mark.parametrize(
    ("texts", "formats", "is_open", "is_mixed"),
    [
        (["03/04/2025", "31/01/2025"], ["%d/%m/%Y"], False, False),
        (["03/04/2025", "01/31/2025 4:05 PM"], ["%m/%d/%Y", "%m/%d/%Y %I:%M %p"], False, False),
        (["03/04/2025"], ["%d/%m/%Y"], True, False),
        (["31/01/2025", "30/01/2025", "01/31/2025"], ["%d/%m/%Y"], False, True),
        (
            ["2025-01-06 09:30:00", "6 Jan 2025", "January 6, 2025"],
            ["%Y-%m-%d %H:%M:%S", "%d %b %Y", "%B %d, %Y"],
            False,
            False,
        ),
        (["2025-01-06T09:30:00+08:00"], [], False, False),
        (["3.4.25"], ["%d.%m.%y"], True, False),
    ],
)
def test_date_formats_are_deduced(texts: list[str], formats: list[str], is_open: bool, is_mixed: bool) -> None:
    """And it is known when day and month cannot be told apart, or are mixed."""
    guess = guess_dates(texts)
    assert (guess.formats, bool(guess.open_pairs), bool(guess.mixed_pairs)) == (formats, is_open, is_mixed)


@pytest.mark.parametrize(
    ("texts", "decimal", "thousands", "is_certain"),
    [
        (["1,234.50", "12"], ".", ",", True),
        (["1.234,50"], ",", ".", True),
        (["1 234 567"], ".", " ", True),
        (["1'234.50"], ".", "'", True),
        (["1,234"], ".", ",", False),
        (["12.5", "7"], ".", "", True),
        (["(1,234.00)", "S$ 5", "USD7"], ".", ",", True),
    ],
)
def test_number_formats_are_deduced(texts: list[str], decimal: str, thousands: str, is_certain: bool) -> None:
    """A comma before three digits, and nothing else, is an assumption."""
    guess = guess_numbers(texts)
    assert (guess.decimal, guess.thousands, guess.is_certain) == (decimal, thousands, is_certain)


def test_words_are_matched_by_likeness_and_likeness_is_no_certainty() -> None:
    """A known word is certain, a near one is a guess, a strange one is nothing."""
    assert guess_word("stage", "3 - Offer Sent") == ("proposal", True)
    assert guess_word("stage", "Negotiaton") == ("negotiation", False)
    assert guess_word("stage", "Xqzt") == (None, False)


@pytest.mark.parametrize("content", [b"", b"\0\0\0", b"\xff\xfe", b"\n\n", b'"', b"a,a\n1,2\n", b"a\x81,b\n1,2\n"])
def test_a_file_that_is_none_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    """With its name, or it proposes something whose gaps are named; never a crash."""
    path = tmp_path / "none.csv"
    path.write_bytes(content)
    try:
        assert propose([path], "x").missing
    except FileInvalid as error:
        assert "none.csv" in error.detail


def test_the_verbs(tmp_path: Path) -> None:
    """new writes a file and leaves one that exists alone; check says what is wrong; list knows the shipped ones."""
    path = write_table(tmp_path / "cases.csv", HEADER, ROWS)
    out = tmp_path / "cases.toml"
    run = CliRunner()
    made = run.invoke(app, ["mapping", "new", str(path), "--out", str(out), "--no-input"])
    assert (made.exit_code, "Next: dealbook import" in made.stderr) == (0, True)
    assert run.invoke(app, ["mapping", "new", str(path), "--out", str(out)]).exit_code == 2
    sound = run.invoke(app, ["mapping", "check", str(out), str(path)])
    assert (sound.exit_code, "is read as deals" in sound.stdout) == (0, True)
    out.write_text(out.read_text("utf-8").replace('id = "Case No"', '# TODO id = "…"'), "utf-8")
    broken = run.invoke(app, ["mapping", "check", str(out)])
    assert (broken.exit_code, "[deals.columns] lacks 'id'" in broken.stderr) == (1, True)
    assert "salesforce" in run.invoke(app, ["mapping", "list"]).stdout
