"""From staging to ledger: rows become facts, `ledger.bulk` records them, and every row gets its outcome."""

from collections.abc import Callable, Sequence
from datetime import UTC
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from ingestion.crm_files.agents import AgentDirectory, displayed_name, key_of
from ingestion.crm_files.assembling import AssembledDeal, Assembler, Contradiction, KnownDeal, Row
from ingestion.crm_files.claims import ClaimAssembler
from ingestion.crm_files.fields import CANCELLED, Section
from ingestion.crm_files.mapping import Mapping
from ingestion.crm_files.report import ImportReport
from ingestion.crm_files.staging import Staging
from ledger.actors import Actor
from ledger.bulk import BulkImport
from ledger.imported import ImportedDeal, ImportedPerson, ImportedStageEvent, Outcome
from ledger.tables import AgentDeal, StageEvent
from ledger.vocabulary import PipelineStage, Role

UNKNOWN_DEAL = "is no deal of these files or of the ledger"
# What the ledger calls a column, where a file's field has another name.
LEDGER_COLUMNS = {
    "estimated_value_amount": "value",
    "estimated_value_currency": "currency",
    "expected_close_date": "expected_close",
    "actual_close_date": "closed_on",
    "external_ref": "id",
    "agent_id": "agent",
    "basis_amount": "basis",
    "basis_currency": "currency",
    "commission_rate": "rate",
    "commission_amount": "amount",
}
RejectRows = Callable[[int, Sequence[tuple[int, str | None, str | None, str]]], None]


