"""The settings are documented where operators look for them."""

from pathlib import Path

from ledger.settings import Settings

DOCS = Path(__file__).resolve().parent.parent / "docs" / "operate.md"


def test_every_setting_is_documented_with_its_default() -> None:
    """`docs/operate.md` names each `DEALBOOK_*` variable, its default and its meaning, and no other."""
    text = DOCS.read_text()
    for name, field in Settings.model_fields.items():
        default = "empty" if field.default == "" else str(field.default)
        assert f"| `DEALBOOK_{name.upper()}` | `{default}` | {field.description} |" in text
    assert text.count("| `DEALBOOK_") == len(Settings.model_fields)
