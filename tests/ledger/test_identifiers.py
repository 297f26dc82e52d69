"""Identifiers sort by the time they were made."""

from uuid import UUID

from ledger.identifiers import new_id


def test_ids_made_one_after_the_other_sort_so() -> None:
    """Within a millisecond too, so that of rows written at once the first stays the first; all are UUIDv7."""
    made = [new_id() for _ in range(20_000)]
    assert made == sorted(set(made))
    assert {UUID(one).version for one in made} == {7}
    assert len({one[:13] for one in made}) < len(made) / 10, "many share a millisecond, or nothing was proved"
