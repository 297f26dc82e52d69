"""Warehouses of the dbt project's tests: one per module, built once."""

import pytest

from tests.support.dbt_runs import Warehouse


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """A warehouse file in a folder of its own, still empty."""
    return Warehouse(tmp_path_factory.mktemp("warehouse"))