class Loader:
    """Loads what is staged. `reject(file number, [(line, column, value, reason)])` takes the rows turned away.

    People come first, then deals, then what needs both. Each method works within the caller's transaction.
    """

    def __init__(
        self,
        actor: Actor,
        mapping: Mapping,
        assembler: Assembler,
        staging: Staging,
        report: ImportReport,
        reject: RejectRows,
    ) -> None:
        self.actor, self.mapping, self.assembler, self.staging, self.report = actor, mapping, assembler, staging, report
        self.claim_assembler = ClaimAssembler(assembler)
        self._reject = reject
        self.directory: AgentDirectory
        self.claims: dict[str, dict[tuple[str, str], Row]] = {}  # deal id -> agent and type -> its first row

    def load_people(self, session: Session) -> None:
        """Record the people of the files, then those whom only deals and commissions name, where the mapping allows."""
        self.directory = AgentDirectory(session, self.mapping.agents)
        seen: dict[str, Row] = {}
        rows, people = [], []
        for row in self.staging.people():
            key = key_of(row["email"] or row["name"])
            if first := seen.get(key):
                reason = f"duplicate of line {first['line']} of {self._name(first['file'])}"
                self._reject_row(Section.PEOPLE, row, "email" if row["email"] else "name", key, reason)
                continue
            seen[key] = row
            role = Role(row["role"]) if row["role"] else Role.AGENT
            person = ImportedPerson(displayed_name(row["name"]), row["email"], role, row["active"] != "no")
            rows.append(row)
            people.append(self.directory.spelled_as_known(person))
        for row, person, outcome in zip(rows, people, self._bulk(session).people(people), strict=True):
            self._settle(Section.PEOPLE, row, outcome, person.name)
            if outcome.id:
                self.directory.add(outcome.id, person.name, person.email)
        if self.mapping.agents.unknown == "create":
            strangers = list(self.directory.strangers(self.staging.agents()).values())
            for person, outcome in zip(strangers, self._bulk(session).people(strangers), strict=True):
                self.report.entries += outcome.entries
                if outcome.id:
                    self.directory.add(outcome.id, person.name, person.email)
                    self.report.agents_created.append(person.name)

    def _agent(self, section: Section, row: Row) -> str | None:
        """The id of a row's agent; a row without one is rejected."""
        found = self.directory.find(row["agent"])
        if found is None:
            reason = "is nobody we know: add the person to a people file, or to [agents.aliases] of the mapping"
            if self.directory.is_ambiguous(row["agent"]):
                reason = "is the name of several people: use e-mail addresses, or [agents.aliases] of the mapping"
            self._reject_row(section, row, "agent", row["agent"], reason)
        return found

    def load_deals(self, session: Session, after: int, up_to: int) -> None:
        """Record deals by their number in the staging, with their histories."""
        rows = self.staging.deals(after, up_to)
        histories = self.staging.histories(after, up_to)
        known = _known_deals(session, [self._ref(row["id"]) for row in rows])
        sound: list[tuple[Row, list[Row], ImportedDeal]] = []
        for row in rows:
            history = histories.get(row["ordinal"], [])
            agent_id = self._agent(Section.DEALS, row)
            if agent_id is None:
                self._reject_history(row, history)
                continue
            result = self.assembler.deal(row, history, agent_id, known.get(self._ref(row["id"])))
            if isinstance(result.deal, Contradiction):
                problem = result.deal
                self._reject_row(Section.DEALS, row, problem.field, problem.value, problem.reason)
                self._reject_history(row, history)
                continue
            sound.append((row, self._sound_history(history, result), result.deal))
            self.report.files[row["file"]].rows_dated_by_mapping += result.is_dated_by_mapping
        for (row, history, deal), outcome in zip(
            sound, self._bulk(session).deals([deal for _, _, deal in sound]), strict=True
        ):
            self._settle(Section.DEALS, row, outcome, row["id"])
            if outcome.kind == "refused":
                self._reject_history(row, history)
            else:
                self._settle_history(history, deal, outcome, known.get(deal.external_ref))

    def _ref(self, deal_id: str) -> str:
        return f"{self.mapping.source}:{deal_id}"

    def _sound_history(self, history: list[Row], result: AssembledDeal) -> list[Row]:
        bad = set()
        for row, problem in result.bad_moves:
            self._reject_row(Section.STAGE_EVENTS, row, problem.field, problem.value, problem.reason)
            bad.add(id(row))
        return [row for row in history if id(row) not in bad]

    def _reject_history(self, deal: Row, history: Sequence[Row]) -> None:
        self.staging.remember_rejected_deals([(deal["id"], deal["file"], deal["line"])])
        for row in history:
            self._reject_orphan(Section.STAGE_EVENTS, row, deal["file"], deal["line"])

    def _reject_orphan(self, section: Section, row: Row, deal_file: int, deal_line: int) -> None:
        reason = f"its deal was rejected: line {deal_line} of {self._name(deal_file)}"
        self._reject_row(section, row, "deal_id", row["deal_id"], reason)

    def _settle_history(
        self, history: Sequence[Row], deal: ImportedDeal, outcome: Outcome, known: KnownDeal | None
    ) -> None:
        """Each stage row was either new with its deal or said what was known."""
        entered = {(stage.to_stage.value, stage.effective_at) for stage in deal.stages}
        entered -= {(stage.value, at) for stage, at in known.moves} if known else set()
        if outcome.kind != "unchanged" and deal.cancelled_at:
            entered.add((CANCELLED, deal.cancelled_at))
        for row in history:
            move = (row["stage"], row["moved_on"].replace(tzinfo=UTC))
            self._accepted(row, "created" if move in entered else "unchanged")
            entered.discard(move)

    def load_leftovers(self, session: Session, rows: Sequence[Row]) -> None:
        """Record stage rows of deals that this import has no row for: they may be in the ledger."""
        known = _known_deals(session, list({self._ref(row["deal_id"]) for row in rows}))
        sound = []
        for row in rows:
            if row["deal_line"] is not None:
                self._reject_orphan(Section.STAGE_EVENTS, row, row["deal_file"], row["deal_line"])
            elif row["stage"] == CANCELLED:
                reason = "gives the deal up, which only the deal's own row can; no file of this import has it"
                self._reject_row(Section.STAGE_EVENTS, row, "stage", row["stage"], reason)
            elif self._ref(row["deal_id"]) not in known:
                self._reject_row(Section.STAGE_EVENTS, row, "deal_id", row["deal_id"], UNKNOWN_DEAL)
            else:
                sound.append(row)
        events = [
            ImportedStageEvent(
                self._ref(row["deal_id"]),
                PipelineStage(row["stage"]),
                row["moved_on"].replace(tzinfo=UTC),
                row["note"],
                row["confidence"],
            )
            for row in sound
        ]
        for row, outcome in zip(sound, self._bulk(session).stage_events(events), strict=True):
            self._settle(Section.STAGE_EVENTS, row, outcome, row["deal_id"])

    def load_commissions(self, session: Session, rows: Sequence[Row]) -> None:
        """Record commissions; a deal's rows come together, here and over several calls."""
        known = _known_deals(session, list({self._ref(row["deal_id"]) for row in rows}))
        sound, commissions = [], []
        # A deal's rows come together, so only those of the last deal can go on in the next batch.
        self.claims = {rows[0]["deal_id"]: self.claims.get(rows[0]["deal_id"], {})}
        for row in rows:
            if row["deal_line"] is not None:
                self._reject_orphan(Section.COMMISSIONS, row, row["deal_file"], row["deal_line"])
                continue
            deal = known.get(self._ref(row["deal_id"]))
            if deal is None:
                self._reject_row(Section.COMMISSIONS, row, "deal_id", row["deal_id"], UNKNOWN_DEAL)
                continue
            agent_id = self._agent(Section.COMMISSIONS, row)
            if agent_id is None:
                continue
            key = (agent_id, row["commission_type"])
            first = self.claims.setdefault(row["deal_id"], {}).setdefault(key, row)
            if first is not row:
                reason = f"is this agent's second for the deal; the first is line {first['line']}"
                self._reject_row(Section.COMMISSIONS, row, "commission_type", row["commission_type"], reason)
                continue
            result = self.claim_assembler.commission(row, agent_id, deal.moves[0][1])
            if isinstance(result, Contradiction):
                self._reject_row(Section.COMMISSIONS, row, result.field, result.value, result.reason)
                continue
            sound.append(row)
            commissions.append(result)
        for row, outcome in zip(sound, self._bulk(session).commissions(commissions), strict=True):
            self._settle(Section.COMMISSIONS, row, outcome, row["deal_id"])

    def _reject_row(self, section: Section, row: Row, field: str | None, value: str | None, reason: str) -> None:
        column = self.assembler.column(section, field) if field else None
        self._reject(row["file"], [(row["line"], column, value, reason)])

    def _accepted(self, row: Row, kind: str) -> None:
        file = self.report.files[row["file"]]
        setattr(file, kind, getattr(file, kind) + 1)

    def _settle(self, section: Section, row: Row, outcome: Outcome, value: str | None) -> None:
        self.report.entries += outcome.entries
        if outcome.kind == "refused":
            field = LEDGER_COLUMNS.get(outcome.column or "", outcome.column)
            self._reject_row(section, row, field, value, outcome.reason or "refused by the ledger")
        else:
            self._accepted(row, outcome.kind)

    def _bulk(self, session: Session) -> BulkImport:
        return BulkImport(session, self.actor, self.report.import_id)

    def _name(self, file: int) -> str:
        return Path(self.report.files[file].name).name


def _known_deals(session: Session, refs: list[str]) -> dict[str, KnownDeal]:
    """What the ledger has of these deals, by external reference."""
    found = {
        str(ref): KnownDeal(deal_id, [])
        for deal_id, ref in session.execute(
            select(AgentDeal.id, AgentDeal.external_ref).where(AgentDeal.external_ref.in_(refs))
        )
    }
    by_id = {deal.id: deal for deal in found.values()}
    events = (
        select(StageEvent.deal_id, StageEvent.to_stage, StageEvent.effective_at)
        .where(StageEvent.deal_id.in_(by_id))
        .order_by(StageEvent.deal_id, StageEvent.effective_at, StageEvent.audit_log_seq)
    )
    if by_id:
        for deal_id, stage, at in session.execute(events):
            by_id[deal_id].moves.append((stage, at))
    return found
