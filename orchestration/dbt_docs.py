"""The dbt docs site: one page that describes every table and column, and loads nothing from anywhere."""

import contextlib
from pathlib import Path

from ledger.settings import Settings
from orchestration.definition_version import definition_version

# The page carries a tracker that stays off; this makes sure that neither it nor anything else can reach out.
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'self\' data: blob:; '
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'\">"
)
_REPAIRS = {
    "//d1fc8wv8zag5ca.cloudfront.net/2.9.0/sp.js": "data:text/javascript,",
    "${require('./assets/favicons/favicon.ico')}": "data:,",
    # Templates that are shown before they are filled in asked the server for pictures named "{{ getIcon(…) }}".
    'src="{{ getIcon': 'ng-src="{{ getIcon',
    'src=\\"{{ getIcon': 'ng-src=\\"{{ getIcon',
}


def docs_path(settings: Settings) -> Path:
    """Return where the page lies once it is built."""
    return settings.home / "dbt_docs" / "index.html"


def are_docs_current(settings: Settings) -> bool:
    """Whether the page exists and describes the project as it is now."""
    version = docs_path(settings).with_name("definition_version")
    return (
        docs_path(settings).exists()
        and version.exists()
        and version.read_text() == definition_version(settings.dbt_project_dir)
    )


def build_docs(settings: Settings) -> Path:
    """Build the page from the project and the warehouse's tables; returns its path. Readers never see half a page.

    Waits for a refresh under way, as it reads the warehouse.
    """
    from ingestion.refresh_lock import hold_refresh_lock
    from orchestration.dbt_in_process import generate_docs

    with hold_refresh_lock(settings):
        version = definition_version(settings.dbt_project_dir)
        page = generate_docs(settings).read_text()
    for found, instead in _REPAIRS.items():
        page = page.replace(found, instead)
    page = page.replace("<head>", f"<head>{_POLICY}", 1)
    target = docs_path(settings)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(".new")
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(fresh.unlink, missing_ok=True)
        fresh.write_text(page)
        fresh.replace(target)
    target.with_name("definition_version").write_text(version)
    return target
