"""The house keeps its floors: which package may import which, and what may stand only once."""

import ast
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COMMAND_LINE = sorted(ROOT.glob("dealbook*.py"))
OURS = {"ledger", "ingestion", "api", "orchestration"} | {path.stem for path in COMMAND_LINE}
MAY_IMPORT = {
    "ledger": set(),
    "ingestion": {"ledger"},
    "orchestration": {"ingestion", "ledger"},
    "api": {"ledger", "ingestion"},
}
FORBIDDEN_NAMES = {"utils", "helpers", "common", "core", "misc", "manager", "handler", "base"}


def _imports(path: Path) -> set[str]:
    """Dotted names of every module that a file imports, at any depth."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def _modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_floor_imports_only_the_floors_below(package: str) -> None:
    """Data flows one way, so imports do: a floor that reached upwards could not be used or tested alone."""
    assert _modules(package), f"{package} has no modules: the check would see nothing"
    allowed = MAY_IMPORT[package] | {package}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in _modules(package)
        for name in sorted(_imports(path))
        if name.split(".")[0] in OURS - allowed
    ]
    assert not wrong


def test_the_api_uses_only_the_file_importers_of_ingestion() -> None:
    """The API writes to the ledger and reads the published file; of ingestion it may use importers of files, and roll
    readers back."""
    allowed = ("ingestion.crm_files", "ingestion.reference_files", "ingestion.publishing", "ingestion.errors")
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in _modules("api")
        for name in _imports(path)
        if name.startswith("ingestion.") and not name.startswith(allowed)
    ]
    assert not wrong


def test_only_published_opens_duckdb_in_the_api() -> None:
    """One process may write a DuckDB file, and then no other reads it: only the reader of published files opens it."""
    users = {path.name for path in _modules("api") if any(name.split(".")[0] == "duckdb" for name in _imports(path))}
    assert users == {"published.py"}


def test_no_module_is_named_after_nothing() -> None:
    """A name says what a module holds."""
    wrong = [
        str(path.relative_to(ROOT))
        for package in MAY_IMPORT
        for path in _modules(package)
        if path.stem in FORBIDDEN_NAMES
    ]
    assert not wrong


def test_everything_imported_is_declared() -> None:
    """A fresh machine has what requirements.in lists: an import that came along with another package may go with it."""
    declared = (ROOT / "requirements.in").read_text().lower()
    import_names = {"multipart": "python-multipart", "pydantic": "fastapi", "starlette": "fastapi", "click": "typer"}
    import_names |= {"dbt": "dbt-core"}
    import_names |= {"dagster_shared": "dagster", "yaml": "dagster"}
    files = [path for package in MAY_IMPORT for path in _modules(package)] + COMMAND_LINE
    foreign = {name.split(".")[0] for path in files for name in _imports(path)} - OURS - sys.stdlib_module_names
    # `dealbook bench --only pages` alone asks for a browser, and says how to get one where there is none.
    missing = {
        name for name in foreign - {"playwright"} if import_names.get(name, name.replace("_", "-")) not in declared
    }
    assert not missing


def test_every_module_of_the_command_line_is_installed() -> None:
    """A module of verbs that is not listed works in the checkout and is missing from an installation made elsewhere."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert sorted(project["setuptools"]["py-modules"]) == [path.stem for path in COMMAND_LINE]
