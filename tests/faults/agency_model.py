"""Deals and commissions as a few dozen lines of Python understand them, to be held against the real API.

Written from the documents, not from the code: each method returns the status that the API must answer with, and changes
the model when it is a success.
"""

from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

OPEN_STAGES = (
    "lead_captured",
    "qualification",
    "needs_analysis",
    "proposal",
    "negotiation",
    "agreement",
    "due_diligence",
    "awaiting_closure",
)
STAGES = (*OPEN_STAGES, "closed_won", "closed_lost")
STATUSES = ("pending", "confirmed", "invoiced", "paid", "disputed", "written_off")
NEXT = {
    "pending": ("confirmed", "written_off"),
    "confirmed": ("invoiced", "written_off"),
    "invoiced": ("paid", "written_off"),
}
ROLE_OF = {"viewer": "viewer", "anna": "agent", "ben": "agent", "manager": "manager", "admin": "admin"}


@dataclass
class Line:
    """A commission; `revision` is the deal's when something last happened to it."""

    type: str
    agent: str
    basis: Decimal
    rate: Decimal
    status: str = "pending"
    amount: Decimal | None = None
    before_dispute: str = ""
    revision: int = 1
    id: str = ""
    open_dispute: str = ""
    last_dispute: str = ""
    adjustments: list[Decimal] = field(default_factory=list)


@dataclass
class Deal:
    """A deal; `revision` counts everything that ever happened to it."""

    agent: str
    stage: str = "lead_captured"
    status: str = "open"
    title: str = "Tower"
    revision: int = 1
    path: list[str] = field(default_factory=lambda: ["lead_captured"])
    lines: list[Line] = field(default_factory=list)
    id: str = ""

    def refuse(self, who: str, *, managers_alone: bool = False) -> int:
        """Return 404 or 403 when `who` may not write this deal, else 0."""
        role = ROLE_OF[who]
        if role == "agent" and self.agent != who:
            return 404
        if role in ("viewer", "admin") or (managers_alone and role != "manager"):
            return 403
        return 0

    def move(self, who: str, stage: str, revision: int) -> int:
        refused = self.refuse(who)
        if refused or revision != self.revision:
            return refused or 412
        if self.status == "cancelled" or self.stage not in OPEN_STAGES or stage == self.stage:
            return 409
        self._enter(stage)
        return 200

    def reopen(self, who: str, stage: str) -> int:
        refused = self.refuse(who, managers_alone=True)
        if refused:
            return refused
        if self.status == "open" or stage not in OPEN_STAGES:
            return 409
        self._enter(stage)
        return 200

    def cancel(self, who: str) -> int:
        refused = self.refuse(who)
        if refused or self.status != "open":
            return refused or 409
        self.status = "cancelled"
        self.revision += 1
        return 200

    def rename(self, who: str, title: str, revision: int) -> int:
        refused = self.refuse(who)
        if refused or revision != self.revision:
            return refused or 412
        if title == self.title:
            return 422
        self.title = title
        self.revision += 1
        return 200

    def assign(self, who: str, agent: str) -> int:
        refused = self.refuse(who, managers_alone=True)
        if refused:
            return refused
        if agent == self.agent:
            return 422
        self.agent = agent
        self.revision += 1
        return 200

    def record(self, who: str, line: Line) -> int:
        role = ROLE_OF[who]
        if role == "agent" and self.agent != who:
            return 404 if line.agent != who else self._take(line)
        return 403 if role in ("viewer", "admin") else self._take(line)

    def _take(self, line: Line) -> int:
        if any((known.type, known.agent) == (line.type, line.agent) for known in self.lines):
            return 409
        self.lines.append(line)
        self._touch(line)
        return 201

    def _enter(self, stage: str) -> None:
        self.stage = stage
        self.status = "open" if stage in OPEN_STAGES else stage
        self.path.append(stage)
        self.revision += 1

    def _touch(self, line: Line) -> None:
        """Note what happened to a line: both have a new revision, and it is the same number."""
        self.revision += 1
        line.revision = self.revision

    def refuse_line(self, who: str, line: Line, *, settles: bool) -> int:
        """Return 404 or 403 when `who` may not settle (or dispute) this line, else 0: the maker is not the checker."""
        role = ROLE_OF[who]
        if role == "agent" and who not in (self.agent, line.agent):
            return 404
        if role in ("viewer", "admin") or (settles and (role == "agent" or line.agent == who)):
            return 403
        return 0

    def settle(self, who: str, line: Line, status: str, revision: int) -> int:
        refused = self.refuse_line(who, line, settles=True)
        if refused or revision != line.revision:
            return refused or 412
        if status not in NEXT.get(line.status, ()):
            return 409
        if status == "confirmed":
            line.amount = (line.basis * line.rate).quantize(Decimal("0.01"), ROUND_HALF_UP)
        line.status = status
        self._touch(line)
        return 200

    def adjust(self, who: str, line: Line, kind: str, amount: Decimal) -> int:
        refused = self.refuse_line(who, line, settles=True)
        if refused:
            return refused
        if amount == 0 or (amount < 0 and kind != "correction"):
            return 422
        if line.status == "written_off":
            return 409
        line.adjustments.append(amount)
        self.revision += 1
        return 201

    def dispute(self, who: str, line: Line) -> int:
        refused = self.refuse_line(who, line, settles=False)
        if refused:
            return refused
        if line.status in ("disputed", "written_off"):
            return 409
        line.before_dispute, line.status = line.status, "disputed"
        self._touch(line)
        return 201

    def resolve(self, who: str, line: Line, dispute: str, writes_off: bool) -> int:
        refused = self.refuse_line(who, line, settles=True)
        if refused:
            return refused
        if dispute != line.open_dispute:
            return 409
        line.status = "written_off" if writes_off else line.before_dispute
        line.open_dispute = ""
        self._touch(line)
        return 200
