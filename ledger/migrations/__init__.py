"""The ledger's schema, step by step. `HEAD` is the newest step; a test keeps it equal to what Alembic finds.

It stands here as a constant so that an up-to-date ledger opens without importing Alembic.
"""

HEAD = "0003"
