"""What a page of the workspace needs to know: the ledger, the published numbers, and who is asking.

`mount` hands one `Workspace` to every request through the ASGI scope, so that two apps in one process (as in tests)
stay apart although NiceGUI itself exists once.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fastapi import Request

from api.import_runs import ImportRuns
from api.log_proofs import LogProofs
from api.published import Publication, PublishedMarts
from ledger.access import Action
from ledger.actors import Actor
from ledger.settings import Settings
from ledger.store import Ledger

log = logging.getLogger(__name__)
SCOPE_KEY = "dealbook.workspace"
PREFIX = "/agents"
SIGN_IN_PATH = f"{PREFIX}/sign-in"
SIGN_OUT_PATH = "/logout"
# A busy machine may take long to begin a page; giving up early would make a page that failed of one that is slow.
PAGE_SECONDS = 30.0
PERFORMANCE_PATH = f"{PREFIX}/performance"
HOME_PATH = f"{PREFIX}/performance/home"
PIPELINE_PATH = f"{PREFIX}/performance/pipeline"
COMMISSIONS_PATH = f"{PREFIX}/performance/commissions"
IMPORTS_PATH = f"{PREFIX}/performance/imports"
LOG_PATH = f"{PREFIX}/performance/log"
NAVIGATION: tuple[tuple[str, str, Action | None], ...] = (
    ("Today", HOME_PATH, Action.SETTLE_COMMISSION),
    ("Pipeline", PIPELINE_PATH, None),
    ("Performance", PERFORMANCE_PATH, None),
    ("Commissions", COMMISSIONS_PATH, None),
    ("Imports", IMPORTS_PATH, Action.IMPORT),
    ("Log", LOG_PATH, Action.READ_DEAL),
)
"""Pages by their words, and the right that a page asks for: it is not offered to those who lack it."""


class SignedOut(Exception):  # noqa: N818 - a fact, named as the ledger names its own
    """The session behind a page has ended; the page must be left."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """What every page shares: where the state is, and how a request tells who sent it."""

    settings: Settings
    ledger: Ledger
    marts: PublishedMarts
    find_actor: Callable[[Request], Actor | None]
    proofs: LogProofs
    imports: ImportRuns

    @property
    def stale_after(self) -> timedelta:
        """Age from which published numbers are called stale."""
        return timedelta(hours=self.settings.stale_after_hours)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is signed in, and what is published, as the frame shows them."""

    actor: Actor
    name: str
    publication: Publication | None


@dataclass(frozen=True, slots=True)
class Visit:
    """One opened page: its workspace and the request that opened it."""

    workspace: Workspace
    request: Request

    def require_actor(self) -> Actor:
        """Return who is signed in now; ask before every read, because a session may end while a page stays open."""
        actor = self.workspace.find_actor(self.request)
        if actor is None:
            raise SignedOut
        return actor

    def find_publication(self) -> Publication | None:
        """Return what is published now; None when nothing is, or when its file cannot be read."""
        try:
            return self.workspace.marts.publication()
        except Exception:
            # A damaged file must not take the pages down that need no published numbers.
            log.exception("the published file could not be opened")
            return None


def open_visit(request: Request) -> Visit:
    """Return the visit that a request begins."""
    workspace: Workspace = request.scope[SCOPE_KEY]
    return Visit(workspace, request)


def read_clock() -> datetime:
    """Return the time now, for ages shown to people; no number depends on it."""
    return datetime.now(UTC)
