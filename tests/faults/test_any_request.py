"""Whatever is sent, the answer is one that /openapi.json describes: requests are generated from that description."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.refresh import refresh
from tests.faults.conftest import Office
from tests.faults.full_deals import make_full_deal, make_token
from tests.support.campaigns import Campaign, is_soak, rounds
from tests.support.published_file import publish_sample

HERE = Path(__file__).parent
OF_THE_REQUEST = re.compile(
    "WARNING:  Invalid HTTP request received"  # uvicorn, of what is no HTTP
    "|Found (invalid|non-alphanumeric|empty) .* header"  # python-multipart, of forms that are none
    "|(Did not find|Expected|Unexpected|Skipping) .*(boundary|hyphen|character|CR|LF)"
)
"""What libraries print about a request that is malformed, which is then refused: no complaint about ourselves."""
ROLES = ("viewer", "anna", "manager", "admin")


@pytest.mark.soak
@pytest.mark.parametrize("role", ROLES)
def test_no_request_gets_an_answer_that_is_not_described(
    office: Office, campaign: Campaign, role: str, tmp_path: Path
) -> None:
    """At least 500 requests of each role (25,000 in the long form), well formed and not, alone and in sequences.

    All checks of schemathesis pass, no answer is a 5xx, and afterwards the log and the tables still verify. Every
    operation meets deals that have everything, too; an agent must not be told of another's. In the short form every
    boundary is tried for an eighth of the operations, chosen at random; the others get random values.
    """
    hers, his = (make_full_deal(office, agent, f"Known to {agent} alone") for agent in ("anna", "ben"))
    known = {name: [hers[name], his[name]] for name in hers} | {"token_id": [make_token(office)]}
    hidden = [*his.values(), "Known to ben alone"] if role == "anna" else []
    if is_soak():  # so many requests ask for past days, too, which the sample's file cannot answer
        assert refresh(office.settings).outcome == "published"
    else:
        agents = {who.id: who.name for who in vars(office.people).values()}
        publish_sample(office.settings.published_dir, agents=agents)
    token = getattr(office.people, role).token
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "schemathesis"), "--no-color"),
            *("--config-file", str(_configure(office, campaign, tmp_path))),
            *("run", f"http://127.0.0.1:{office.served.port}/openapi.json"),
            *("--checks", "all", "--header", f"Authorization: Bearer {token}", "--seed", str(campaign.seed)),
            *("--report", "json", "--report-json-path", str(tmp_path / "report.json"), "--continue-on-failure"),
            *("--suppress-health-check", "all"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ
        | {"SCHEMATHESIS_HOOKS": str(HERE / "schemathesis_checks.py"), "PYTHONDONTWRITEBYTECODE": "1"}
        | {"DEALBOOK_KNOWN": json.dumps(known), "DEALBOOK_HIDDEN": json.dumps(hidden)},
        timeout=rounds(600, 24 * 3600),
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    report = json.loads((tmp_path / "report.json").read_text())
    sent = report["test_cases"]["generated"]
    campaign.say(f"{sent:,} requests of {role}")
    assert report["operations"]["tested"] == report["operations"]["total"]
    assert sent >= rounds(500, 25_000)
    complaints = [line for line in office.served.printed.splitlines() if not OF_THE_REQUEST.match(line)]
    assert not complaints, "the server complained"
    office.assert_sound()


def _configure(office: Office, campaign: Campaign, folder: Path) -> Path:
    """Write the configuration of this run and return its path."""
    caller = office.caller()
    paths = caller.send("GET", "/openapi.json").json()["paths"]
    caller.close()
    identifiers = sorted(operation["operationId"] for methods in paths.values() for operation in methods.values())
    lines = [(HERE / "schemathesis.toml").read_text()]
    lines.append(f"[generation]\nmax-examples = {rounds(2, 600)}\nno-shrink = true")
    lines.append(f"[phases.stateful.generation]\nmax-examples = {rounds(10, 2000)}")
    if not is_soak():
        without = campaign.rng.sample(identifiers, len(identifiers) * 7 // 8)
        lines.append(f"[[operations]]\ninclude-operation-id = {json.dumps(without)}\nphases.coverage.enabled = false")
    path = folder / "schemathesis.toml"
    path.write_text("\n\n".join(lines))
    return path
