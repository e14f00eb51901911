"""What machines and hosts used lately: averages that a watch keeps."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

RATES = ("cpu", "steal", "memory", "disk", "net", "weight", "since", "seen")


def upgrade() -> None:
    op.create_table(
        "loads",
        sa.Column("name", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Float(), nullable=False) for name in RATES),
        sa.PrimaryKeyConstraint("name", name="pk_loads"),
    )


def downgrade() -> None:
    op.drop_table("loads")
