"""The made-up agency behind the sample export: agents of different strength, clients, deals and how they went.

Everything follows from a seed. Names are put together from syllables and belong to nobody; e-mails end in example.com.
Times are naive, in the agency's own time zone, on whole minutes.
"""

import random
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import accumulate

OPEN_STAGES = (
    "New Lead", "Qualified", "Needs Analysis", "Proposal Sent",
    "Negotiation", "Agreement Signed", "Due Diligence", "Awaiting Completion",
)  # fmt: skip
WON, LOST, WITHDRAWN = "Won", "Lost", "Withdrawn"
AGREEMENT = OPEN_STAGES.index("Agreement Signed")
# Per open stage: mean days spent in it, chance to lose the deal there, confidence in percent.
_DWELL = (8, 12, 14, 17, 20, 21, 25, 28)
_LOSS = (0.20, 0.14, 0.11, 0.13, 0.11, 0.05, 0.05, 0.03)
_CONFIDENCE = (10, 20, 30, 45, 60, 80, 90, 95)
# What agents state at a move: their stage's confidence, with a feeling for how it will end, and a good deal of mood.
_FEELING, _MOOD, _UNSTATED = 4, 20, 0.12
_SKIP, _BACK, _WITHDRAW, _REOPEN_LOST, _REOPEN_WON = 0.08, 0.05, 0.006, 0.04, 0.006

# Chinese New Year and the year's end are quiet, spring and autumn busy.
_MONTHS = (0.8, 0.65, 1.15, 1.2, 1.15, 1.0, 1.05, 0.85, 1.1, 1.2, 1.05, 0.7)
_WEEKDAYS = (1.2, 1.2, 1.1, 1.1, 1.0, 0.7, 0.4)
# Class -> median sale price, its spread, share of deals, share of them in US dollars.
_CLASSES = {
    "Condo": (1_600_000, 0.45, 30, 0.03),
    "HDB": (560_000, 0.25, 20, 0.0),
    "Landed": (4_200_000, 0.5, 8, 0.05),
    "Office": (6_000_000, 0.9, 10, 0.30),
    "Shophouse": (5_500_000, 0.5, 6, 0.10),
    "Retail": (2_400_000, 0.7, 7, 0.15),
    "Factory": (3_800_000, 0.7, 6, 0.15),
    "Warehouse": (5_200_000, 0.7, 5, 0.20),
    "Hotel": (48_000_000, 0.8, 2, 0.60),
    "Mixed Use": (22_000_000, 0.7, 2, 0.30),
    "Land": (15_000_000, 0.9, 2, 0.20),
    "Portfolio": (65_000_000, 0.6, 2, 0.60),
}
# Service -> share of deals, share of the sale price that the deal is worth.
_SERVICES = {"Sale": (45, 1.0), "Purchase": (25, 1.0), "Lease": (24, 0.035), "Property Management": (6, 0.02)}
_SOURCES = ("Referral", "Portal", "Walk-in", "Website", "Cold call", "Roadshow")
_FIRST = (
    ("Vel", "Or", "Thi", "Bru", "Cas", "Del", "Fen", "Gal", "Hes", "Jor", "Kel", "Lum", "Mir", "Nev", "Pel", "Quin"),
    ("da", "iston", "mon", "nessa", "pira", "lo", "wyn", "dric", "ra", "vian", "sel", "ta"),
)
_LAST = (
    ("Tarr", "Osk", "Brim", "Quill", "Vant", "Drell", "Harp", "Morr", "Stav", "Wex", "Yarr", "Zell", "Elph", "Crun"),
    ("ington", "elby", "akker", "owmere", "ister", "andal", "enfold", "umber", "ovane", "ick", "adine", "orth"),
)
_FIRMS = ("Holdings", "Partners", "Estates", "Trading", "Logistics", "Capital", "Foods", "Textiles", "Marine", "Labs")
_NOTES = (
    "Spoke on the phone",
    "Viewing arranged",
    "Client asked for another floor plan",
    "Waiting for the valuation",
    "",
)


