"""Performance: summaries, daily series, benchmarks, all from the published file."""

import dataclasses
from datetime import date, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query

from api import summaries
from api.dependencies import MartsDep, Reading, ReadingActor, Service, ServiceDep, read_clock, refuse_unknown_parameters
from api.documentation import EVERYWHERE, PUBLISHED
from api.figures import Agent, Period, Window
from api.paging import Cursor, Limit, begin_page, end_page
from api.problems import FieldError, Problem
from api.published import Marts
from api.schemas import performance as shapes
from api.schemas.fields import ANY_TEXT, Day
from ledger import access
from ledger.actors import Actor
from ledger.vocabulary import AssetType, Cohort, DealType, Role

router = APIRouter(
    prefix="/api/v1", tags=["performance"], dependencies=[Depends(refuse_unknown_parameters)], responses=EVERYWHERE
)
# Clients already use these addresses for the same answers.
aliases = APIRouter(
    prefix="/api/v1/deals",
    tags=["performance"],
    dependencies=[Depends(refuse_unknown_parameters)],
    responses=EVERYWHERE,
)

AgentId = Annotated[
    str | None,
    Query(description="Whose numbers; an agent may leave it out for their own.", max_length=64, pattern=ANY_TEXT),
]
MetricKey = Annotated[
    str | None,
    Query(
        max_length=100,
        pattern=ANY_TEXT,
        description="One metric alone.",
        openapi_examples={"rate": {"value": "conversion_rate"}},
    ),
]
AsOf = Annotated[Day | None, Query(description="The day asked about; the newest published one unless given.")]

EARLIEST = date(1900, 1, 1)
"""Windows are compared with the one before them, which must still lie within the calendar."""


@aliases.get("/performance/summary", responses=PUBLISHED, summary="An agent's summary (second address)")
@router.get("/performance/summary", responses=PUBLISHED, summary="An agent's summary")
def read_summary(
    marts: MartsDep,
    actor: ReadingActor,
    service: ServiceDep,
    agent_id: AgentId = None,
    period: Annotated[Period | None, Query(description="A window by name; it ends on the day asked about.")] = None,
    first: Annotated[Day | None, Query(alias="from", description="First day of a window of your own.")] = None,
    last: Annotated[Day | None, Query(alias="to", description="Last day of a window of your own.")] = None,
    as_of: AsOf = None,
) -> shapes.SummaryAnswer:
    """The snapshot of a day, what happened in a window that ends on it, the window before, and amounts per currency.

    Counts and sums of a window are the difference of two daily snapshots; its rates are recomputed from those
    differences and are null when the denominator is 0; its medians come from the deals that closed in it.
    """
    agent = find_visible_agent(marts, actor, agent_id)
    window = resolve_window(marts, period=period, first=first, last=last, as_of=as_of)
    summary = summaries.summarise(marts, agent, window)
    return shapes.SummaryAnswer(
        agent=shapes.AgentName.model_validate(agent),
        window=shapes.WindowAnswer(period=window.period, first=window.first, last=window.last),
        reporting_currency=summary.as_of.reporting_currency,
        as_of=shapes.SnapshotAnswer.model_validate(summary.as_of),
        roi=shapes.RoiAnswer.model_validate(summary.as_of),
        in_window=shapes.WindowFiguresAnswer.of(summary.in_window),
        previous_window=shapes.WindowFiguresAnswer.of(summary.previous_window) if summary.previous_window else None,
        by_currency=[shapes.CurrencyFiguresAnswer.model_validate(row) for row in summary.by_currency],
        freshness=describe_freshness(marts, service),
    )


