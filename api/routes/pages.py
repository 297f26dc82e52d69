"""The few pages outside the workspace: what a problem means, and the dbt docs site."""

from html import escape
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from api.dependencies import ServiceDep
from api.problems import Problem, read_problem_sections

router = APIRouter(include_in_schema=False)

_STYLE = (
    "body{font:1rem/1.6 system-ui,sans-serif;max-width:44rem;margin:4rem auto;padding:0 1.5rem;color:#1c2530;"
    "background:#fff}code{font:.92em ui-monospace,monospace;background:#eef1f4;border-radius:4px;padding:.1em .35em}"
    "@media(prefers-color-scheme:dark){body{color:#dde3ea;background:#12161b}code{background:#222a33}}"
)
# The site is one page that dbt writes with its scripts inside.
_DOCS_POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline';"
    " object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)


def render_page(title: str, paragraphs: list[str], status_code: int = 200) -> HTMLResponse:
    """Return a plain page; the title and paragraphs are text, and `backticks` in them become code."""
    body = "".join(f"<p>{_with_code(paragraph)}</p>" for paragraph in paragraphs)
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)} – dealbook</title><style>{_STYLE}</style><main><h1>{escape(title)}</h1>{body}</main>",
        status_code,
    )


@router.get("/problems")
def list_problems() -> HTMLResponse:
    """Every problem that the API may answer with."""
    return render_page("Problems", [f"`/problems/{code}`" for code in sorted(read_problem_sections())])


@router.get("/problems/{code}")
def explain_problem(code: str) -> HTMLResponse:
    """What one problem means and what to do about it."""
    section = read_problem_sections().get(code)
    if section is None:
        raise Problem("address-not-found", "There is no such problem; see /problems.")
    return render_page(code.replace("-", " ").capitalize(), [part for part in section.split("\n\n") if part.strip()])


@router.get("/docs/dbt")
def lead_to_docs() -> RedirectResponse:
    """The site's links are relative, so it needs its slash."""
    return RedirectResponse("/docs/dbt/", status_code=307)


@router.get("/docs/dbt/{path:path}")
def read_dbt_docs(path: str, request: Request, service: ServiceDep) -> Response:
    """The dbt docs site: every table and column, for whoever is signed in."""
    if service.find_actor(request) is None:
        return render_page("Sign in first", ["Make a one-time link with `dealbook login-link` and open it."], 401)
    root = service.settings.home / "dbt_docs"
    file = _find_file(root, path or "index.html")
    if file is None:
        if (root / "index.html").is_file():
            raise Problem("address-not-found", "There is no such page in the dbt docs.")
        return render_page(
            "The dbt docs are not built yet", ["Build them with `dealbook docs`, then load this page again."], 404
        )
    return FileResponse(file, headers={"Content-Security-Policy": _DOCS_POLICY})


def _find_file(root: Path, path: str) -> Path | None:
    file = (root / path).resolve()
    return file if file.is_relative_to(root.resolve()) and file.is_file() else None


def _with_code(text: str) -> str:
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
