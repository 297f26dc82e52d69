"""The one place where dealbook is configured: environment variables that start with `DEALBOOK_`.

It stands on the lowest floor because every floor needs to know where the state lives.
"""

from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_DIR = Path(__file__).resolve().parent.parent


@lru_cache(maxsize=1024)
def _below(folder: Path, name: str) -> Path:
    """Return `folder / name`; the same few are asked for with every request, and joining paths is slow."""
    return folder / name


class Settings(BaseSettings):
    """Every setting, with its default. Set one in the environment, for example `DEALBOOK_HOME=/srv/dealbook`."""

    model_config = SettingsConfigDict(env_prefix="DEALBOOK_", frozen=True)

    home: Path = Field(
        default=Path("var"), description="Folder that holds all state: ledger, warehouse, published files, keys."
    )
    ledger_url: str = Field(
        default="", description="SQLAlchemy address of the ledger; empty means SQLite at `home/ledger.sqlite3`."
    )
    business_timezone: str = Field(
        default="Asia/Singapore", description="IANA time zone in which a business day begins and ends."
    )
    reporting_currency: str = Field(
        default="SGD", pattern="^[A-Z]{3}$", description="ISO 4217 currency in which totals are reported."
    )
    host: str = Field(default="127.0.0.1", description="Address that the API and the workspace listen on.")
    port: int = Field(
        default=8000,
        ge=0,
        le=65535,
        description="Port of the API and the workspace; another is taken when it is in use.",
    )
    dagster_port: int = Field(
        default=3000, ge=0, le=65535, description="Port of the Dagster UI; another is taken when it is in use."
    )
    keep_published: int = Field(default=10, ge=1, description="How many published files are kept for rollback.")
    keep_backups: int = Field(default=7, ge=1, description="How many backups of the nightly job are kept.")
    backups_home: Path | None = Field(
        default=None, description="Folder of the nightly job's backups, best on another disk; None means home/backups."
    )
    ingest_batch_size: int = Field(
        default=1_000_000, ge=1, description="Log entries landed in the warehouse per transaction."
    )
    stale_after_hours: int = Field(
        default=26, ge=1, description="Age in hours from which published numbers are called stale."
    )
    rate_limit_per_token: int = Field(
        default=30_000, ge=0, description="Requests a minute for one token or session; 0 means no limit."
    )
    rate_limit_per_address: int = Field(
        default=60_000, ge=0, description="Requests a minute for one address; 0 means no limit."
    )
    rate_limit_bad_tokens: int = Field(
        default=60,
        ge=0,
        description="Bad tokens, sessions and log-in links a minute for one address; 0 means no limit.",
    )
    import_max_mib: int = Field(
        default=512, ge=1, description="Largest upload of an import over REST or in the workspace, in MiB."
    )
    checkpoint_seconds: int = Field(
        default=5,
        ge=0,
        description="Seconds until the API signs a log that has grown; 0 leaves signing to refreshes and the command "
        "line.",
    )

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("business_timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("no such time zone; use an IANA name such as Asia/Singapore") from error
        return value

    @property
    def ledger_address(self) -> str:
        """SQLAlchemy address of the ledger."""
        return self.ledger_url or f"sqlite:///{self.home / 'ledger.sqlite3'}"

    @property
    def warehouse_path(self) -> Path:
        """The private DuckDB file that ingestion and dbt write."""
        return self.home / "warehouse.duckdb"

    @property
    def published_dir(self) -> Path:
        """Folder of the immutable published files and the pointer `CURRENT`."""
        return _below(self.home, "published")

    @property
    def checkpoints_dir(self) -> Path:
        """Folder of the signed checkpoints of the log."""
        return _below(self.home, "checkpoints")

    @property
    def keys_dir(self) -> Path:
        """Folder of the secrets, mode 0700."""
        return _below(self.home, "keys")

    @property
    def backups_dir(self) -> Path:
        """Folder of the backups that the nightly job makes."""
        return self.backups_home or self.home / "backups"

    @property
    def rejects_dir(self) -> Path:
        """Folder of the rows that imports turned away, with reasons."""
        return _below(self.home, "rejects")

    @property
    def uploads_dir(self) -> Path:
        """Folder of files that were sent to be imported; each is deleted when its import has ended."""
        return _below(self.home, "uploads")

    @property
    def sample_dir(self) -> Path:
        """Folder of the generated sample export."""
        return _below(self.home, "sample")

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance folder."""
        return _below(self.home, "dagster")

    @property
    def dbt_target_dir(self) -> Path:
        """Folder for dbt's manifest, run results and docs site."""
        return _below(self.home, "dbt")

    @property
    def dbt_project_dir(self) -> Path:
        """The dbt project, shipped with the code."""
        return PROJECT_DIR / "dbt_project"

    @property
    def time_zone(self) -> ZoneInfo:
        """The business time zone."""
        return ZoneInfo(self.business_timezone)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return the settings of this process, read once from the environment."""
    return Settings()