@router.get("/performance/snapshots", responses=PUBLISHED, summary="An agent's daily series")
def list_snapshots(
    marts: MartsDep,
    actor: ReadingActor,
    service: ServiceDep,
    agent_id: AgentId = None,
    first: Annotated[Day | None, Query(alias="from", description="First day.")] = None,
    last: Annotated[Day | None, Query(alias="to", description="Last day.")] = None,
    cursor: Annotated[Day | None, Query(description="`next_cursor` of the page before.")] = None,
    limit: Limit = 200,
) -> shapes.SnapshotPage:
    """One row a day, oldest first."""
    agent = find_visible_agent(marts, actor, agent_id)
    after = cursor + timedelta(days=1) if cursor and cursor < date.max else None
    start = max((day for day in (first, after) if day), default=None)
    rows = summaries.list_snapshots(marts, agent.agent_id, start, last, limit + 1)
    more = len(rows) > limit
    return shapes.SnapshotPage(
        agent=shapes.AgentName.model_validate(agent),
        items=[shapes.SnapshotAnswer.model_validate(row) for row in rows[:limit]],
        next_cursor=rows[limit - 1].snapshot_date.isoformat() if more else None,
        freshness=describe_freshness(marts, service),
    )


@aliases.get("/performance/benchmarks", responses=PUBLISHED, summary="Benchmark figures (second address)")
@router.get("/performance/benchmarks", responses=PUBLISHED, summary="Benchmark figures")
def list_benchmarks(
    marts: MartsDep,
    session: Reading,
    actor: ReadingActor,
    service: ServiceDep,
    asset_type: AssetType | None = None,
    deal_type: DealType | None = None,
    cohort: Cohort | None = None,
    metric_key: MetricKey = None,
    as_of: AsOf = None,
    cursor: Cursor = None,
    limit: Limit = 200,
) -> shapes.BenchmarkPage:
    """The rows that fit; a row for all asset or deal types (null) fits any of them.

    With `as_of`, only rows that held by then: of each figure the newest is the one in force.
    """
    access.authorize(session, actor, access.Action.READ_SUMMARY, actor.id)
    day = resolve_day(marts, as_of)
    span = begin_page(marts, cursor, limit)
    rows = summaries.list_benchmarks(
        marts,
        asset_type=asset_type,
        deal_type=deal_type,
        cohort=cohort,
        metric_key=metric_key,
        as_of=day if as_of else None,
        span=span,
    )
    page, following = end_page(marts, rows, span)
    return shapes.BenchmarkPage(
        as_of=day,
        items=[shapes.BenchmarkAnswer.model_validate(row) for row in page],
        next_cursor=following,
        freshness=describe_freshness(marts, service),
    )


@router.get("/performance/comparison", responses=PUBLISHED, summary="An agent against the benchmarks")
def list_comparison(
    marts: MartsDep,
    actor: ReadingActor,
    service: ServiceDep,
    agent_id: AgentId = None,
    asset_type: AssetType | None = None,
    deal_type: DealType | None = None,
    cohort: Cohort | None = None,
    metric_key: MetricKey = None,
    as_of: AsOf = None,
    cursor: Cursor = None,
    limit: Limit = 200,
) -> shapes.ComparisonPage:
    """Each of the agent's figures, as of a day, beside the benchmark in force on it."""
    agent = find_visible_agent(marts, actor, agent_id)
    day = resolve_day(marts, as_of)
    span = begin_page(marts, cursor, limit)
    rows = summaries.list_comparison(
        marts,
        agent.agent_id,
        asset_type=asset_type,
        deal_type=deal_type,
        cohort=cohort,
        metric_key=metric_key,
        as_of=day,
        span=span,
    )
    page, following = end_page(marts, rows, span)
    return shapes.ComparisonPage(
        agent=shapes.AgentName.model_validate(agent),
        as_of=day,
        items=[shapes.ComparisonAnswer.model_validate(row) for row in page],
        next_cursor=following,
        freshness=describe_freshness(marts, service),
    )


