"""Lists of marts beyond the summary: funnel, cycle times, calibration, payout velocity, lead sources."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query

from api import analyses
from api.analyses import CalibrationScope
from api.dependencies import MartsDep, ReadingActor, refuse_unknown_parameters
from api.documentation import EVERYWHERE, PUBLISHED
from api.figures import Whose
from api.questions import ListingDep, find_visible_agent, may_see, refuse_parameter
from api.schemas import analyses as shapes
from api.schemas.fields import ANY_TEXT, Day
from ledger.vocabulary import AssetType, DealType

router = APIRouter(
    prefix="/api/v1/performance",
    tags=["performance"],
    dependencies=[Depends(refuse_unknown_parameters)],
    responses=EVERYWHERE,
)

AgentId = Annotated[
    str | None,
    Query(
        description="Whose numbers; without it the whole team's, or for an agent their own.",
        max_length=64,
        pattern=ANY_TEXT,
    ),
]
Per = Annotated[
    Literal["team", "agent"], Query(description="`agent`: rows of each agent instead of the team's, without agent_id.")
]


def resolve_whose(
    marts: MartsDep,
    actor: ReadingActor,
    agent_id: AgentId = None,
    per: Per = "team",
) -> Whose:
    """Return whose rows are asked for; who may see only their own numbers gets those, whatever they leave out."""
    if agent_id is not None and per == "agent":
        raise refuse_parameter("per", "Give either agent_id or per=agent.")
    if agent_id is None and may_see(actor, None):
        return Whose(is_each=per == "agent")
    return Whose(find_visible_agent(marts, actor, agent_id))


WhoseDep = Annotated[Whose, Depends(resolve_whose, scope="function")]


@router.get("/funnel", responses=PUBLISHED, summary="From stage to stage")
def list_funnel(
    whose: WhoseDep,
    listing: ListingDep,
    asset_type: AssetType | None = None,
    deal_type: DealType | None = None,
    first: Annotated[
        Day | None, Query(alias="from", description="Deals that entered a stage from the month of this day on.")
    ] = None,
    last: Annotated[
        Day | None, Query(alias="to", description="Deals that entered a stage up to the month of this day.")
    ] = None,
    by: Annotated[
        Literal["stage", "month"], Query(description="`month`: a row for each stage and month of entry.")
    ] = "stage",
) -> shapes.FunnelPage:
    """Of the distinct deals that first entered a stage, how many reached any later one (but closed_lost) in the window.

    A skipped stage counts as reached, a second entry does not count again, and deals that are still open within their
    window stand apart as pending. Months of entry are whole.
    """
    if first and last and first > last:
        raise refuse_parameter("from", "The first day lies after the last.")
    rows = analyses.list_funnel(
        listing.marts,
        whose,
        asset_type=asset_type,
        deal_type=deal_type,
        first=first,
        last=last,
        by_month=by == "month",
        as_of=listing.day,
        span=listing.span,
    )
    return listing.answer(shapes.FunnelPage, shapes.FunnelStepAnswer, rows)


@router.get("/cycle-times", responses=PUBLISHED, summary="How long it takes to win")
def list_cycle_times(
    whose: WhoseDep,
    listing: ListingDep,
    asset_type: AssetType | None = None,
    deal_type: DealType | None = None,
) -> shapes.CycleTimePage:
    """Days from the first stage event to the win, up to the day asked about: mean and median of won deals, and the
    Kaplan-Meier median, which counts open deals at their age."""
    rows = analyses.list_cycle_times(
        listing.marts, whose, asset_type=asset_type, deal_type=deal_type, as_of=listing.day, span=listing.span
    )
    return listing.answer(shapes.CycleTimePage, shapes.CycleTimeAnswer, rows)


@router.get("/calibration", responses=PUBLISHED, summary="Whose confidence can be believed")
def list_calibration(
    whose: WhoseDep,
    listing: ListingDep,
    scope: CalibrationScope | None = None,
) -> shapes.CalibrationPage:
    """Confidence as it stood 30 days before the close against what came of it: Brier score and reliability by bin.

    The team's rows have the scopes team, stage and stage_default (what the defaults of the stages assumed); an agent's
    have the scope agent. Scores are null where fewer than 20 deals stand behind them.
    """
    rows = analyses.list_calibration(listing.marts, whose, scope=scope, as_of=listing.day, span=listing.span)
    return listing.answer(shapes.CalibrationPage, shapes.CalibrationScoreAnswer, rows)


@router.get("/velocity", responses=PUBLISHED, summary="How long commissions take to be paid")
def list_velocity(
    whose: WhoseDep,
    listing: ListingDep,
) -> shapes.PayoutVelocityPage:
    """Days from introduced to confirmed, confirmed to invoiced, invoiced to paid; mean, median and how many.

    Sales velocity, money per day, stands in the summary and in the daily series.
    """
    rows = analyses.list_payout_velocity(listing.marts, whose, as_of=listing.day, span=listing.span)
    return listing.answer(shapes.PayoutVelocityPage, shapes.PayoutStepAnswer, rows)


@router.get("/lead-sources", responses=PUBLISHED, summary="What lead sources bring and cost")
def list_lead_sources(
    whose: WhoseDep,
    listing: ListingDep,
    lead_source: Annotated[
        str | None, Query(max_length=200, pattern=ANY_TEXT, description="One source alone, in the words of the import.")
    ] = None,
) -> shapes.LeadSourcePage:
    """Commission yield, revenue per won deal and per open day, and ROI where a cost is known; first the total."""
    rows = analyses.list_lead_sources(
        listing.marts, whose, lead_source=lead_source, as_of=listing.day, span=listing.span
    )
    return listing.answer(shapes.LeadSourcePage, shapes.LeadSourceAnswer, rows)
