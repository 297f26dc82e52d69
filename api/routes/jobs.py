"""Jobs: what refreshed the numbers, when, how long it took and how it ended."""

from fastapi import APIRouter, Depends
from pydantic import ValidationError

from api.dependencies import ReadingActor, ServiceDep, refuse_unknown_parameters
from api.documentation import EVERYWHERE
from api.job_log import read_jobs
from api.parameters import Cursor, Limit
from api.schemas import jobs as shapes

router = APIRouter(
    prefix="/api/v1", tags=["operations"], dependencies=[Depends(refuse_unknown_parameters)], responses=EVERYWHERE
)


@router.get("/jobs", summary="What refreshed the numbers")
def list_jobs(
    service: ServiceDep,
    _: ReadingActor,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> shapes.JobPage:
    """The last run first. A refresh that found nothing new is no run."""
    lines, next_cursor = read_jobs(service.settings.home / "logs" / "refresh.jsonl", cursor, limit)
    jobs = [job for line in lines if (job := _describe(line)) is not None]
    return shapes.JobPage(items=jobs, next_cursor=next_cursor)


def _describe(line: dict[str, object]) -> shapes.Job | None:
    try:
        found = shapes.JobLine.model_validate(line)
    except ValidationError:
        return None  # written by another version
    return shapes.Job(
        run_id=found.run_id,
        name="refresh",
        started_by=found.started_by,
        ended_at=found.timestamp,
        outcome=found.outcome,
        duration_seconds=found.duration_seconds,
        entries_read=found.entries_landed,
        rows=found.rows_published,
        log_size=found.log_size,
        as_of_date=found.as_of_date,
        publication=found.publication,
        failed_checks=found.failed_checks,
    )
