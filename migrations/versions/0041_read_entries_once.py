"""Entries of the do-not-call list are found by their last digits, however they are written, from their first moment.

`number_key` and `reading` follow from the text in SQL, so that a row that somebody writes or changes by SQL counts at
once; what the program made of a text stands beside it, with the text. The previous release still runs on the result.

Revision ID: 0041
"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

EXACT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"


def _replaced(text: str, pairs: list[tuple[str, str]]) -> str:
    for old, new in pairs:
        text = f"REPLACE({text}, '{old}', '{new}')"
    return text


SIGNS = " -./()+"
DIGITS = _replaced("telefono", [(one, "") for one in SIGNS])
KEY = f"CASE WHEN LENGTH({DIGITS}) > 7 THEN SUBSTR({DIGITS}, -7) ELSE {DIGITS} END"
GROUPS = _replaced("telefono", [(one, " ") for one in SIGNS[1:]] + [(one, "9") for one in "012345678"])
GROUPS = f"TRIM({_replaced(GROUPS, [('   ', ' '), ('  ', ' '), ('  ', ' ')])})"
ODD = (
    f"{_replaced(GROUPS, [('9', ''), (' ', '')])} <> '' OR SUBSTR({GROUPS}, -4) = '99 9'"
    f" OR SUBSTR({GROUPS}, -6) = '999 99' OR SUBSTR({GROUPS}, -8) = '9999 999'"
)
READING = (
    f"CASE WHEN read_text = telefono THEN (CASE WHEN read_as IS NULL THEN 3 END) WHEN {ODD} THEN 2 ELSE 1 END"
)


def upgrade() -> None:
    if "reading" in {one["name"] for one in sa.inspect(op.get_bind()).get_columns("do_not_call")}:
        return  # an upgrade that was cut off here may be run again
    if op.get_bind().dialect.name == "sqlite":
        op.add_column("do_not_call", sa.Column("read_text", sa.String(32)))
        op.add_column("do_not_call", sa.Column("read_as", sa.String(16)))
        op.add_column("do_not_call", sa.Column("number_key", sa.String(32), sa.Computed(KEY, persisted=False)))
        op.add_column("do_not_call", sa.Column("reading", sa.SmallInteger(), sa.Computed(READING, persisted=False)))
        op.create_index("ix_do_not_call_key", "do_not_call", ["number_key"])
        op.create_index("ix_do_not_call_reading", "do_not_call", ["reading"])
        return
    # Stored: MariaDB never clears away what an index on a virtual column held before, and each take would read it.
    op.execute(
        f"ALTER TABLE do_not_call ADD COLUMN read_text VARCHAR(32) {EXACT}"
        " COMMENT 'what telefono was when it was read',"
        f" ADD COLUMN read_as VARCHAR(16) {EXACT} COMMENT 'the number that read_text means',"
        f" ADD COLUMN number_key VARCHAR(32) {EXACT} GENERATED ALWAYS AS ({KEY}) STORED,"
        f" ADD COLUMN reading SMALLINT GENERATED ALWAYS AS ({READING}) STORED,"
        " ADD INDEX ix_do_not_call_key (number_key), ADD INDEX ix_do_not_call_reading (reading)"
    )


def downgrade() -> None:
    op.drop_index("ix_do_not_call_reading", "do_not_call")
    op.drop_index("ix_do_not_call_key", "do_not_call")
    for column in ("reading", "number_key", "read_as", "read_text"):
        op.drop_column("do_not_call", column)
