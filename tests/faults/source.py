"""A small source that has one of everything that a set must carry: about 5 MB in tables, 400 objects."""

import random
from pathlib import Path

from sandbox.object_store import ObjectStore
from sandbox.postgres import Cluster

DATABASE, LEDGER = "shop", "shop_ledger"
AGENTS, CHECKPOINTS, BACKUPS = "t-developer-agents", "t-developer-checkpoints", "t-developer-backups"
SYSTEM = "faults"
# The table that faults drop, alter and truncate; nothing refers to it.
VICTIM_ROWS = 20_000

_AGENTS = 300
_LARGE = 6 * 1024 * 1024

_SCHEMA = f"""
CREATE TABLE agents (name text, version text, source text, PRIMARY KEY (name, version));
INSERT INTO agents SELECT 'agent-' || n, '1', repeat(md5(n::text), 8) FROM generate_series(1, {_AGENTS}) AS n;
CREATE TABLE measurements (id bigint PRIMARY KEY, at timestamptz, value double precision, words text);
INSERT INTO measurements
    SELECT n, '2026-01-01'::timestamptz + n * interval '1 s', sqrt(n), md5(n::text) || md5((n * 7)::text)
    FROM generate_series(1, 25000) AS n;
CREATE TABLE documents (id serial PRIMARY KEY, body jsonb, raw bytea);
INSERT INTO documents (body, raw)
    SELECT jsonb_build_object('n', n, 'word', md5(n::text)), decode(repeat(md5(n::text), 60), 'hex')
    FROM generate_series(1, 800) AS n;
CREATE TABLE "odd ""name" ("Key" text, empty text);
INSERT INTO "odd ""name" VALUES ('a', ''), ('b', NULL), ('b', NULL);
CREATE SCHEMA side;
CREATE TABLE side.parts (day date, n integer) PARTITION BY RANGE (day);
CREATE TABLE side.parts_2026 PARTITION OF side.parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO side.parts SELECT '2026-01-01'::date + n % 300, n FROM generate_series(1, 5000) AS n;
CREATE SEQUENCE numbers;
SELECT setval('numbers', 4711);
SELECT lo_from_bytea(0, decode(repeat(md5(n::text), 200 * n), 'hex')) FROM generate_series(1, 20) AS n;
"""
_VICTIM = f"""
DROP TABLE IF EXISTS victim, newcomer;
CREATE TABLE victim AS SELECT n AS id, md5(n::text) AS word FROM generate_series(1, {VICTIM_ROWS}) AS n;
"""


def fill_database(cluster: Cluster) -> None:
    """Make the maintained database; an immediate stop loses nothing of it."""
    cluster.create_database(DATABASE)
    with cluster.connect(DATABASE) as connection:
        connection.execute(_SCHEMA)
        connection.execute(_VICTIM)
        connection.execute("CHECKPOINT")


def renew_victim(cluster: Cluster) -> None:
    """Bring the table back that a fault has changed."""
    with cluster.connect(DATABASE) as connection:
        connection.execute(_VICTIM)


def fill_buckets(store: ObjectStore) -> None:
    """Write the objects to the store's disk, before its start."""
    draw = random.Random(1)
    for name in (AGENTS, CHECKPOINTS, BACKUPS):
        store.create_bucket(name)
    for number in range(1, _AGENTS + 1):
        _put(store.folder / AGENTS / f"agent-{number}" / "1.py", draw.randbytes(draw.randint(1000, 6000)))
    for number in range(80):
        _put(store.folder / CHECKPOINTS / "small" / f"{number:03}", draw.randbytes(draw.randint(2000, 40_000)))
    for number in range(4):
        _put(store.folder / CHECKPOINTS / "large" / f"{number}", draw.randbytes(_LARGE if number < 2 else 400_000))


def change(cluster: Cluster, store: ObjectStore, round_number: int) -> None:
    """Do what a day does: some rows, some small objects, one large one."""
    draw = random.Random(round_number)
    with cluster.connect(DATABASE) as connection:
        connection.execute("UPDATE measurements SET value = value + 1 WHERE mod(id, 100) = %s", [round_number % 100])
        connection.execute("SELECT nextval('numbers')")
    client = store.client()
    for number in draw.sample(range(1, _AGENTS + 1), 12):
        client.put_object(Bucket=AGENTS, Key=f"agent-{number}/1.py", Body=draw.randbytes(draw.randint(1000, 6000)))
    client.put_object(Bucket=CHECKPOINTS, Key=f"large/{round_number % 4}", Body=draw.randbytes(_LARGE))


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
