"""`dealbook mapping`: what the columns and words of a CRM mean."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dealbook_console import AsJson, err, out, print_json

mapping_app = typer.Typer(help="Mappings: what the columns and words of your CRM mean.", no_args_is_help=True)


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
        print_json(
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
