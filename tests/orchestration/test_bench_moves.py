"""The yardstick of the bench does what it is said to do: it commits the row before it answers."""

import sqlite3
from pathlib import Path

from fastapi.testclient import TestClient

from orchestration.one_row_service import create_one_row_service


def test_the_yardstick_commits_one_row_for_each_move(tmp_path: Path) -> None:
    """Otherwise the ratio would flatter nobody and mean nothing."""
    path = tmp_path / "bare.sqlite3"
    client = TestClient(create_one_row_service(str(path)))
    address = "/api/v1/deals/some/stage"
    for number, stage in enumerate(("proposal", "negotiation"), start=1):
        answer = client.post(address, json={"to_stage": stage}, headers={"If-Match": "*"})
        assert answer.json() == {"n": number, "deal_id": "some", "to_stage": stage}
        with sqlite3.connect(path) as other:
            assert other.execute("SELECT to_stage FROM moves WHERE n = ?", (number,)).fetchone() == (stage,)
        other.close()
    assert client.post(address, json={"to_stage": "nowhere"}, headers={"If-Match": "*"}).status_code == 422
