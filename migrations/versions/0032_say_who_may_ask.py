"""API keys, users and their sessions, and the answers that are kept for a repeated request.

The previous release still runs on the result: it does not know these tables.

Revision ID: 0032
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from scheduler.store import tables

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("secret_sha256", sa.String(64), nullable=False),
        sa.Column(
            "scope", sa.Enum("read", "operate", "admin", name="key_scope", create_constraint=True),
            server_default="read", nullable=False,
        ),
        sa.Column("account_id", BIG, nullable=True),
        _created(),
        sa.Column("expires_at", tables.UTCDateTime(), nullable=True),
        sa.Column("revoked_at", tables.UTCDateTime(), nullable=True),
        sa.Column("last_used_at", tables.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("prefix", name=op.f("uq_api_keys_prefix")),
    )
    op.create_table(
        "users",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column(
            "role", sa.Enum("viewer", "operator", "admin", name="user_role", create_constraint=True),
            server_default="viewer", nullable=False,
        ),
        _created(),
        sa.Column("last_login_at", tables.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )
    op.create_table(
        "sessions",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("token_sha256", sa.String(64), nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        _created(),
        sa.Column("last_seen_at", tables.UTCDateTime(), nullable=True),
        sa.Column("expires_at", tables.UTCDateTime(), server_default=tables.PresentInstant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_sessions_token_sha256")),
    )
    op.create_index("ix_sessions_user", "sessions", ["user_id"])
    op.create_table(
        "login_failures",
        sa.Column(
            "who", sa.String(128), nullable=False, comment="a user's name, or where the request came from"
        ),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        _created("last_at"),
        sa.PrimaryKeyConstraint("who", name=op.f("pk_login_failures")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("caller", sa.String(96), nullable=False),
        sa.Column("idempotency_key", sa.String(191), nullable=False),
        sa.Column("request_sha256", sa.String(64), nullable=False),
        sa.Column("answer_status", sa.SmallInteger(), nullable=True),
        sa.Column("answer", sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"), nullable=True),
        _created(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotency_keys")),
        sa.UniqueConstraint("caller", "idempotency_key", name=op.f("uq_idempotency_keys_caller_idempotency_key")),
    )
    op.create_index("ix_idempotency_keys_created", "idempotency_keys", ["created_at"])


def downgrade() -> None:
    for table in ("idempotency_keys", "login_failures", "sessions", "users", "api_keys"):
        op.drop_table(table)


def _created(name: str = "created_at") -> sa.Column:
    return sa.Column(name, tables.UTCDateTime(), server_default=tables.PresentInstant(), nullable=False)
