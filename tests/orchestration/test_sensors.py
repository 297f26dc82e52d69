"""New facts are published without anybody asking: soon, together, once, and only when there are any."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from ingestion.log_position import log_size
from ingestion.publishing import rollback_publication
from ledger.access import SYSTEM, create_login_link, create_user
from ledger.vocabulary import Role
from orchestration import sensors
from orchestration.instance import open_instance
from orchestration.sensors import LOOK_SECONDS, Watch, decide
from tests.orchestration.conftest import DAY, Office
from tests.support.living_ledger import append_deals


def _run(writes: dict[int, int], *, until: int, takes: int = 0, works: bool = True) -> list[tuple[int, int]]:
    """Let the sensor look every LOOK_SECONDS; `writes` says how long the log is from which second on.

    Returns each refresh asked for as (second, log size); one takes `takes` seconds and publishes when it `works`.
    """
    watch, published, rest, asked = Watch(), 100, 0.0, []
    size, busy_until = 100, -1
    for now in range(0, until, LOOK_SECONDS):
        size = max([size, *(reached for second, reached in writes.items() if second <= now)])
        if now < busy_until:
            continue
        watch, why_not = decide(watch, size=size, published=published, rest_until=rest, now=float(now))
        if why_not is None:
            asked.append((now, size))
            published = size if works else published
            busy_until = now + takes
            rest = busy_until + sensors.REST_FACTOR * takes
    return asked


def test_a_write_is_published_within_a_minute() -> None:
    """From the writing to the run's begin at most half of it: the rest is for the run."""
    for second in range(0, 60, 7):
        [(asked_at, size)] = _run({second: 101}, until=600)
        assert size == 101
        assert asked_at - second <= 30


def test_writes_in_quick_succession_are_taken_together() -> None:
    """Not one run a write; and those that never pause do not wait for ever."""
    asked = _run({second: 101 + second for second in range(25)}, until=600)
    assert [size for _, size in asked] == [125]
    endless = _run({second: 101 + second for second in range(600)}, until=600)
    assert endless[0][0] <= sensors.WAIT_AT_MOST_SECONDS + LOOK_SECONDS


def test_long_refreshes_leave_the_machine_to_others() -> None:
    """However much is written, refreshing takes no more than a third of the time."""
    asked = _run({second: 101 + second for second in range(3600)}, until=3600, takes=60)
    assert 10 < len(asked) <= 3600 / (60 * (1 + sensors.REST_FACTOR)) + 1


def test_a_failed_refresh_is_not_repeated_for_nothing() -> None:
    """Only what is written later asks again."""
    assert _run({5: 101}, until=3600, works=False) == [(20, 101)]
    assert [size for _, size in _run({5: 101, 1800: 102}, until=3600, works=False)] == [101, 102]


class Desk:
    """The sensor of an office's code location, looked at tick by tick."""

    def __init__(self, office: Office) -> None:
        from orchestration.definitions import build_definitions

        self.definitions = build_definitions(office.settings)
        self.sensor = self.definitions.resolve_sensor_def("new_entries_sensor")
        self.settings, self.cursor = office.settings, ""

    def look(self) -> Any:
        """Return the reason for which nothing is asked for, or the runs that are."""
        with open_instance(self.settings) as instance:
            context = dg.build_sensor_context(
                instance=instance, cursor=self.cursor or None, definitions=self.definitions
            )
            answer = self.sensor.evaluate_tick(context)
        self.cursor = answer.cursor or ""
        return answer.run_requests or answer.skip_message


@pytest.fixture
def desk(office: Office, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Without pauses: how long they are is tried above."""
    monkeypatch.setattr(sensors, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(sensors, "REST_FACTOR", -100.0)
    return Desk(office)


def test_new_facts_ask_for_one_run_and_nothing_else_does(office: Office, desk: Desk) -> None:
    """Log-ins are entries, but no number rests on them; a rollback is meant; a run under way is waited for."""
    assert desk.look() == "Nothing new since the last publication."
    with office.ledger.write() as session:
        user = create_user(session, SYSTEM, email="v@example.com", name="Vi", role=Role.VIEWER)
    assert len(desk.look()) == 1, "a member of staff is a fact: agents are listed"
    office.refresh()
    with office.ledger.write() as session:
        create_login_link(session, user.id)
        create_login_link(session, user.id)
    assert desk.look() == "Nothing new since the last publication."

    append_deals(office.ledger, 1)
    with open_instance(office.settings) as instance:
        waiting = instance.create_run_for_job(_empty_job(), status=dg.DagsterRunStatus.STARTING)
    assert desk.look() == "A run is about to begin."
    with open_instance(office.settings) as instance:
        instance.report_run_failed(waiting)
    [asked] = desk.look()
    assert asked.tags["dealbook/log_size"] == str(log_size(office.ledger))
    assert desk.look() == "Asked for; see the run."

    office.refresh(as_of=DAY + timedelta(days=1))
    rollback_publication(office.settings.published_dir)
    assert desk.look() == "Nothing new since the last publication."


def _empty_job() -> dg.JobDefinition:
    @dg.job
    def empty() -> None: ...

    return empty


def test_the_sensor_runs_from_the_start_and_starts_the_hourly_job(desk: Desk) -> None:
    assert desk.sensor.default_status == dg.DefaultSensorStatus.RUNNING
    assert desk.sensor.minimum_interval_seconds == LOOK_SECONDS
    assert desk.sensor.job_name == "hourly"
