"""Run the migrations inside the caller's transaction."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def make_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration; it needs no file outside the package."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def upgrade_to_head(connection: Connection) -> None:
    """Bring the schema to the newest step. All steps commit together with the caller's transaction, or none does."""
    command.upgrade(make_config(connection), "head")
