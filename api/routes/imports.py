"""Imports: files come in, are read behind the request, and every row of them is accounted for."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, StreamingResponse

from api.dependencies import (
    Reading,
    ReadingActor,
    Service,
    ServiceDep,
    authenticate,
    permit,
    refuse_unknown_parameters,
    turn_away,
)
from api.documentation import EVERYWHERE, READS, WRITES, WRITES_NO_ENTRY, documented_key, problems
from api.idempotency import begin_once, keep_answer
from api.import_orders import WantedImport, check_import, digest_files, note_import
from api.parameters import Cursor, Limit, PathId
from api.problems import Problem, refuse_field
from api.schemas import imports as shapes
from api.uploads import Upload, receive, without_places
from ledger.access import Action, authorize
from ledger.actors import Actor
from ledger.identifiers import new_id
from ledger.imports import get_import, iterate_rejects, page_imports, read_import
from ledger.tables import Import

router = APIRouter(
    prefix="/api/v1", tags=["imports"], dependencies=[Depends(refuse_unknown_parameters)], responses=EVERYWHERE
)


Importer = Annotated[Actor, Depends(permit(Action.IMPORT))]
"""Who sends files: whoever may not import fills no disk."""


@router.post(
    "/imports",
    status_code=202,
    response_model=shapes.ImportAnswer,
    responses=WRITES,
    summary="Import files",
    openapi_extra=documented_key() | shapes.form(shapes.IMPORT_FORM),
)
async def start_import(request: Request, service: ServiceDep, _: Importer) -> Response:
    """Accepted once the headers fit the mapping; the rows are read behind the request, and `GET` says how far it is.

    Importing the same files again adds nothing. A dry run writes nothing and reports the same.
    """
    folder = service.settings.uploads_dir / new_id()
    upload = await receive(request, folder, ("files", "mapping_file"), ("kind", "mapping", "dry_run", "strict"))
    try:
        return await run_in_threadpool(_accept, request, service, upload)
    except BaseException:
        upload.discard()
        raise


def _accept(request: Request, service: Service, upload: Upload) -> Response:
    wanted = _read_form(upload)
    check_import(wanted)
    digest = digest_files(wanted.files)
    with service.ledger.write() as session:
        actor = authenticate(session, request)  # again, inside the transaction: the upload may have taken an hour
        if actor is None:
            raise turn_away(request, service)
        actor = begin_once(request, session, actor, upload.digest)
        order = note_import(session, actor, wanted, digest)
        answer = _describe(get_import(session, order.import_id), service, is_queued=True)
        response = JSONResponse(
            answer.model_dump(mode="json"), 202, headers={"Location": f"/api/v1/imports/{order.import_id}"}
        )
        keep_answer(request, session, response)
    service.imports.start(replace(order, actor=actor))
    return response


def _read_form(upload: Upload) -> WantedImport:
    values = upload.values
    kind = values.get("kind", "crm")
    if kind not in ("crm", "reference"):
        refuse_field("kind", "It is crm or reference.")
    mappings = upload.files_of("mapping_file")
    if len(mappings) > 1:
        refuse_field("mapping_file", "Give it once.")
    return WantedImport(
        "reference" if kind == "reference" else "crm",
        upload.folder,
        tuple(upload.files_of("files")),
        values.get("mapping", "").strip(),
        mappings[0] if mappings else None,
        _flag(values, "dry_run"),
        _flag(values, "strict"),
    )


def _flag(values: dict[str, str], name: str) -> bool:
    value = values.get(name, "false")
    if value not in ("true", "false"):
        refuse_field(name, "It is true or false.")
    return value == "true"


@router.get("/imports", responses=READS, summary="List imports")
def list_imports(
    session: Reading,
    service: ServiceDep,
    actor: ReadingActor,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> shapes.ImportPage:
    """Newest first, those of the command line among them."""
    rows, next_cursor = page_imports(session, actor, cursor, limit)
    return shapes.ImportPage(items=[_describe(row, service) for row in rows], next_cursor=next_cursor)


@router.get("/imports/{import_id}", responses=READS, summary="Read an import")
def read_one_import(
    session: Reading, service: ServiceDep, actor: ReadingActor, import_id: PathId
) -> shapes.ImportAnswer:
    """How far it is; when it has ended, what became of every row."""
    return _describe(read_import(session, actor, import_id), service)


@router.get(
    "/imports/{import_id}/rejects.csv",
    responses=READS | problems(409) | {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    response_class=Response,
    summary="The rows that an import turned away",
)
def download_rejects(service: ServiceDep, session: Reading, actor: ReadingActor, import_id: PathId) -> Response:
    """File, line, column, value and reason, in the order of the files; also of a dry run."""
    row = read_import(session, actor, import_id)
    if row.finished_at is None:
        raise Problem("import-not-finished", "Ask again when `state` is done, or import again if it was interrupted.")
    name = f"rejects-{import_id}.csv"
    return StreamingResponse(
        write_rejects(service, import_id),
        media_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def write_rejects(service: Service, import_id: str) -> Iterator[str]:
    """Yield the rejects as CSV, from a snapshot of their own: this one ends before the answer does."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["file", "line", "column", "value", "reason"])
    with service.ledger.read() as session:
        for reject in iterate_rejects(session, import_id):
            writer.writerow([reject.file_name, reject.line, reject.column, reject.value, reject.reason])
            if buffer.tell() > 64 * 1024:
                yield buffer.getvalue()
                buffer.seek(0)
                buffer.truncate()
    yield buffer.getvalue()


