"""The hosts of the cloud."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "hosts",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("drained", sa.Float(), nullable=False),
        sa.Column("memory_ratio", sa.Float(), nullable=False),
        sa.Column("cpu_ratio", sa.Float(), nullable=False),
        sa.Column("fence", sa.Text(), nullable=False),
        sa.Column("fenced", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_hosts"),
    )


def downgrade() -> None:
    op.drop_table("hosts")
