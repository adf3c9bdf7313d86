"""The 12 tables of the back-up benchmarks, made by the server from their row numbers: the same rows in every run."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
from psycopg import sql

# Words make text that compresses about as a log or a program does, and not as lorem ipsum repeated does.
WORDS = (
    *("agent", "fitness", "evaluation", "generation", "population", "mutation", "crossover", "selection", "score"),
    *("token", "latency", "memory", "retry", "timeout", "queue", "worker", "request", "response", "model", "prompt"),
    *("schema", "index", "vector", "cache", "bucket", "object", "checkpoint", "version", "return", "import", "async"),
    *("await", "class", "self", "result", "value", "error", "raise", "config", "parse", "validate", "build", "deploy"),
    *("test", "assert", "accepted", "rejected", "started", "finished", "failed", "skipped", "pending", "running"),
    *("unknown", "updated", "created", "removed", "restored", "moved"),
)

# Pseudo-random words of row i and place k, without random(): %s stands for how many.
_TEXT = """(SELECT string_agg(w.words[1 + (hashint8extended(i, k) & 63)]
    || CASE WHEN k %% 5 = 0 THEN ' ' || (hashint8extended(i, k + 7) & 1048575) ELSE '' END, ' ')
  FROM generate_series(1, %s) AS k)"""


def _text(words: int) -> str:
    return _TEXT % words


def _number(below: int | str, salt: int) -> str:
    return f"(abs(hashint8extended(i, {salt})) % {below})"


def _moment(step_seconds: float) -> str:
    return (
        f"timestamptz '2026-01-01 00:00:00+00' + i * interval '{step_seconds} seconds'"
        f" + {_number(1_000_000, 91)} * interval '1 microsecond'"
    )


# name -> (rows at scale 1, columns with the expression that makes them from i, statements afterwards)
_Table = tuple[int, dict[str, str], tuple[str, ...]]
_TABLES: dict[str, _Table] = {
    "agents": (
        20_000,
        {
            "name text": "'agent-' || i",
            "version text": f"'1.' || {_number(40, 1)} || '.' || {_number(20, 2)}",
            "description text": _text(30),
            "capabilities jsonb": f"""jsonb_build_object('tools', jsonb_build_array({_number(9, 3)}, {_number(9, 4)}),
                'limits', jsonb_build_object('seconds', {_number(900, 5)}, 'mb', {_number(4096, 6)}))""",
            "created_at timestamptz": _moment(600),
        },
        ("CREATE UNIQUE INDEX ON agents (name)",),
    ),
    "agent_versions": (
        150_000,
        {
            "agent_id bigint": f"1 + {_number('(SELECT count(*) FROM agents)', 1)}",
            "digest text": "md5(i::text) || md5((-i)::text)",
            "source text": _text(200),
            "created_at timestamptz": _moment(100),
        },
        ("CREATE INDEX ON agent_versions (agent_id, created_at)",),
    ),
    "generations": (
        5_000,
        {
            "mean_fitness numeric(8, 6)": f"{_number(1_000_000, 1)} / 1000000.0",
            "parameters jsonb": f"""jsonb_build_object('mutation', {_number(1000, 2)} / 1000.0,
                'elite', {_number(9, 3)}, 'notes', {_text(20)})""",
            "finished_at timestamptz": _moment(3_000),
        },
        (),
    ),
    "fitness_evaluations": (
        1_800_000,
        {
            "agent_id bigint": f"1 + {_number(20_000, 1)}",
            "generation_id bigint": f"1 + {_number(5_000, 2)}",
            "fitness numeric(10, 8)": f"{_number(100_000_000, 3)} / 100000000.0",
            "accuracy double precision": f"{_number(1_000_000_007, 4)} / 1000000007.0::float8",
            "seconds numeric(10, 4)": f"{_number(6_000_000, 5)} / 10000.0",
            "passed boolean": f"{_number(10, 6)} > 1",
            "evaluated_at timestamptz": _moment(7),
        },
        ("CREATE INDEX ON fitness_evaluations (agent_id)",),
    ),
    "executions": (
        1_300_000,
        {
            "run_id uuid": "md5('run' || i)::uuid",
            "agent_id bigint": f"1 + {_number(20_000, 1)}",
            "state text": f"(ARRAY['finished', 'failed', 'cancelled', 'running'])[1 + {_number(4, 2)}]",
            "cost_usd numeric(12, 6)": f"{_number(50_000_000, 3)} / 1000000.0",
            "message text": _text(8),
            "started_at timestamptz": _moment(9),
            "finished_at timestamptz": f"CASE WHEN {_number(4, 2)} < 3 THEN {_moment(9)} + interval '40 seconds' END",
        },
        ("CREATE INDEX ON executions (agent_id, started_at)",),
    ),
    "execution_logs": (
        1_600_000,
        {
            "execution_id bigint": f"1 + {_number(1_300_000, 1)}",
            "level text": f"(ARRAY['INFO', 'INFO', 'INFO', 'WARNING', 'ERROR'])[1 + {_number(5, 2)}]",
            "line text": _text(20),
            "logged_at timestamptz": _moment(8),
        },
        (),
    ),
    "metrics": (
        2_500_000,
        {
            "series_id integer": _number(400, 1),
            "value double precision": f"{_number(10_000_000, 2)} / 1000.0::float8",
            "measured_at timestamptz": _moment(5),
        },
        (),
    ),
    "api_requests": (
        900_000,
        {
            "path text": f"""'/agents/' || {_number(20_000, 1)}
                || (ARRAY['', '/run', '/logs', '/fitness'])[1 + {_number(4, 2)}]""",
            "status smallint": f"(ARRAY[200, 200, 200, 201, 404, 500])[1 + {_number(6, 3)}]",
            "milliseconds integer": _number(4_000, 4),
            "client inet": f"inet '10.0.0.0' + {_number(1 << 24, 5)}",
            "user_agent text": f"(ARRAY['curl/8.5.0', 'python-httpx/0.27.0', 'tdev-cli/2.1'])[1 + {_number(3, 8)}]",
            "requested_at timestamptz": _moment(11),
        },
        ("CREATE INDEX ON api_requests (requested_at)",),
    ),
    "audit_events": (
        350_000,
        {
            "actor text": f"'user-' || {_number(300, 1)}",
            "event jsonb": f"""jsonb_build_object('action', {_text(2)}, 'object', md5(i::text), 'before', {_text(12)},
                'after', {_text(12)}, 'changed', jsonb_build_array({_number(99, 3)}, {_number(99, 4)}))""",
            "happened_at timestamptz": _moment(40),
        },
        (),
    ),
    "messages": (
        120_000,
        {
            "sender_id bigint": f"1 + {_number(20_000, 1)}",
            "recipient_id bigint": f"1 + {_number(20_000, 2)}",
            "body text": _text(75),
            "labels text[]": f"ARRAY['label ' || {_number(30, 3)}, 'label ' || {_number(30, 4)}]",
            "sent_at timestamptz": _moment(90),
        },
        ("CREATE INDEX ON messages (recipient_id)",),
    ),
    "tool_calls": (
        150_000,
        {
            "execution_id bigint": f"1 + {_number(1_300_000, 1)}",
            "arguments jsonb": f"""jsonb_build_object('path', md5(i::text), 'query', {_text(15)},
                'limit', {_number(100, 2)})""",
            "result text": _text(30),
            "called_at timestamptz": _moment(70),
        },
        (),
    ),
    "artifacts": (
        30_000,
        {
            "execution_id bigint": f"1 + {_number(1_300_000, 1)}",
            "object_key text": "'checkpoints/' || md5(i::text) || '.json'",
            "content bytea": "decode(md5(i::text) || md5((i + 1)::text), 'hex')",
            "stored_at timestamptz": _moment(300),
        },
        (),
    ),
}
TABLES = tuple(_TABLES)


def load_tables(connect: Callable[[], psycopg.Connection], scale: float = 1.0) -> None:
    """Make and fill the 12 tables, on two connections in autocommit: about 1.5 GB as SQL text at scale 1."""
    _load(connect, "agents", scale)  # others refer to it
    largest_first = sorted(_TABLES.keys() - {"agents"}, key=lambda name: -_TABLES[name][0])
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: _load(connect, name, scale), largest_first))
    with connect() as connection:
        connection.execute("ALTER TABLE agent_versions ADD FOREIGN KEY (agent_id) REFERENCES agents")
        connection.execute("VACUUM ANALYZE")


def load_wide_rows(connection: psycopg.Connection, rows: int = 4, row_mb: int = 50) -> None:
    """Make a table `wide_rows` whose rows hold one text of so many MB each."""
    connection.execute("CREATE TABLE wide_rows (id integer PRIMARY KEY, content text)")
    for row in range(rows):
        connection.execute(
            "INSERT INTO wide_rows SELECT %s, string_agg(md5((%s * 10000000::bigint + k)::text), '')"
            " FROM generate_series(1, %s) AS k",
            (row, row, row_mb * 1_000_000 // 32),
        )


def _load(connect: Callable[[], psycopg.Connection], name: str, scale: float) -> None:
    rows, columns, afterwards = _TABLES[name]
    with connect() as connection:
        # Everything but the words is a constant of this module.
        table = sql.Identifier(name)
        connection.execute(
            sql.SQL("CREATE TABLE {} (id bigint GENERATED BY DEFAULT AS IDENTITY, {})").format(
                table,
                sql.SQL(", ".join(columns)),
            )
        )
        connection.execute(
            sql.SQL(
                "WITH w AS MATERIALIZED (SELECT {}::text[] AS words)"
                " INSERT INTO {} SELECT i, {} FROM w, generate_series(1::bigint, {}) AS i"
            ).format(
                list(WORDS),
                table,
                sql.SQL(", ".join(columns.values())),
                max(1, round(rows * scale)),
            )
        )
        connection.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY (id)").format(table))
        connection.execute(
            sql.SQL("SELECT setval(pg_get_serial_sequence({}, 'id'), (SELECT max(id) FROM {}))").format(name, table)
        )
        for statement in afterwards:
            connection.execute(statement)
