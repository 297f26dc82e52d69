"""A mapping is checked before a row is read, and its mistakes are answered with what to write instead."""

import re
from pathlib import Path

import pytest

from ingestion.crm_files import MappingInvalid, load_mapping, shipped_mappings
from ingestion.crm_files.fields import FIELDS, WORDS, Section
from tests.support.crm_export import MAPPING, write_mapping

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "import-your-crm.md"


@pytest.mark.parametrize("name", shipped_mappings())
def test_a_shipped_mapping_is_sound(name: str) -> None:
    """What we ship loads by its name."""
    assert load_mapping(name).source == name


@pytest.mark.parametrize(
    ("wrong", "instead", "told"),
    [
        ('id = "Id"', 'idd = "Id"', ["'idd'", "did you mean 'id'?"]),
        ('Won = "closed_won"', 'Won = "closed_wun"', ["'closed_wun'", "did you mean 'closed_won'?"]),
        ('agent = "Owner"\n', "", ["[deals.columns] lacks 'agent'"]),
        ('deal_type = "lease"', 'deal_type = "rent"', ["deal_type = 'rent'", "lease"]),
        ('time_zone = "Asia/Singapore"', 'time_zone = "Singapur"', ["'Singapur'", "Asia/Singapore"]),
        ('thousands = ","', 'thousands = "."', ["thousands and decimal"]),
        ('"%d/%m/%Y"', '"dd/mm/yyyy"', ["'dd/mm/yyyy' is not a date format", "%d/%m/%Y"]),
        ("[words.stage]", "[words.stages]", ["[words.stages]", "did you mean 'stage'?"]),
        ("[numbers]", "[number]", ["number", "did you mean 'numbers'?"]),
        ('"S$" = "SGD"', '"S$" = "Dollar"', ["'Dollar' is not an ISO 4217 code"]),
        ('source = "tiny"', 'source = "Tiny CRM"', ["source"]),
        ("[numbers]", '[files]\nencoding = "base64"\n[numbers]', ["'base64' is not an encoding"]),
        ("[numbers]", "[files]\ndelimiter = '\"'\n[numbers]", ["cannot separate columns"]),
        ('source = "tiny"', "source = ", ["not a TOML file"]),
    ],
)
def test_a_mistake_in_a_mapping_is_explained(tmp_path: Path, wrong: str, instead: str, told: list[str]) -> None:
    """The message names the file, the place and the way out."""
    assert wrong in MAPPING
    path = write_mapping(tmp_path, MAPPING.replace(wrong, instead, 1))
    with pytest.raises(MappingInvalid) as caught:
        load_mapping(path)
    for text in (str(path), *told):
        assert text in caught.value.detail


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("'Entered {stage}' = 'proposal'", "{stage} stands once in both, or in neither"),
        ("'Offer sent' = '{stage}'", "{stage} stands once in both, or in neither"),
        ("'Offer sent' = 'propsal'", "'propsal' is no stage; did you mean 'proposal'?"),
    ],
)
def test_a_mistake_in_a_column_of_stage_dates_is_explained(tmp_path: Path, line: str, told: str) -> None:
    """With the column and the way out."""
    text = MAPPING.replace("[stage_events.columns]", f"[deals.stage_dates]\n{line}\n\n[stage_events.columns]")
    with pytest.raises(MappingInvalid, match=re.escape(told)):
        load_mapping(write_mapping(tmp_path, text))


def test_a_column_of_stage_dates_is_read_by_the_word_that_is_known(tmp_path: Path) -> None:
    """Of two patterns that fit, the one whose word the mapping translates; a column that none fits is none."""
    patterns = "'In {stage}' = '{stage}'\n'In {stage} (*)' = '{stage}'\n'Agreed' = 'agreement'"
    text = MAPPING.replace("[stage_events.columns]", f"[deals.stage_dates]\n{patterns}\n\n[stage_events.columns]")
    mapping = load_mapping(write_mapping(tmp_path, text))
    assert mapping.stage_columns(["Id", "In Offer", "In Offer (Rentals)", "Agreed", "In Limbo"]) == [
        ("In Offer", "Offer", "proposal"),
        ("In Offer (Rentals)", "Offer", "proposal"),
        ("Agreed", "agreement", "agreement"),
        ("In Limbo", "Limbo", None),
    ]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Nobody has to load a mapping five times to learn of five mistakes."""
    text = MAPPING.replace('id = "Id"', 'idd = "Id"', 1).replace('Won = "closed_won"', 'Won = "won"')
    with pytest.raises(MappingInvalid) as caught:
        load_mapping(write_mapping(tmp_path, text))
    assert "'idd'" in caught.value.detail
    assert "'won' is none of our words" in caught.value.detail


def test_an_unknown_name_lists_the_shipped_ones(tmp_path: Path) -> None:
    """A typing error in a name does not end in a file-not-found."""
    with pytest.raises(MappingInvalid, match="maven_crm, pipedrive, sales"):
        load_mapping("mavencrm")
    with pytest.raises(MappingInvalid, match="cannot be read"):
        load_mapping(tmp_path / "missing.toml")


def test_formats_that_read_one_text_as_two_days_are_found(tmp_path: Path) -> None:
    """Day first and month first in one list is an ambiguity, and is known as one."""
    text = MAPPING.replace('"%d/%m/%Y"', '"%d/%m/%Y", "%m/%d/%Y"')
    assert load_mapping(write_mapping(tmp_path)).dates.ambiguous_pairs == []
    assert load_mapping(write_mapping(tmp_path, text)).dates.ambiguous_pairs == [("%d/%m/%Y", "%m/%d/%Y")]


def test_a_file_is_known_by_its_header(tmp_path: Path) -> None:
    """The section with most of its columns in the header wins; a header that fits none says what is nearest."""
    mapping = load_mapping("maven_crm")
    assert mapping.section_of(["sales_agent", "manager"]) is Section.PEOPLE
    pipeline = ["opportunity_id", "sales_agent", "account", "deal_stage", "engage_date", "close_date", "close_value"]
    assert mapping.section_of(pipeline) is Section.DEALS
    tiny = load_mapping(write_mapping(tmp_path))
    assert tiny.section_of(["Id", "To"]) is None
    assert tiny.missing_columns(["Id", "To"]) == (Section.STAGE_EVENTS, ["At"])


def test_the_guides_example_works(tmp_path: Path) -> None:
    """The mapping printed in the guide is one that loads."""
    examples = re.findall(r"```toml\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert examples
    path = tmp_path / "guide.toml"
    path.write_text(examples[0], "utf-8")
    assert set(load_mapping(path).sections) == set(Section)


def test_the_guide_lists_every_field_and_word() -> None:
    """The reference in the guide has each field of each section, required ones in bold, and all our words."""
    guide = GUIDE.read_text("utf-8")
    rows = {section: line for section in Section for line in guide.splitlines() if line.startswith(f"| `{section}`")}
    for section, fields in FIELDS.items():
        for name, field in fields.items():
            assert f"`{name}`" in rows[section]
            assert (f"**`{name}`**" in rows[section]) is field.required
    assert not [word for words in WORDS.values() for word in words if word not in guide]
