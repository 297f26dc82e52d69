"""What questions about published numbers share: whose they are, of which day or window, and pages of lists."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query

from api import summaries
from api.dependencies import MartsDep, Service, ServiceDep, read_clock
from api.figures import Agent, Period, Window
from api.paging import Cursor, Limit, begin_page, end_page
from api.problems import FieldError, Problem
from api.published import Marts, Span
from api.schemas.fields import Answer, Day
from api.schemas.performance import Freshness
from ledger import access
from ledger.actors import Actor
from ledger.vocabulary import Role

AsOf = Annotated[Day | None, Query(description="The day asked about; the newest published one unless given.")]
Page = TypeVar("Page")

EARLIEST = date(1900, 1, 1)
"""Windows are compared with the one before them, which must still lie within the calendar."""


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


def describe_freshness(marts: Marts, service: Service) -> Freshness:
    """Return of what, and of when, the answer's numbers are."""
    return Freshness.of(marts.publication, read_clock(), service.stale_after)


@dataclass(frozen=True, slots=True)
class Listing:
    """A page that is asked for of a list as of a day."""

    marts: Marts
    day: date
    span: Span
    _service: Service

    def answer(self, page_of: Callable[..., Page], item_of: type[Answer], rows: Sequence[Any], **more: Any) -> Page:
        """Return the page of these rows, one of which may be the first of the next page."""
        shown, following = end_page(self.marts, rows, self.span)
        return page_of(
            items=[item_of.model_validate(row) for row in shown],
            as_of=self.day,
            next_cursor=following,
            freshness=describe_freshness(self.marts, self._service),
            **more,
        )


def begin_listing(
    marts: MartsDep, service: ServiceDep, as_of: AsOf = None, cursor: Cursor = None, limit: Limit = 200
) -> Listing:
    """Return the page that is asked for."""
    return Listing(marts, resolve_day(marts, as_of), begin_page(marts, cursor, limit), service)


ListingDep = Annotated[Listing, Depends(begin_listing, scope="function")]
