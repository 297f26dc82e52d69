"""Every verb explains itself, and the guide knows every verb."""

import json
from pathlib import Path

import pytest
import typer.main

from dealbook import app
from tests.support.commands import run_dealbook

ROOT = Path(__file__).resolve().parent.parent
GUIDE = ROOT / "docs" / "command-line.md"


def _verbs() -> dict[str, str]:
    """Return every verb with the help page's closing example."""
    found: dict[str, str] = {}

    def walk(command: typer.core.TyperCommand, name: str) -> None:
        children = getattr(command, "commands", None)
        if children is None:
            found[name] = command.epilog or ""
        for word, child in (children or {}).items():
            walk(child, f"{name} {word}".strip())

    walk(typer.main.get_command(app), "")
    return found


@pytest.mark.parametrize("verb", _verbs())
def test_each_verb_ends_its_help_with_an_example_of_itself(verb: str) -> None:
    """Someone who reads --help can copy a line that works."""
    assert f"dealbook {verb}" in _verbs()[verb]


def test_the_guide_lists_every_verb_and_no_other() -> None:
    """docs/command-line.md is complete."""
    listed = {
        line.split("`")[1].removeprefix("dealbook ")
        for line in GUIDE.read_text().splitlines()
        if line.startswith("| `dealbook ")
    }
    assert listed == set(_verbs())


def test_an_error_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    """A user never sees a traceback for what we know can happen."""
    run_dealbook(tmp_path, "init")
    result = run_dealbook(tmp_path, "login-link", "--email", "nobody@example.com")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "nobody@example.com" in result.stderr


def test_a_token_is_shown_once_and_scripts_get_json(tmp_path: Path) -> None:
    """`token create --json` is one JSON document; the same user cannot be given another role by the way."""
    made = run_dealbook(tmp_path, "token", "create", "--role", "manager", "--email", "boss@example.com", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["role"] == "manager"
    refused = run_dealbook(tmp_path, "token", "create", "--role", "viewer", "--email", "boss@example.com")
    assert refused.returncode == 2
    assert "manager" in refused.stderr


def test_an_unknown_setting_value_is_explained(tmp_path: Path) -> None:
    """A wrong time zone names the variable and says what to do."""
    result = run_dealbook(tmp_path, "init", DEALBOOK_BUSINESS_TIMEZONE="Asia/Nowhere")
    assert result.returncode == 2
    assert "DEALBOOK_BUSINESS_TIMEZONE" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_wrong_date_is_explained(tmp_path: Path) -> None:
    """A date that is none is refused before anything starts."""
    result = run_dealbook(tmp_path, "refresh", "--as-of", "31/12/2017")
    assert result.returncode == 2
    assert "YYYY-MM-DD" in result.stderr
