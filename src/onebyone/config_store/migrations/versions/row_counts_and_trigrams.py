"""Indexes, stored row counts and a trigram index, so that lists and searches of trackers never read the whole table."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_TEXTS = {"imptracker": ("name", "code_key"), "clicktracker": ("name", "code_key", "click_url")}
_KEY = "member_id, advertiser_id, block, state"
_BLOCK = 1000
"""Ids of one block (`tables.ROW_COUNT_BLOCK`); the triggers of this revision keep it for good."""


def upgrade() -> None:
    """Create them for the existing trackers, and triggers that keep them current."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    if not sqlite:
        op.execute(_TRIGRAM_FUNCTION)
    for table, texts in _TEXTS.items():
        _create_indexes(table)
        _create_row_counts(table)
        if sqlite:
            _create_sqlite_triggers(table)
            _create_sqlite_trigram_index(table, texts)
        else:
            _create_postgresql_triggers(table)
            pieces = f"onebyone_pieces(member_id, {_searched_text(table, texts)})"
            # Without a pending list, which every search would read until it is merged.
            op.execute(f"CREATE INDEX ix_{table}_pieces ON {table} USING gin (({pieces})) WITH (fastupdate = off)")


def _create_indexes(table: str) -> None:
    for columns in (
        ["member_id", "code_key"],
        *(["member_id", *owner, name, "id"] for name in ("state", "name", "last_modified") for owner in _OWNERS),
    ):
        op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, columns)


_OWNERS: tuple[tuple[str, ...], ...] = ((), ("advertiser_id",))


def _create_row_counts(table: str) -> None:
    name = f"{table}_tally"
    op.create_table(
        name,
        *(
            sa.Column(column, sa.BigInteger(), autoincrement=False, nullable=False)
            for column in ("member_id", "advertiser_id", "block")
        ),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("objects", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("member_id", "advertiser_id", "block", "state", name=op.f(f"pk_{name}")),
        sqlite_with_rowid=False,
    )
    for advertiser in ("0", "advertiser_id"):
        op.execute(
            f"INSERT INTO {name} ({_KEY}, objects) SELECT member_id, {advertiser}, id / {_BLOCK}, state, count(*)"  # noqa: S608
            f" FROM {table} GROUP BY 1, 2, 3, 4"
        )


def _add_to_counts(table: str, row: str, step: int) -> str:
    """Return statements that add `step` to both counts of a row, and delete counts that reached zero."""
    name = f"{table}_tally"
    values = [
        f"({row}.member_id, {owner}, {row}.id / {_BLOCK}, {row}.state, {step})"
        for owner in ("0", f"{row}.advertiser_id")
    ]
    add = (
        f"INSERT INTO {name} ({_KEY}, objects) VALUES {', '.join(values)}"  # noqa: S608
        f" ON CONFLICT ({_KEY}) DO UPDATE SET objects = {name}.objects + excluded.objects;"
    )
    if step > 0:
        return add
    delete_empty = (
        f"DELETE FROM {name} WHERE member_id = {row}.member_id AND advertiser_id IN (0, {row}.advertiser_id)"  # noqa: S608
        f" AND block = {row}.id / {_BLOCK} AND state = {row}.state AND objects = 0;"
    )
    return f"{add} {delete_empty}"


def _create_sqlite_triggers(table: str) -> None:
    tallied = "state, advertiser_id, member_id"
    moved = " OR ".join(f"old.{name} <> new.{name}" for name in tallied.split(", "))
    for name, event, body in (
        ("added", "INSERT", _add_to_counts(table, "new", 1)),
        ("removed", "DELETE", _add_to_counts(table, "old", -1)),
        ("moved", f"UPDATE OF {tallied}", _add_to_counts(table, "old", -1) + _add_to_counts(table, "new", 1)),
    ):
        when = f"WHEN {moved} " if name == "moved" else ""
        op.execute(f"CREATE TRIGGER {table}_{name} AFTER {event} ON {table} {when}BEGIN {body} END")


def _searched_text(row: str, texts: tuple[str, ...]) -> str:
    """Return the SQL of the searched texts of a row, joined by line feeds, which no text contains."""
    feed = "char(10)" if op.get_bind().dialect.name == "sqlite" else "chr(10)"
    parts = [f"CAST({row}.id AS TEXT)", *(f"coalesce({row}.{name}, '')" for name in texts)]
    return f" || {feed} || ".join(parts)


def _create_sqlite_trigram_index(table: str, texts: tuple[str, ...]) -> None:
    index = f"{table}_pieces"
    op.execute(f"CREATE VIRTUAL TABLE {index} USING fts5(text, content='', columnsize=0, tokenize='trigram')")
    op.execute(f"INSERT INTO {index} (rowid, text) SELECT id, {_searched_text(table, texts)} FROM {table} ORDER BY id")  # noqa: S608
    put = f"INSERT INTO {index} (rowid, text) VALUES (new.id, {_searched_text('new', texts)});"  # noqa: S608
    drop = f"INSERT INTO {index} ({index}, rowid, text) VALUES ('delete', old.id, {_searched_text('old', texts)});"  # noqa: S608
    changed = " OR ".join(f"old.{name} IS NOT new.{name}" for name in texts)
    for name, event, body in (
        ("text_added", "INSERT", put),
        ("text_removed", "DELETE", drop),
        ("text_changed", f"UPDATE OF {', '.join(texts)}", drop + put),
    ):
        when = f"WHEN {changed} " if name == "text_changed" else ""
        op.execute(f"CREATE TRIGGER {table}_{name} AFTER {event} ON {table} {when}BEGIN {body} END")


_TRIGRAM_FUNCTION = """
CREATE FUNCTION onebyone_pieces(member bigint, value text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT member || ':' || substr(lower(value), place, 3)), '{}')
    FROM generate_series(1, length(lower(value)) - 2) AS place
$$
"""
"""The trigrams of a text, each prefixed with its member, so that no search touches another member's objects. An array
needs no extension such as pg_trgm, which a database may lack."""


def _create_postgresql_triggers(table: str) -> None:
    op.execute(f"""
CREATE FUNCTION {table}_tallied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN {_add_to_counts(table, "OLD", -1)} END IF;
    IF TG_OP <> 'DELETE' THEN {_add_to_counts(table, "NEW", 1)} END IF;
    RETURN NULL;
END $$
""")
    moved = (
        "(OLD.state, OLD.advertiser_id, OLD.member_id) IS DISTINCT FROM (NEW.state, NEW.advertiser_id, NEW.member_id)"
    )
    run = f"EXECUTE FUNCTION {table}_tallied()"
    op.execute(f"CREATE TRIGGER {table}_written AFTER INSERT OR DELETE ON {table} FOR EACH ROW {run}")
    op.execute(f"CREATE TRIGGER {table}_moved AFTER UPDATE ON {table} FOR EACH ROW WHEN ({moved}) {run}")