@dataclass(slots=True)
class Agent:
    """An agent; strength 0.2 to 1 moves the odds, weight the share of the deals."""

    first: str
    last: str
    email: str
    position: str
    standing: str
    strength: float
    pace: float
    weight: float

    @property
    def name(self) -> str:
        """The name as it should be spelled."""
        return f"{self.first} {self.last}"


@dataclass(slots=True)
class Commission:
    """A claim on a deal and its history; dates only, None where it did not come to that."""

    agent: Agent
    kind: str
    basis: Decimal
    rate: Decimal  # percent
    amount: Decimal
    introduced: date
    confirmed: date | None = None
    invoiced: date | None = None
    paid: date | None = None
    written_off: date | None = None
    disputed: date | None = None
    disputed_amount: Decimal | None = None
    resolved: date | None = None
    outcome: str = ""
    adjustment: str = ""
    adjustment_amount: Decimal | None = None
    adjusted: date | None = None

    @property
    def status(self) -> str:
        """Where it stands."""
        if self.disputed and not self.resolved:
            return "Disputed"
        steps = {
            "Written Off": self.written_off,
            "Paid": self.paid,
            "Invoiced": self.invoiced,
            "Confirmed": self.confirmed,
        }
        return next((status for status, on in steps.items() if on), "Pending")


@dataclass(slots=True)
class Deal:
    """A deal and its path; the last stage may be Won, Lost or Withdrawn."""

    number: int
    id: str
    title: str
    agent: Agent
    client: str
    contact: str
    property_class: str
    service: str
    source: str
    district: str
    value: Decimal
    currency: str
    confidence: int | None
    expected_close: date
    path: list[tuple[str, datetime]]
    stated: list[int | None]  # the confidence at each step of the path
    notes: list[str]
    commissions: list[Commission] = field(default_factory=list)

    @property
    def stage(self) -> str:
        """Where it stands."""
        return self.path[-1][0]

    @property
    def opened(self) -> datetime:
        """When it was opened."""
        return self.path[0][1]

    @property
    def is_open(self) -> bool:
        """Whether it is still being worked."""
        return self.stage in OPEN_STAGES


