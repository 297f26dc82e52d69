"""Who may do what, in one table. Nothing here reads a database; `ledger.access` asks it inside each transaction."""

from enum import Enum, StrEnum, auto

from ledger.actors import Actor
from ledger.tables import AgentDeal
from ledger.vocabulary import Role


class Action(StrEnum):
    """What can be done, as the table of rights names it."""

    READ_DEAL = auto()
    READ_COMMISSION = auto()
    READ_SUMMARY = auto()
    WRITE_DEAL = auto()
    RECORD_COMMISSION = auto()
    OPEN_DISPUTE = auto()
    SETTLE_COMMISSION = auto()
    REOPEN_DEAL = auto()
    ASSIGN_DEAL = auto()
    EXPORT_EVIDENCE = auto()
    IMPORT = auto()
    ROLL_BACK = auto()
    MANAGE_ACCESS = auto()


class Scope(Enum):
    """Over which objects a right extends."""

    NONE = auto()
    OWN = auto()
    OWN_DEAL_OR_LINE = auto()
    NOT_OWN_LINE = auto()
    ALL = auto()


_N, _A = Scope.NONE, Scope.ALL
RIGHTS: dict[Action, dict[Role, Scope]] = {
    action: dict(zip((Role.VIEWER, Role.AGENT, Role.MANAGER, Role.ADMIN), scopes, strict=True))
    for action, scopes in {
        Action.READ_DEAL: (_A, Scope.OWN, _A, _A),
        Action.READ_COMMISSION: (_A, Scope.OWN_DEAL_OR_LINE, _A, _A),
        Action.READ_SUMMARY: (_A, Scope.OWN, _A, _A),
        Action.WRITE_DEAL: (_N, Scope.OWN, _A, _N),
        Action.RECORD_COMMISSION: (_N, Scope.OWN_DEAL_OR_LINE, _A, _N),
        Action.OPEN_DISPUTE: (_N, Scope.OWN_DEAL_OR_LINE, _A, _N),
        Action.SETTLE_COMMISSION: (_N, _N, Scope.NOT_OWN_LINE, _N),
        Action.REOPEN_DEAL: (_N, _N, _A, _N),
        Action.ASSIGN_DEAL: (_N, _N, _A, _N),
        Action.EXPORT_EVIDENCE: (_N, Scope.OWN, _A, _A),
        Action.IMPORT: (_N, _N, _A, _N),
        Action.ROLL_BACK: (_N, _N, _A, _N),
        Action.MANAGE_ACCESS: (_N, _N, _N, _A),
    }.items()
}
"""Action -> role -> scope. A manager settles all commissions but their own: the maker is not the checker."""


class Line:
    """A commission as rights see it: the deal's agent and the line's own agent."""

    def __init__(self, deal_agent_id: str, agent_id: str) -> None:
        self.deal_agent_id, self.agent_id = deal_agent_id, agent_id


Target = AgentDeal | Line | str | None
"""A deal, a commission line, the id of the agent whose numbers are meant, or nothing in particular."""


def is_permitted(actor: Actor, action: Action, target: Target = None) -> bool:
    """Say whether the table of rights lets `actor` do `action` to `target`; reads no database."""
    if actor.kind == "system":
        return True
    scope = RIGHTS[action][actor.role]
    deal_agent = target if isinstance(target, str) else getattr(target, "deal_agent_id", None)
    line_agent = target.agent_id if isinstance(target, Line) else None
    if isinstance(target, AgentDeal):
        deal_agent = target.agent_id
    match scope:
        case Scope.ALL:
            return True
        case Scope.NONE:
            return False
        case Scope.OWN:
            return deal_agent == actor.id
        case Scope.OWN_DEAL_OR_LINE:
            return actor.id in (deal_agent, line_agent)
        case Scope.NOT_OWN_LINE:
            return line_agent != actor.id
