"""PostgreSQL: entries wait there for their leaf index, and none is ever changed.

Rows now name their entry by `seq` in the deal's chain, because no leaf index is known yet when they are written.
"""

import sqlalchemy as sa
from alembic import op

from ledger import columns

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

POINTING = (
    "agent_deal_stage_events",
    "agent_commission_records",
    "agent_commission_adjustments",
    "commission_disputes",
)
REFUSE = """
CREATE FUNCTION audit_logs_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'entries of the log are never changed' USING ERRCODE = 'integrity_constraint_violation'; END $$
"""


def upgrade() -> None:
    """Add the waiting room and, on PostgreSQL, what keeps entries as they are; name entries by `seq`."""
    op.create_table(
        "audit_pending",
        sa.Column(
            "arrival",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.Identity(always=True),
            nullable=False,
        ),
        sa.Column("chain", sa.String(length=48), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("prev", sa.LargeBinary(length=32), nullable=False),
        sa.Column("type", sa.String(length=48), nullable=False),
        sa.Column("at", columns.UtcDateTime(), nullable=False),
        sa.Column("effective_at", columns.UtcDateTime(), nullable=False),
        sa.Column("subject_kind", sa.String(length=24), nullable=False),
        sa.Column("subject_id", sa.String(length=64), nullable=False),
        sa.Column("actor_id", sa.String(length=36), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("arrival", name=op.f("pk_audit_pending")),
        sa.UniqueConstraint("chain", "seq", name=op.f("uq_audit_pending_chain_seq")),
    )
    for table in POINTING:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN audit_log_id TO audit_log_seq")
        op.execute(
            f"UPDATE {table} SET audit_log_seq = "  # noqa: S608 - our own names
            f"(SELECT seq FROM audit_logs WHERE audit_logs.n = {table}.audit_log_seq)"
        )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(REFUSE)
        op.execute(
            "CREATE TRIGGER audit_logs_refuse_change BEFORE UPDATE OR DELETE ON audit_logs "
            "FOR EACH ROW EXECUTE FUNCTION audit_logs_refuse()"
        )
        op.execute(
            "CREATE TRIGGER audit_logs_refuse_truncate BEFORE TRUNCATE ON audit_logs "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_logs_refuse()"
        )
        foreign_keys = "SELECT conrelid::regclass, conname FROM pg_constraint WHERE contype = 'f' AND NOT condeferrable"
        for owner, foreign_key in op.get_bind().execute(sa.text(foreign_keys)).all():
            op.execute(f"ALTER TABLE {owner} ALTER CONSTRAINT {foreign_key} DEFERRABLE INITIALLY IMMEDIATE")
        for role in ("PUBLIC", "CURRENT_USER"):
            op.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON audit_logs FROM {role}")


def downgrade() -> None:
    """Refused: entries that wait would be lost."""
    raise NotImplementedError("This step is not undone; restore a backup instead.")
