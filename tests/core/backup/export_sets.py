"""A whole set with real bytes, as an export reads it: two databases and a bucket with every kind of key."""

import os
from concurrent.futures import ThreadPoolExecutor

import psycopg

from tdev_operators.core.backup.buckets.index import Entry, write_index
from tdev_operators.core.backup.buckets.packs import Pack
from tdev_operators.core.backup.buckets.snapshot import snapshot_bucket
from tdev_operators.core.backup.cipher import Plain
from tdev_operators.core.backup.database.dump import dump_database
from tdev_operators.core.backup.database.globals import dump_globals
from tdev_operators.core.backup.manifest import StoredFile, digest_of
from tdev_operators.core.backup.streams import compressed
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.postgres_sessions import PostgresSource
from tests.backup_sets import NINE_PM, attested, dump, manifest, snapshot
from tests.core.backup.buckets.worlds import settings

KIB = 1024
MIB = 1024 * KIB
OBJECTS = {
    "agents/1/source.py": b"print('one')\n" * 20,
    "agents/2/source.py": b"",
    "a name/with spaces & 'quotes'.txt": b"quoted",
    "umlaut/\u00e4\u6f22.txt": b"letters",
    "large/model.bin": os.urandom(300 * KIB),
    "sealed later/medium.bin": b"m" * 70 * KIB,
    ".odd-keys/mine": b"a key that looks as if it were ours",
}
FILL = """
CREATE TABLE big (id int PRIMARY KEY, v text);
INSERT INTO big SELECT i, md5(i::text) || md5((i + 7)::text) FROM generate_series(1, 12000) AS i;
CREATE TABLE small (k int, v jsonb);
INSERT INTO small SELECT i, jsonb_build_array(i, NULL, 'x') FROM generate_series(1, 20) AS i;
CREATE TABLE none (k int);
SELECT lo_from_bytea(0, decode(md5(i::text), 'hex')) FROM generate_series(1, 5) AS i;
"""


def source_of(conninfo):
    facts = ConnectionFacts(
        "tdev_postgres",
        "postgres",
        host=conninfo["host"],
        port=conninfo["port"],
        login=conninfo["user"],
        password=conninfo["password"],
    )
    return PostgresSource(facts, conninfo["dbname"])


def _stored(repository, folder, key, plain, cipher):
    body = b"".join(cipher.seal(compressed([plain], 1)))
    repository.store.put(repository.bucket, folder + key + cipher.suffix, body)
    return StoredFile(key=key + cipher.suffix, size_bytes=len(body), sha256=digest_of(body))


def take(repository, source_bucket, conninfo, cipher, *, proven=True, objects=None):
    """Fill database and bucket, and take a set of them; return its id."""
    source, rules = source_of(conninfo), settings()
    begun = repository.begin("run", full=True, database_now=NINE_PM)
    with psycopg.connect(**conninfo) as connection:
        connection.execute(FILL)
    with psycopg.connect(**conninfo) as holder:
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        dumped = dump_database(
            source,
            holder.execute("SELECT pg_export_snapshot()").fetchone()[0],
            repository.store,
            repository.bucket,
            begun.prefix,
            source.name,
            rules,
            cipher,
            major=18,
            expected_tables=[("public", "big"), ("public", "small"), ("public", "none")],
            check=lambda: None,
            progress=lambda _: None,
        )
    globals_file = dump_globals(source, repository.store, repository.bucket, begun.prefix, rules, cipher, major=18)
    with ThreadPoolExecutor(8) as pool:
        contents = (OBJECTS if objects is None else objects).items()
        list(pool.map(lambda pair: repository.store.put(source_bucket, *pair), contents))
    bucket, _ = snapshot_bucket(
        repository.store,
        name="agents",
        bucket=source_bucket,
        target_bucket=repository.bucket,
        system=repository.system,
        set_id=begun.set_id,
        previous=None,
        settings=rules,
        cipher=cipher,
        full=True,
        now=NINE_PM,
    )
    digest = repository.complete(
        manifest(
            begun.set_id,
            system=repository.system,
            encryption="age" if cipher.suffix else "none",
            databases=(
                dump(
                    name=source.name,
                    files=dumped.files,
                    tables=3,
                    rows=12_020,
                    proof=_stored(repository, begun.prefix, f"database/{source.name}.proof.json.zst", b"{}", cipher),
                ),
            ),
            globals=globals_file,
            buckets=(bucket,),
        )
    )
    if proven:
        repository.attest(attested("proven", begun.set_id, digest))
    return begun.set_id


def odd(repository, keys):
    """Make a COMPLETE set without a database whose bucket has these keys, which few servers can hold."""
    begun, pack, entries = repository.begin("odd", full=True, database_now=NINE_PM), Pack(MIB), []
    for key in sorted(keys):
        body = repr(key).encode()
        offset = pack.add(key, body, modified=NINE_PM, shadowed=True)
        entries.append((key, body, offset))
    name, content = pack.close()
    at = f"buckets/agents/packs/{name}.tar"
    repository.store.put(repository.bucket, begun.prefix + at, content)
    made = [
        Entry(key, len(body), "e", NINE_PM, digest_of(body), begun.set_id, at, offset, len(body), NINE_PM)
        for key, body, offset in entries
    ]
    index, totals = write_index(
        repository.store,
        repository.bucket,
        begun.prefix,
        "buckets/agents/index.jsonl.zst",
        made,
        level=1,
        cipher=Plain(),
    )
    files = (_stored(repository, begun.prefix, f"database/{name}.zst", b"plain", Plain()) for name in "abc")
    table, proof, globals_file = files
    snapshot_facts = snapshot(
        objects=totals.objects,
        bytes=totals.size_bytes,
        index=index,
        packs=(StoredFile(key=at, size_bytes=len(content), sha256=name),),
    )
    repository.complete(
        manifest(
            begun.set_id,
            databases=(dump(files=(table,), proof=proof),),
            globals=globals_file,
            buckets=(snapshot_facts,),
        )
    )
    return begun.set_id
