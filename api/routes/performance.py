"""Performance: summaries, daily series, benchmarks, all from the published file."""

from datetime import date, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response

from api import summaries
from api.dependencies import MartsDep, Reading, ReadingActor, ServiceDep, refuse_unknown_parameters
from api.documentation import EVERYWHERE, PUBLISHED
from api.figures import Agent, Period, Window
from api.paging import Cursor, Limit, begin_page, end_page
from api.published import Marts
from api.questions import (
    AsOf,
    ListingDep,
    describe_freshness,
    find_visible_agent,
    may_see,
    resolve_day,
    resolve_window,
)
from api.schemas import performance as shapes
from api.schemas.fields import ANY_TEXT, Day
from ledger import access
from ledger.vocabulary import AssetType, Cohort, DealType

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


@aliases.get(
    "/performance/summary",
    response_model=shapes.SummaryAnswer,
    responses=PUBLISHED,
    summary="An agent's summary (second address)",
)
@router.get(
    "/performance/summary", response_model=shapes.SummaryAnswer, responses=PUBLISHED, summary="An agent's summary"
)
def read_summary(
    marts: MartsDep,
    actor: ReadingActor,
    service: ServiceDep,
    agent_id: AgentId = None,
    period: Annotated[Period | None, Query(description="A window by name; it ends on the day asked about.")] = None,
    first: Annotated[Day | None, Query(alias="from", description="First day of a window of your own.")] = None,
    last: Annotated[Day | None, Query(alias="to", description="Last day of a window of your own.")] = None,
    as_of: AsOf = None,
) -> Response:
    """The snapshot of a day, what happened in a window that ends on it, the window before, and amounts per currency.

    Counts and sums of a window are the difference of two daily snapshots; its rates are recomputed from those
    differences and are null when the denominator is 0; its medians come from the deals that closed in it.
    """
    agent = find_visible_agent(marts, actor, agent_id)
    window = resolve_window(marts, period=period, first=first, last=last, as_of=as_of)
    # What was asked before is not even written again, but for how fresh it is by now.
    figures = marts.once(("summary", agent.agent_id, window), lambda: _write_summary(marts, agent, window))
    freshness = describe_freshness(marts, service).model_dump_json().encode()
    return Response(b'%b,"freshness":%b}' % (figures.removesuffix(b"}"), freshness), media_type="application/json")


def _write_summary(marts: Marts, agent: Agent, window: Window) -> bytes:
    summary = summaries.summarise(marts, agent, window)
    answer = shapes.SummaryFigures(
        agent=shapes.AgentName.model_validate(agent),
        window=shapes.WindowAnswer(period=window.period, first=window.first, last=window.last),
        reporting_currency=summary.as_of.reporting_currency,
        as_of=shapes.SnapshotAnswer.model_validate(summary.as_of),
        roi=shapes.RoiAnswer.model_validate(summary.as_of),
        in_window=shapes.WindowFiguresAnswer.of(summary.in_window),
        previous_window=shapes.WindowFiguresAnswer.of(summary.previous_window) if summary.previous_window else None,
        by_currency=[shapes.CurrencyFiguresAnswer.model_validate(row) for row in summary.by_currency],
    )
    return answer.model_dump_json(by_alias=True).encode()


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
    actor: ReadingActor,
    listing: ListingDep,
    agent_id: AgentId = None,
    asset_type: AssetType | None = None,
    deal_type: DealType | None = None,
    cohort: Cohort | None = None,
    metric_key: MetricKey = None,
) -> shapes.ComparisonPage:
    """Each of the agent's figures, as of a day, beside the benchmark in force on it."""
    agent = find_visible_agent(listing.marts, actor, agent_id)
    rows = summaries.list_comparison(
        listing.marts,
        agent.agent_id,
        asset_type=asset_type,
        deal_type=deal_type,
        cohort=cohort,
        metric_key=metric_key,
        as_of=listing.day,
        span=listing.span,
    )
    named = shapes.AgentName.model_validate(agent)
    return listing.answer(shapes.ComparisonPage, shapes.ComparisonAnswer, rows, agent=named)


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
