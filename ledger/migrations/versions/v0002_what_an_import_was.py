"""Imports say of what kind they were and how they ended.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

from ledger import columns

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; imports that had ended had gone in."""
    op.add_column("imports", sa.Column("kind", sa.String(length=16), nullable=False, server_default="crm"))
    op.add_column("imports", sa.Column("is_dry_run", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("imports", sa.Column("is_strict", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("imports", sa.Column("outcome", sa.String(length=16), nullable=True))
    op.add_column("imports", sa.Column("report", columns.JsonText(), nullable=True))
    op.add_column("imports", sa.Column("problem", sa.Text(), nullable=True))
    op.execute("UPDATE imports SET outcome = 'imported' WHERE finished_at IS NOT NULL")


def downgrade() -> None:
    """Take the columns away again."""
    for name in ("kind", "is_dry_run", "is_strict", "outcome", "report", "problem"):
        op.drop_column("imports", name)