@router.get("/mappings", responses=READS, summary="Mappings that come with dealbook")
def list_mappings(session: Reading, actor: ReadingActor) -> shapes.MappingList:
    """Their names are what an import takes as `mapping`."""
    from ingestion.crm_files import load_mapping, shipped_mappings

    authorize(session, actor, Action.IMPORT)
    found = [(name, load_mapping(name)) for name in shipped_mappings()]
    return shapes.MappingList(
        items=[
            shapes.MappingAnswer(
                name=name, description=mapping.description, sections=[str(part) for part in mapping.sections]
            )
            for name, mapping in found
        ]
    )


@router.post(
    "/mappings/proposal",
    responses=WRITES,
    summary="Propose a mapping for files",
    openapi_extra=shapes.form(shapes.PROPOSAL_FORM) | {WRITES_NO_ENTRY: True},
)
async def propose_mapping(request: Request, service: ServiceDep, _: Importer) -> shapes.ProposalAnswer:
    """Looks at the files and keeps nothing of them: what is what, how dates and numbers are written, which word means
    what. Open points are marked in the text and listed."""
    upload = await receive(request, service.settings.uploads_dir / new_id(), ("files",), ("source",))
    try:
        return await run_in_threadpool(_propose, upload)
    finally:
        upload.discard()


def _propose(upload: Upload) -> shapes.ProposalAnswer:
    from ingestion.crm_files import FileInvalid, propose

    files = upload.files_of("files")
    if not files:
        refuse_field("files", "Send at least one file.")
    try:
        proposal = propose(files, upload.values.get("source", "my_crm"))
    except FileInvalid as fact:
        raise Problem(fact.code, without_places(fact.detail, upload.folder)) from fact
    return shapes.ProposalAnswer(
        mapping=proposal.text, missing=proposal.missing, doubts=proposal.doubts, looks_like=proposal.looks_like
    )


def state_of(row: Import, service: Service) -> shapes.State:
    """Return where an import stands; only one that this service runs is known to be running."""
    if row.finished_at is not None:
        return "failed" if row.outcome == "failed" else "done"
    progress = service.imports.progress_of(row.id)
    if progress is None:
        return "interrupted"
    return "queued" if progress.is_waiting else "running"


def _describe(row: Import, service: Service, *, is_queued: bool = False) -> shapes.ImportAnswer:
    progress = service.imports.progress_of(row.id)
    report = dict(row.report) if row.report else None
    if report is not None:
        report["reasons"] = [{"reason": reason, "rows": rows} for reason, rows in report["reasons"].items()]
    outcome: Literal["imported", "dry_run", "refused", "failed"] | None = None
    if row.outcome is not None:
        outcome = "dry_run" if row.outcome == "dry run" else row.outcome  # type: ignore[assignment]
    return shapes.ImportAnswer(
        id=row.id,
        kind="reference" if row.kind == "reference" else "crm",
        state="queued" if is_queued else state_of(row, service),
        outcome=outcome,
        file_name=row.file_name,
        file_sha256=row.file_sha256,
        mapping=row.mapping,
        dry_run=row.is_dry_run,
        strict=row.is_strict,
        started_by=row.started_by,
        started_at=row.created_at,
        finished_at=row.finished_at,
        rows=row.rows,
        accepted=row.accepted,
        rejected=row.rejected,
        progress=(
            shapes.ImportProgress(step=progress.step, done=progress.done, total=progress.total)
            if progress and row.finished_at is None
            else None
        ),
        report=shapes.ImportReportAnswer.model_validate(report) if report else None,
        problem=row.problem,
    )