class World:
    """The agency: its people at once, its deals one after the other, in the order in which they were opened.

    Another seed is other business of the same people, so that a second sample can follow a first one.
    """

    def __init__(self, *, deals: int, agents: int, years: int, seed: int, until: date) -> None:
        self.deals_count, self.until, self._seed = deals, until, seed
        self._end = datetime.combine(until, time())
        self._random = random.Random(f"deals {seed}")  # noqa: S311 (a sample, not a secret)
        # A stream of its own: what agents state changes nothing of what happens.
        self._statements = random.Random(f"statements {seed}")  # noqa: S311
        self.agents = _make_agents(agents, random.Random("agents"))  # noqa: S311
        self._agent_weights = list(accumulate(agent.weight for agent in self.agents))
        self._class_weights = list(accumulate(each[2] for each in _CLASSES.values()))
        self._service_weights = list(accumulate(each[0] for each in _SERVICES.values()))
        first = until - timedelta(days=round(years * 365.25))
        self._days = [first + timedelta(days=number) for number in range((until - first).days)]
        growth = 0.5 / max(len(self._days), 1)
        self._day_weights = list(
            accumulate(
                _MONTHS[day.month - 1] * _WEEKDAYS[day.weekday()] * (0.75 + growth * number)
                for number, day in enumerate(self._days)
            )
        )

    def deals(self) -> Iterator[Deal]:
        """Yield the deals."""
        for number in range(self.deals_count):
            yield self._make_deal(number)

    def _pick(self, cumulative: Sequence[float]) -> int:
        return bisect(cumulative, self._random.random() * cumulative[-1], 0, len(cumulative) - 1)

    def _at(self, day: date) -> datetime:
        """A moment in working hours."""
        clock = time(9 + int(self._random.random() * 10), int(self._random.random() * 60))
        return datetime.combine(day, clock)

    def _make_deal(self, number: int) -> Deal:
        rng = self._random
        share = (number + rng.random()) / self.deals_count * self._day_weights[-1]
        opened = self._at(self._days[bisect(self._day_weights, share, 0, len(self._days) - 1)])
        agent = self.agents[self._pick(self._agent_weights)]
        property_class = list(_CLASSES)[self._pick(self._class_weights)]
        service = list(_SERVICES)[self._pick(self._service_weights)]
        price, spread, _, dollars = _CLASSES[property_class]
        worth = price * rng.lognormvariate(0, spread) * _SERVICES[service][1]
        rounding = 1000 if worth > 100_000 else 50
        path = self._walk(agent, opened)
        stage = path[-1][0]
        client = f"{_fictional(rng, _LAST)} {_FIRMS[int(rng.random() * len(_FIRMS))]}"
        district = f"D{1 + int(rng.random() * 28):02d}"
        deal = Deal(
            number=number,
            id=f"D{self._seed}-{number + 1:07d}",
            title=f"{service} of {property_class} in {district}",
            agent=agent,
            client=client if rng.random() > 0.15 else "",
            contact=f"{_fictional(rng, _FIRST)} {_fictional(rng, _LAST)}",
            property_class=property_class,
            service=service,
            source=_SOURCES[int(rng.random() ** 1.6 * len(_SOURCES))],
            district=district,
            value=Decimal(max(rounding, round(worth / rounding) * rounding)),
            currency="USD" if rng.random() < dollars else "SGD",
            confidence=self._confidence(stage),
            expected_close=opened.date() + timedelta(days=60 + int(rng.random() * 120)),
            path=path,
            stated=[],
            notes=[_NOTES[int(rng.random() * len(_NOTES))] for _ in path],
        )
        deal.commissions = self._make_commissions(deal)
        deal.stated = [self._state(stage, deal.stage) for stage, _ in path]
        if deal.is_open:
            deal.stated[-1] = deal.confidence
        return deal

    def _confidence(self, stage: str) -> int | None:
        if stage not in OPEN_STAGES or self._random.random() < 0.1:
            return None
        return min(100, max(0, _CONFIDENCE[OPEN_STAGES.index(stage)] + 5 * int(self._random.random() * 5 - 2)))

    def _state(self, stage: str, fate: str) -> int | None:
        """The confidence stated at a step, in percent; at the end the CRM puts in what the outcome is."""
        rng = self._statements
        if stage not in OPEN_STAGES:
            return 100 if stage == WON else 0
        is_unstated = rng.random() < _UNSTATED
        feeling = {WON: _FEELING, LOST: -_FEELING}.get(fate, 0)
        felt = _CONFIDENCE[OPEN_STAGES.index(stage)] + rng.gauss(feeling, _MOOD)
        return None if is_unstated else min(95, max(5, 5 * round(felt / 5)))

    def _later(self, moment: datetime, days: float) -> datetime:
        """A moment in working hours about so many days later, and never earlier."""
        later = self._at((moment + timedelta(days=days)).date())
        return later if later > moment else moment + timedelta(minutes=5 + int(self._random.random() * 90))

    def _walk(self, agent: Agent, opened: datetime) -> list[tuple[str, datetime]]:
        rng, end = self._random, self._end
        stage, now = 0, opened
        path = [(OPEN_STAGES[0], opened)]
        loss = 1.45 - agent.strength
        is_reopened = False
        while True:
            now = self._later(now, _DWELL[stage] * agent.pace * rng.lognormvariate(-0.2, 0.65))
            if now >= end:
                return path
            chance = rng.random()
            if chance < _WITHDRAW:
                path.append((WITHDRAWN, now))
                return path
            if chance < _WITHDRAW + _LOSS[stage] * loss:
                path.append((LOST, now))
                if is_reopened or rng.random() >= _REOPEN_LOST:
                    return path
            elif rng.random() < _BACK and stage > 0:
                stage -= 1
                path.append((OPEN_STAGES[stage], now))
                continue
            elif stage == len(OPEN_STAGES) - 1:
                path.append((WON, now))
                if is_reopened or rng.random() >= _REOPEN_WON:
                    return path
            else:
                stage = min(stage + (2 if rng.random() < _SKIP else 1), len(OPEN_STAGES) - 1)
                path.append((OPEN_STAGES[stage], now))
                continue
            now = self._later(now, 15 + rng.random() * 70)
            if now >= end:
                return path
            is_reopened = True
            stage = 4
            path.append((OPEN_STAGES[stage], now))

    def _make_commissions(self, deal: Deal) -> list[Commission]:
        late = OPEN_STAGES[AGREEMENT:]
        reached = next((at for stage, at in deal.path if stage in late), None)
        if reached is None or reached.date() + timedelta(days=1) >= self.until:
            return []
        rng = self._random
        claims = [("Exclusive" if rng.random() < 0.7 else "Introducer", deal.agent, 1 + rng.random() * 1.5)]
        if rng.random() < 0.25:
            other = self.agents[int(rng.random() * len(self.agents))]
            claims.append(("Co-broke" if rng.random() < 0.6 else "Introducer", other, 0.5 + rng.random() * 0.5))
            if claims[1][:2] == claims[0][:2]:
                claims.pop()
        return [self._make_commission(deal, reached.date(), *claim) for claim in claims]

    def _make_commission(self, deal: Deal, reached: date, kind: str, agent: Agent, percent: float) -> Commission:
        rng, until = self._random, self.until

        def later(day: date, least: int, most: int) -> date | None:
            """A later day, or None when it has not come yet."""
            found = day + timedelta(days=least + int(rng.random() * (most - least + 1)))
            return found if found < until else None

        rate = Decimal(round(percent * 20)) / 20
        amount = (deal.value * rate / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
        claim = Commission(agent, kind, deal.value, rate, amount, reached + timedelta(days=1))
        ended = max(deal.path[-1][1].date(), claim.introduced)
        if deal.stage in (LOST, WITHDRAWN):
            claim.written_off = later(ended, 1, 10)
        if deal.stage != WON:
            return claim
        claim.confirmed = last = later(ended, 1, 5)
        if last is None:
            return claim
        if rng.random() < 0.05 and (disputed := later(last, 2, 20)):
            claim.disputed = disputed
            claim.disputed_amount = (amount * (25 + int(rng.random() * 76)) / 100).quantize(
                Decimal("0.01"), ROUND_HALF_UP
            )
            claim.resolved = last = later(disputed, 5, 60)
            if last is None:
                return claim
            claim.outcome = ("Upheld", "Partly", "Denied")[int(rng.random() * 3)]
        claim.invoiced = last = later(last, 3, 15)
        claim.paid = last = later(last, 10, 45) if last else None
        if last and rng.random() < 0.06 and (adjusted := later(last, 20, 120)):
            claim.adjusted = adjusted
            claim.adjustment = "Clawback" if rng.random() < 0.6 else ("Bonus" if rng.random() < 0.7 else "Correction")
            share = (10 + int(rng.random() * 41)) * (-1 if claim.adjustment == "Correction" else 1)
            claim.adjustment_amount = (amount * share / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
        return claim


def _fictional(rng: random.Random, syllables: tuple[tuple[str, ...], tuple[str, ...]]) -> str:
    head, tail = syllables
    return head[int(rng.random() * len(head))] + tail[int(rng.random() * len(tail))]


def _make_agents(count: int, rng: random.Random) -> list[Agent]:
    agents: list[Agent] = []
    taken: dict[str, int] = {}
    for number in range(count):
        first, last = _fictional(rng, _FIRST), _fictional(rng, _LAST)
        twins = taken[f"{first} {last}"] = taken.get(f"{first} {last}", 0) + 1
        if twins > 1:
            last = f"{last}-{_fictional(rng, _LAST)}-{number}"  # nobody shares a name
        strength = min(1.0, max(0.2, rng.gauss(0.6, 0.2)))
        agents.append(
            Agent(
                first=first,
                last=last,
                email=f"{first}.{last}@example.com".lower(),
                position="Team Lead" if number % 20 == 0 else "Agent",
                standing="Left" if number % 13 == 12 else "Active",
                strength=strength,
                pace=rng.uniform(0.7, 1.4),
                weight=strength * rng.lognormvariate(0, 0.5),
            )
        )
    return agents
