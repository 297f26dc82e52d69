"""The first schema; entries of the log can be neither changed nor deleted from here on."""

import sqlalchemy as sa
from alembic import op

from ledger import columns, vocabulary

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

REFUSAL = (
    "CREATE TRIGGER audit_logs_refuse_{name} BEFORE {operation} ON audit_logs "
    "BEGIN SELECT RAISE(ABORT, 'entries of the log are never changed'); END"
)


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "audit_chains",
        sa.Column("chain", sa.String(length=48), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("chain", name=op.f("pk_audit_chains")),
    )
    op.create_table(
        "audit_checkpoints",
        sa.Column("size", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("signed_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_audit_checkpoints")),
    )
    op.create_table(
        "audit_logs",
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
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
        sa.PrimaryKeyConstraint("n", name=op.f("pk_audit_logs")),
        sa.UniqueConstraint("chain", "seq", name=op.f("uq_audit_logs_chain_seq")),
    )
    op.create_index("ix_audit_logs_subject_kind_subject_id", "audit_logs", ["subject_kind", "subject_id"], unique=False)
    op.create_table(
        "audit_texts",
        sa.Column("commitment", sa.String(length=64), nullable=False),
        sa.Column("salt", sa.LargeBinary(length=16), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("erased_at", columns.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("commitment", name=op.f("pk_audit_texts")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("actor_id", sa.String(length=36), nullable=False),
        sa.Column("key_digest", sa.String(length=64), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("headers", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("actor_id", "key_digest", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "imports",
        sa.Column("file_name", sa.String(length=500), nullable=False),
        sa.Column("file_sha256", sa.String(length=64), nullable=False),
        sa.Column("mapping", sa.String(length=200), nullable=False),
        sa.Column("started_by", sa.String(length=36), nullable=False),
        sa.Column("finished_at", columns.UtcDateTime(), nullable=True),
        sa.Column("rows", sa.Integer(), nullable=True),
        sa.Column("accepted", sa.Integer(), nullable=True),
        sa.Column("rejected", sa.Integer(), nullable=True),
        sa.Column("is_logged", sa.Boolean(), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.Column("updated_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
    )
    op.create_index(op.f("ix_imports_file_sha256"), "imports", ["file_sha256"], unique=False)
    op.create_table(
        "log_identity",
        sa.Column("origin", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("origin", name=op.f("pk_log_identity")),
    )
    op.create_table(
        "projects",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.Column("updated_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
    )
    op.create_table(
        "properties",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("address", sa.String(length=500), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.Column("updated_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_properties")),
    )
    op.create_table(
        "users",
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("role", columns.word(vocabulary.Role), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.Column("updated_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
    )
    op.create_index(op.f("ix_users_name"), "users", ["name"], unique=False)
    op.create_table(
        "agent_deals",
        sa.Column("project_id", sa.String(length=36), nullable=True),
        sa.Column("property_id", sa.String(length=36), nullable=True),
        sa.Column("agent_id", sa.String(length=36), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("asset_type", columns.word(vocabulary.AssetType), nullable=False),
        sa.Column("deal_type", columns.word(vocabulary.DealType), nullable=False),
        sa.Column("pipeline_stage", columns.word(vocabulary.PipelineStage), nullable=False),
        sa.Column("status", columns.word(vocabulary.DealStatus), nullable=False),
        sa.Column("lead_source", sa.String(length=100), nullable=True),
        sa.Column("estimated_value_amount", columns.Money(), nullable=True),
        sa.Column("estimated_value_currency", sa.String(length=3), nullable=False),
        sa.Column("expected_close_date", sa.Date(), nullable=True),
        sa.Column("actual_close_date", sa.Date(), nullable=True),
        sa.Column("confidence", columns.Confidence(), nullable=True),
        sa.Column("metadata", columns.JsonText(), nullable=True),
        sa.Column("external_ref", sa.String(length=200), nullable=True),
        sa.Column("cancelled_at", columns.UtcDateTime(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.Column("updated_at", columns.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["users.id"], name=op.f("fk_agent_deals_agent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_deals")),
        sa.UniqueConstraint("external_ref", name=op.f("uq_agent_deals_external_ref")),
    )
    op.create_index(
        "ix_agent_deals_agent_id_pipeline_stage", "agent_deals", ["agent_id", "pipeline_stage"], unique=False
    )
    op.create_index("ix_agent_deals_created_at_id", "agent_deals", ["created_at", "id"], unique=False)
    op.create_index("ix_agent_deals_project_id_status", "agent_deals", ["project_id", "status"], unique=False)
    op.create_index(op.f("ix_agent_deals_property_id"), "agent_deals", ["property_id"], unique=False)
    op.create_index("ix_agent_deals_updated_at_id", "agent_deals", ["updated_at", "id"], unique=False)
    op.create_table(
        "api_tokens",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("hint", sa.String(length=4), nullable=False),
        sa.Column("revoked_at", columns.UtcDateTime(), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.Column("expires_at", columns.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_tokens_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_tokens_digest")),
    )
    op.create_index(op.f("ix_api_tokens_user_id"), "api_tokens", ["user_id"], unique=False)
    op.create_table(
        "import_rejects",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("import_id", sa.String(length=36), nullable=False),
        sa.Column("file_name", sa.String(length=500), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("column", sa.String(length=200), nullable=True),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["import_id"], ["imports.id"], name=op.f("fk_import_rejects_import_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_rejects")),
    )
    op.create_index("ix_import_rejects_import_id_line", "import_rejects", ["import_id", "line"], unique=False)
    op.create_table(
        "login_links",
        sa.Column("used_at", columns.UtcDateTime(), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.Column("expires_at", columns.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_login_links_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_links")),
        sa.UniqueConstraint("digest", name=op.f("uq_login_links_digest")),
    )
    op.create_index(op.f("ix_login_links_user_id"), "login_links", ["user_id"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("ended_at", columns.UtcDateTime(), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.Column("expires_at", columns.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("digest", name=op.f("uq_sessions_digest")),
    )
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"], unique=False)
    op.create_table(
        "agent_commission_records",
        sa.Column("deal_id", sa.String(length=36), nullable=False),
        sa.Column("agent_id", sa.String(length=36), nullable=False),
        sa.Column("commission_type", columns.word(vocabulary.CommissionType), nullable=False),
        sa.Column("basis_amount", columns.Money(), nullable=False),
        sa.Column("basis_currency", sa.String(length=3), nullable=False),
        sa.Column("commission_rate", columns.Rate(), nullable=False),
        sa.Column("commission_amount", columns.Money(), nullable=True),
        sa.Column("status", columns.word(vocabulary.CommissionStatus), nullable=False),
        sa.Column("introduced_at", columns.UtcDateTime(), nullable=False),
        sa.Column("confirmed_at", columns.UtcDateTime(), nullable=True),
        sa.Column("invoiced_at", columns.UtcDateTime(), nullable=True),
        sa.Column("paid_at", columns.UtcDateTime(), nullable=True),
        sa.Column("disputed_at", columns.UtcDateTime(), nullable=True),
        sa.Column("resolved_at", columns.UtcDateTime(), nullable=True),
        sa.Column("written_off_at", columns.UtcDateTime(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("audit_log_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.Column("updated_at", columns.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["users.id"], name=op.f("fk_agent_commission_records_agent_id")),
        sa.ForeignKeyConstraint(["deal_id"], ["agent_deals.id"], name=op.f("fk_agent_commission_records_deal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_commission_records")),
        sa.UniqueConstraint(
            "deal_id",
            "agent_id",
            "commission_type",
            name=op.f("uq_agent_commission_records_deal_id_agent_id_commission_type"),
        ),
    )
    op.create_index(
        "ix_agent_commission_records_agent_id_status", "agent_commission_records", ["agent_id", "status"], unique=False
    )
    op.create_index(op.f("ix_agent_commission_records_deal_id"), "agent_commission_records", ["deal_id"], unique=False)
    op.create_index(
        "ix_agent_commission_records_updated_at_id", "agent_commission_records", ["updated_at", "id"], unique=False
    )
    op.create_table(
        "agent_deal_contacts",
        sa.Column("deal_id", sa.String(length=36), nullable=False),
        sa.Column("contact_type", sa.String(length=50), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("company", sa.Text(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("erased_at", columns.UtcDateTime(), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.Column("updated_at", columns.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["deal_id"], ["agent_deals.id"], name=op.f("fk_agent_deal_contacts_deal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_deal_contacts")),
    )
    op.create_index(op.f("ix_agent_deal_contacts_deal_id"), "agent_deal_contacts", ["deal_id"], unique=False)
    op.create_table(
        "agent_deal_documents",
        sa.Column("deal_id", sa.String(length=36), nullable=False),
        sa.Column("document_type", sa.String(length=50), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("uri", sa.Text(), nullable=True),
        sa.Column("mime_type", sa.String(length=100), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("metadata", columns.JsonText(), nullable=True),
        sa.Column("uploaded_by", sa.String(length=36), nullable=False),
        sa.Column("uploaded_at", columns.UtcDateTime(), nullable=False),
        sa.Column("erased_at", columns.UtcDateTime(), nullable=True),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.Column("updated_at", columns.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["deal_id"], ["agent_deals.id"], name=op.f("fk_agent_deal_documents_deal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_deal_documents")),
    )
    op.create_index(op.f("ix_agent_deal_documents_deal_id"), "agent_deal_documents", ["deal_id"], unique=False)
    op.create_table(
        "agent_deal_stage_events",
        sa.Column("deal_id", sa.String(length=36), nullable=False),
        sa.Column("from_stage", columns.word(vocabulary.PipelineStage, "from_stage"), nullable=True),
        sa.Column("to_stage", columns.word(vocabulary.PipelineStage), nullable=False),
        sa.Column("changed_by", sa.String(length=36), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("recorded_at", columns.UtcDateTime(), nullable=False),
        sa.Column("effective_at", columns.UtcDateTime(), nullable=False),
        sa.Column("audit_log_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.Column("updated_at", columns.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["deal_id"], ["agent_deals.id"], name=op.f("fk_agent_deal_stage_events_deal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_deal_stage_events")),
    )
    op.create_index(
        "ix_agent_deal_stage_events_deal_id_recorded_at",
        "agent_deal_stage_events",
        ["deal_id", "recorded_at"],
        unique=False,
    )
    op.create_index(
        "ix_agent_deal_stage_events_to_stage_recorded_at",
        "agent_deal_stage_events",
        ["to_stage", "recorded_at"],
        unique=False,
    )
    op.create_table(
        "agent_commission_adjustments",
        sa.Column("commission_id", sa.String(length=36), nullable=False),
        sa.Column("adjustment_type", columns.word(vocabulary.AdjustmentType), nullable=False),
        sa.Column("amount", columns.Money(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("recorded_by", sa.String(length=36), nullable=False),
        sa.Column("recorded_at", columns.UtcDateTime(), nullable=False),
        sa.Column("effective_at", columns.UtcDateTime(), nullable=False),
        sa.Column("audit_log_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.Column("updated_at", columns.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["commission_id"],
            ["agent_commission_records.id"],
            name=op.f("fk_agent_commission_adjustments_commission_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_commission_adjustments")),
    )
    op.create_index(
        op.f("ix_agent_commission_adjustments_commission_id"),
        "agent_commission_adjustments",
        ["commission_id"],
        unique=False,
    )
    op.create_table(
        "commission_disputes",
        sa.Column("commission_id", sa.String(length=36), nullable=False),
        sa.Column("amount", columns.Money(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("hold", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("evidence", columns.JsonText(), nullable=True),
        sa.Column("status_before", columns.word(vocabulary.CommissionStatus), nullable=False),
        sa.Column("opened_by", sa.String(length=36), nullable=False),
        sa.Column("opened_at", columns.UtcDateTime(), nullable=False),
        sa.Column("outcome", columns.word(vocabulary.DisputeOutcome), nullable=True),
        sa.Column("resolved_by", sa.String(length=36), nullable=True),
        sa.Column("resolved_at", columns.UtcDateTime(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("audit_log_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.Column("updated_at", columns.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["commission_id"], ["agent_commission_records.id"], name=op.f("fk_commission_disputes_commission_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commission_disputes")),
    )
    op.create_index(
        op.f("ix_commission_disputes_commission_id"), "commission_disputes", ["commission_id"], unique=False
    )
    if op.get_bind().dialect.name == "sqlite":
        for operation in ("UPDATE", "DELETE"):
            op.execute(REFUSAL.format(name=operation.lower(), operation=operation))


def downgrade() -> None:
    """Refused: the log is never dropped by a migration."""
    raise NotImplementedError("The first schema is not undone; remove the ledger's file instead.")
