"""The app: REST, sign-in, documents and the workspace, on one port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from api import documentation, problems
from api.checkpoints import CheckpointKeeper
from api.denials import Denials
from api.dependencies import Service
from api.idempotency import AnsweredBefore
from api.import_runs import ImportRuns
from api.log_proofs import LogProofs
from api.published import PublishedMarts
from api.rate_limits import RateLimits
from api.routes import (
    analyses,
    attachments,
    audit,
    commissions,
    deals,
    imports,
    jobs,
    operations,
    pages,
    people,
    performance,
    publications,
    sign_in,
)
from api.security import Guard, Meters
from api.writers import Writers
from ledger.settings import Settings
from ledger.store import Ledger

MAX_BODY_BYTES = 1024 * 1024


def create_app(settings: Settings, *, with_workspace: bool = True) -> FastAPI:
    """Return the app over the ledger and the published files of `settings`; the ledger must exist.

    `with_workspace=False` leaves the pages out, for tests of REST alone.
    """
    ledger = Ledger.open(settings.ledger_address, settings)
    service = Service(
        settings,
        ledger,
        PublishedMarts(settings.published_dir),
        RateLimits(settings),
        Denials(ledger),
        Writers(ledger),
        ImportRuns(settings, ledger),
        LogProofs(ledger),
    )
    meters = Meters()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        keeper = CheckpointKeeper(service.ledger, settings.checkpoint_seconds)
        keeper.start()
        yield
        await run_in_threadpool(service.writers.close)
        await run_in_threadpool(service.imports.stop)
        await run_in_threadpool(keeper.stop)
        service.marts.close()
        service.ledger.close()

    app = FastAPI(
        title="dealbook",
        version="1",
        summary="Deals, protected commissions, and numbers that can be reproduced.",
        description="Errors are problem documents (RFC 9457); the guide is docs/rest.md.",
        lifespan=lifespan,
        # Their pages load scripts from elsewhere, and nothing here does.
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.state.meters = meters
    problems.install(app)

    @app.exception_handler(AnsweredBefore)
    async def _replay(_: Request, answered: AnsweredBefore) -> Response:
        return answered.response

    # The aliases under /deals come before /deals/{id}.
    for router in (
        performance.aliases,
        deals.router,
        attachments.router,
        audit.router,
        commissions.router,
        performance.router,
        analyses.router,
        people.router,
        sign_in.router,
        imports.router,
        jobs.router,
        publications.router,
        operations.router,
        pages.router,
    ):
        app.include_router(router)
    documentation.install(app)
    if with_workspace:
        from api.workspace import Workspace, mount  # NiceGUI takes a second to import

        mount(
            app,
            Workspace(settings, service.ledger, service.marts, service.find_actor, service.proofs, service.imports),
        )
    app.add_middleware(
        Guard,
        meters=meters,
        limits=service.limits,
        denials=service.denials,
        max_body=MAX_BODY_BYTES,
        max_upload=settings.import_max_mib * 2**20,
    )
    return app
