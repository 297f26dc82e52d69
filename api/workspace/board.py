"""What the pipeline board shows, read from the ledger: totals of each stage, and the deals in sight."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from sqlalchemy.orm import Session

from ledger.access import Action, Actor, is_permitted, list_users
from ledger.deal_cards import DealSurroundings, closed_counts, describe_deals, list_deals_at
from ledger.deal_lists import DealFilter, StageCount, pipeline_counts
from ledger.tables import AgentDeal
from ledger.vocabulary import AssetType, DealType, PipelineStage, Role

CENT = Decimal("0.01")
ZERO = Decimal("0.00")


@dataclass(frozen=True, slots=True)
class StageRule:
    """What a stage means: the confidence of a deal that states none, and the days that a deal may stand still."""

    default_confidence: Decimal
    limit_days: int | None


@dataclass(frozen=True, slots=True)
class CurrencyTotal:
    """Values of a stage's deals in one currency; `weighted` is each value times its confidence."""

    currency: str
    total: Decimal
    weighted: Decimal


@dataclass(frozen=True, slots=True)
class Card:
    """A deal as its card shows it."""

    deal_id: str
    title: str
    company: str | None
    agent_name: str
    asset_type: AssetType
    deal_type: DealType
    value: Decimal | None
    currency: str
    stage: PipelineStage
    stage_entered_at: datetime
    limit_days: int | None
    latest_kind: str
    latest_at: datetime
    revision: int
    is_movable: bool

    def level(self, days: int) -> str:
        """Return how long the deal has stood still: `amber` past the stage's limit, `red` past twice that."""
        if self.limit_days is None or days <= self.limit_days:
            return ""
        return "red" if days > 2 * self.limit_days else "amber"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Which deals of a column are looked at: `size` of them, beginning with number `first` (counted from 0)."""

    first: int
    size: int


@dataclass(frozen=True, slots=True)
class Column:
    """A stage of the board: all its deals counted and summed, and the cards of a stretch that begins with `first`."""

    stage: PipelineStage
    count: int
    totals: list[CurrencyTotal]
    first: int
    cards: list[Card]


@dataclass(frozen=True, slots=True)
class Board:
    """The whole board, and the people whose deals could be chosen (id -> name)."""

    columns: list[Column]
    agents: dict[str, str]


class BoardReader:
    """Reads one board: the deals that `actor` may see, of one agent or of all, within one ledger session."""

    def __init__(
        self,
        session: Session,
        actor: Actor,
        agent_id: str | None,
        rules: Mapping[PipelineStage, StageRule],
        home_currency: str,
        *,
        narrowing: DealFilter | None = None,
    ) -> None:
        self._session = session
        self._actor = actor
        self._agent_id = agent_id
        self._rules = rules
        self._home_currency = home_currency
        self._narrowing = narrowing or DealFilter()
        self._people = {user.id: user for user in list_users(session)}

    def read_board(self, size: int, shown: Mapping[PipelineStage, Stretch] | None = None) -> Board:
        """Return every stage with its totals and its first `size` deals, or the stretch of them that is `shown`."""
        counts = [
            *pipeline_counts(self._session, self._actor, self._agent_id, wanted=self._narrowing),
            *closed_counts(self._session, self._actor, self._agent_id, wanted=self._narrowing),
        ]
        beginning = Stretch(0, size)
        stretches = {count.stage: _fit((shown or {}).get(count.stage, beginning), count.deals) for count in counts}
        found = {stage: self._list_deals(stage, stretch) for stage, stretch in stretches.items()}
        around = describe_deals(self._session, [deal for deals in found.values() for deal in deals])
        agents = {
            user.id: user.name if user.active else f"{user.name} (left)"
            for user in self._people.values()
            if user.role in (Role.AGENT, Role.MANAGER)
        }
        columns = [
            Column(
                stage=count.stage,
                count=count.deals,
                totals=self._sum_up(count),
                first=stretches[count.stage].first,
                cards=self._describe(found[count.stage], around),
            )
            for count in counts
        ]
        return Board(columns, agents)

    def read_cards(self, stage: PipelineStage, stretch: Stretch) -> list[Card]:
        """Return a stretch of a stage's deals, the last changed first."""
        deals = self._list_deals(stage, stretch)
        return self._describe(deals, describe_deals(self._session, deals))

    def _list_deals(self, stage: PipelineStage, stretch: Stretch) -> Sequence[AgentDeal]:
        if not stretch.size:
            return []
        wanted = replace(self._narrowing, agent_id=self._agent_id, stage=stage, status=stage.status)
        return list_deals_at(self._session, self._actor, wanted, stretch.first, stretch.size)

    def _describe(self, deals: Sequence[AgentDeal], around: Mapping[str, DealSurroundings]) -> list[Card]:
        return [
            Card(
                deal_id=deal.id,
                title=deal.title,
                company=around[deal.id].company,
                agent_name=self._people[deal.agent_id].name,
                asset_type=deal.asset_type,
                deal_type=deal.deal_type,
                value=deal.estimated_value_amount,
                currency=deal.estimated_value_currency,
                stage=deal.pipeline_stage,
                stage_entered_at=around[deal.id].stage_entered_at,
                limit_days=self._rules[deal.pipeline_stage].limit_days,
                latest_kind=around[deal.id].latest_kind,
                latest_at=around[deal.id].latest_at,
                revision=deal.revision,
                # A closed deal leaves its column by being reopened, which is a right of its own.
                is_movable=is_permitted(
                    self._actor, Action.WRITE_DEAL if deal.pipeline_stage.is_open else Action.REOPEN_DEAL, deal
                ),
            )
            for deal in deals
        ]

    def _sum_up(self, count: StageCount) -> list[CurrencyTotal]:
        default = self._rules[count.stage].default_confidence
        return [
            CurrencyTotal(
                currency=currency,
                total=total,
                # As in METRICS: a deal without a confidence takes its stage's.
                weighted=(
                    count.weighted.get(currency, ZERO) + count.without_confidence.get(currency, ZERO) * default
                ).quantize(CENT),
            )
            for currency, total in sorted(
                count.totals.items(), key=lambda item: (item[0] != self._home_currency, item[0])
            )
        ]


def _fit(wanted: Stretch, deals: int) -> Stretch:
    """Return the stretch within a column of `deals`, which may have become shorter since it was looked at."""
    first = max(0, min(wanted.first, deals - wanted.size))
    return Stretch(first, min(wanted.size, deals - first))


@lru_cache(maxsize=4)
def read_stage_rules(dbt_project_dir: Path) -> Mapping[PipelineStage, StageRule]:
    """Return the rules of the stages from the seed that the marts are built with, so that both mean the same."""
    with (dbt_project_dir / "seeds" / "pipeline_stages.csv").open(encoding="utf-8", newline="") as file:
        return {
            PipelineStage(row["stage"]): StageRule(
                default_confidence=Decimal(row["default_confidence"]),
                limit_days=int(row["limit_days"]) if row["limit_days"] else None,
            )
            for row in csv.DictReader(file)
        }
