"""Who is looking at a page, and whose figures that person may see."""

import asyncio

from api.workspace.context import Visit, Visitor
from ledger.access import Action, Actor, get_user, is_permitted


async def find_visitor(visit: Visit) -> Visitor:
    """Return who opened the page; raise `SignedOut` when nobody is signed in."""
    return await asyncio.to_thread(_read_visitor, visit)


def may_see_others(actor: Actor) -> bool:
    """Whether the actor may look at colleagues' deals and figures, or only at their own."""
    return is_permitted(actor, Action.READ_DEAL)


def _read_visitor(visit: Visit) -> Visitor:
    actor = visit.require_actor()
    with visit.workspace.ledger.read() as session:
        name = get_user(session, actor.id).name
    return Visitor(actor, name, visit.find_publication())