@router.get("/performance/leaderboard", responses=PUBLISHED, summary="Agents by what they won")
def list_leaders(
    marts: MartsDep,
    actor: ReadingActor,
    service: ServiceDep,
    by: Annotated[Literal["won_count", "won_value"], Query(description="What the rank follows.")] = "won_value",
    as_of: AsOf = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> shapes.LeaderboardPage:
    """Ranks by everything won up to the day; an agent who may see only their own numbers gets their own row."""
    window = resolve_window(marts, period=None, first=None, last=None, as_of=as_of)
    span = begin_page(marts, cursor, limit)
    only = None if may_see(actor, None) else actor.id
    rows = summaries.list_leaders(marts, window.last, by_value=by == "won_value", agent_id=only, span=span)
    page, following = end_page(marts, rows, span)
    return shapes.LeaderboardPage(
        day=window.last,
        reporting_currency=marts.publication.reporting_currency,
        items=[shapes.LeaderboardRowAnswer.model_validate(row) for row in page],
        next_cursor=following,
        freshness=describe_freshness(marts, service),
    )


@router.get("/publication", responses=PUBLISHED, summary="The manifest of the published file")
def read_publication(
    marts: MartsDep, session: Reading, actor: ReadingActor, service: ServiceDep
) -> shapes.PublicationAnswer:
    """What is published: how much of the log, for which day, by which definitions, and a digest for each mart."""
    access.authorize(session, actor, access.Action.READ_SUMMARY, actor.id)
    publication = marts.publication
    return shapes.PublicationAnswer(
        **dataclasses.asdict(publication),
        file_name=marts.file_name,
        stale=publication.is_stale(read_clock(), service.stale_after),
        marts=[shapes.MartAnswer.model_validate(mart) for mart in marts.list_marts()],
    )


def find_visible_agent(marts: Marts, actor: Actor, agent_id: str | None) -> Agent:
    """Return the agent asked about; unknown, unpublished and unseen ones are the same 404."""
    if agent_id is None:
        if actor.role is not Role.AGENT:
            raise Problem(
                "request-invalid",
                "Say whose numbers you want.",
                errors=[FieldError(location="query.agent_id", message="Field required")],
            )
        agent_id = actor.id
    agent = summaries.find_agent(marts, agent_id) if may_see(actor, agent_id) else None
    if agent is None:
        raise Problem(
            "agent-not-published",
            "No numbers are published for such an agent, or you may not see them. After the agent's first deal, run"
            " `dealbook refresh`.",
        )
    return agent


def resolve_window(
    marts: Marts, *, period: Period | None, first: date | None, last: date | None, as_of: date | None
) -> Window:
    """Return the window asked for: by name and day, or by its own first and last day."""
    newest = marts.publication.as_of_date
    for parameter, day in (("from", first), ("to", last), ("as_of", as_of)):
        if day and day < EARLIEST:
            raise refuse_parameter(parameter, f"Nothing is known of days before {EARLIEST}.")
    if first or last:
        if period or as_of:
            raise refuse_parameter("from", "Give either from and to, or period and as_of.")
        last = last or newest
        if first and first > last:
            raise refuse_parameter("from", "The first day lies after the last.")
    else:
        last = as_of or newest
        first = (period or Period.AS_OF).first_day(last)
        period = period or Period.AS_OF
    if last > newest:
        raise refuse_parameter("to" if not as_of else "as_of", f"The newest published day is {newest}.")
    return Window(last=last, first=first, period=period)


def resolve_day(marts: Marts, as_of: date | None) -> date:
    """Return the day asked about: the newest published one unless another is given."""
    return resolve_window(marts, period=None, first=None, last=None, as_of=as_of).last


def may_see(actor: Actor, agent_id: str | None) -> bool:
    """Whether the actor may see the agent's numbers, or with None the whole team's."""
    return access.is_permitted(actor, access.Action.READ_SUMMARY, agent_id)


def refuse_parameter(parameter: str, message: str) -> Problem:
    """Return the problem of a query parameter that makes no sense beside the others."""
    errors = [FieldError(location=f"query.{parameter}", message=message)]
    return Problem("request-invalid", "Correct what `errors` lists and send it again.", errors=errors)


def describe_freshness(marts: Marts, service: Service) -> shapes.Freshness:
    """Return of what, and of when, the answer's numbers are."""
    return shapes.Freshness.of(marts.publication, read_clock(), service.stale_after)
