"""Warehouses of the dbt project's tests: an empty one per module, and the hand-written agency, built once."""

import pytest

from tests.support.dbt_runs import Warehouse
from tests.support.hand_written_agency import AS_OF, write_agency


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """A warehouse file in a folder of its own, still empty."""
    return Warehouse(tmp_path_factory.mktemp("warehouse"))


@pytest.fixture(scope="session")
def hand_written(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """The hand-written agency, built up to the end of June; read it, and copy it before you change anything."""
    agency = Warehouse(tmp_path_factory.mktemp("hand_written"))
    write_agency(agency)
    agency.build(AS_OF)
    return agency
