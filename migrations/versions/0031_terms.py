"""Terms of a full-text index in the place of indexes over nodes, namespaces and names, on SQLite."""

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

IN_THEIR_PLACE = (
    "allocation_live_node",
    "allocation_live_workload",
    "allocation_of_node",
    "allocation_of_name",
)


def word(value: str) -> str:
    return f"lower(hex({value}))"


def falling(value: str) -> str:
    return f"printf('%016x', 9223372036854775807 - {value})"


def term(letter: str, condition: str, *parts: str) -> str:
    joined = " || '.' || ".join(parts)
    return f"iif({condition} IS NULL, '', '{letter}' || {joined})"


def always(row: str) -> str:
    age = falling(f"{row}.since"), falling(f"{row}.id")
    of_node = term("c", f"{row}.node", word(f"{row}.node"), *age)
    of_name = term("d", f"{row}.name", word(f"{row}.name"), *age)
    return f"{of_node} || ' ' || {of_name}"


def living(row: str) -> str:
    place = word(f"{row}.space"), word(f"{row}.address"), f"{row}.slot"
    of_node = term("a", f"{row}.node", word(f"{row}.node"), *place, word(f"{row}.cluster"))
    workload = word(f"{row}.namespace"), word(f"{row}.name")
    of_workload = term("b", f"{row}.namespace", *workload, *place)
    return f"{of_node} || ' ' || {of_workload}"


REACHED = "(SELECT reached FROM listing_reached)"
ENTER = "INSERT INTO listing (rowid, terms) SELECT"
LEAVE = "INSERT INTO listing (listing, rowid, terms) SELECT 'delete',"
PUT_OFF = "INSERT INTO listing_gone (entry, terms) SELECT"
AGED = "OLD.since <> NEW.since OR OLD.node IS NOT NEW.node OR OLD.name IS NOT NEW.name"
MOVED = (
    "OLD.until IS NULL AND NEW.until IS NULL AND (OLD.node IS NOT NEW.node OR OLD.cluster IS NOT NEW.cluster"
    " OR OLD.namespace IS NOT NEW.namespace OR OLD.name IS NOT NEW.name OR OLD.space <> NEW.space"
    " OR OLD.address <> NEW.address OR OLD.slot <> NEW.slot)"
)

STATEMENTS = (
    "CREATE VIRTUAL TABLE listing USING fts5("
    "terms, content='', columnsize=0, detail=none, tokenize=\"ascii tokenchars '.'\")",
    "CREATE VIRTUAL TABLE listing_term USING fts5vocab(listing, instance)",
    f"{ENTER} id * 2, {always('allocation')} FROM allocation ORDER BY id",
    f"{ENTER} id * 2 + 1, {living('allocation')} FROM allocation WHERE until IS NULL ORDER BY id",
    "CREATE TABLE listing_reached (id INTEGER PRIMARY KEY CHECK (id = 1), reached INTEGER NOT NULL)",
    "INSERT INTO listing_reached SELECT 1, coalesce(max(id), 0) FROM allocation",
    "CREATE TABLE listing_gone (id INTEGER PRIMARY KEY, entry INTEGER NOT NULL, terms TEXT NOT NULL)",
    f"""CREATE TRIGGER allocation_changes
AFTER UPDATE OF until, since, node, cluster, namespace, name, space, address, slot ON allocation
WHEN OLD.id <= {REACHED} BEGIN
  {PUT_OFF} OLD.id * 2 + 1, {living("OLD")} WHERE OLD.until IS NULL AND NEW.until IS NOT NULL;
  {LEAVE} OLD.id * 2, {always("OLD")} WHERE {AGED};
  {ENTER} NEW.id * 2, {always("NEW")} WHERE {AGED};
  {LEAVE} OLD.id * 2 + 1, {living("OLD")} WHERE {MOVED};
  {ENTER} NEW.id * 2 + 1, {living("NEW")} WHERE {MOVED};
END""",
    f"""CREATE TRIGGER allocation_goes AFTER DELETE ON allocation WHEN OLD.id <= {REACHED} BEGIN
  {PUT_OFF} OLD.id * 2, {always("OLD")};
  {PUT_OFF} OLD.id * 2 + 1, {living("OLD")} WHERE OLD.until IS NULL;
END""",
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for statement in STATEMENTS:
            op.get_bind().exec_driver_sql(statement)
        for name in IN_THEIR_PLACE:
            op.drop_index(name, "allocation")
    op.execute("UPDATE schema_version SET revision = 31")
