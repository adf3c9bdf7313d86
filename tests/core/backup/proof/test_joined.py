"""The whole way: dumped under a snapshot into a real S3 server, then proven from the bucket alone."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any

import pyrage
import pytest

from sandbox.postgres import Cluster
from sandbox.processes import Supervisor
from tdev_operators.core.backup.cipher import cipher_of
from tdev_operators.core.backup.database.dump import dump_database
from tdev_operators.core.backup.database.globals import dump_globals
from tdev_operators.core.backup.database.proof_record import record
from tdev_operators.core.backup.database.snapshot import held_snapshot
from tdev_operators.core.backup.manifest import DatabaseDump, Manifest, StoredFile, digest_of
from tdev_operators.core.backup.proof.prove import BucketsProof, prove_set
from tdev_operators.core.backup.proof.scratch import ScratchServer, provable, scratch_server
from tdev_operators.core.settings import load_settings
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.connections import ConnectionFacts
from tests.conftest import S3Server
from tests.core.backup.proof.sets import connect, handle, sealed

_FILL = """
CREATE SCHEMA "Odd.Schema";
CREATE TABLE "Odd.Schema"."T,1" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text, u text
    GENERATED ALWAYS AS (upper(v)) STORED);
INSERT INTO "Odd.Schema"."T,1" (v) SELECT md5(i::text) || repeat('x', i % 50) FROM generate_series(1, 30000) AS i;
CREATE TABLE parts (k int, v jsonb) PARTITION BY RANGE (k);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
INSERT INTO parts SELECT i, jsonb_build_array(i, NULL, 1.0) FROM generate_series(0, 19) AS i;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE kinds (a bit(4), b tsvector, c money, d json, e uuid, f point, g int[], h mood, i positive, j bytea);
INSERT INTO kinds VALUES (B'1010', 'a b', 12.5, '{"a": 1}', NULL, '(1,2)', '[2:3]={1,2}', 'ok', 3, '\\x00ff');
CREATE VIEW seen AS SELECT count(*) AS n FROM parts;
CREATE MATERIALIZED VIEW kept AS SELECT k % 3 AS m, count(*) AS n FROM parts GROUP BY 1;
CREATE MATERIALIZED VIEW empty AS SELECT 1 AS x WITH NO DATA;
CREATE ROLE joined_owner;
CREATE ROLE joined_reader IN ROLE joined_owner;
ALTER TABLE parts OWNER TO joined_owner;
ALTER TABLE parts ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_rows ON parts FOR SELECT TO joined_reader USING (k > 1);
GRANT SELECT (v) ON "Odd.Schema"."T,1" TO joined_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO joined_reader;
CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2';
CREATE INDEX ON kinds (twice(i));
COMMENT ON TABLE kinds IS 'it''s odd';
SELECT lo_from_bytea(0, decode(md5(i::text), 'hex')) FROM generate_series(1, 50) AS i;
"""
_PUBLIC_GONE = "CREATE SCHEMA app; CREATE TABLE app.t AS SELECT 1 AS n; DROP SCHEMA public CASCADE;"
_PUBLIC_CHANGED = "ALTER SCHEMA public OWNER TO joined_owner; GRANT CREATE ON SCHEMA public TO PUBLIC;"


@pytest.fixture(scope="module")
def old_cluster(supervisor: Supervisor) -> Iterator[Cluster]:
    """Return a running PostgreSQL 16."""
    cluster = Cluster(supervisor, "test-proof-16", version=16).start()
    yield cluster
    cluster.stop()


@pytest.fixture
def store(s3_server: S3Server) -> Iterator[S3BackupStore]:
    """Return the adapter of the S3 server."""
    facts = ConnectionFacts(
        "tdev_aws",
        "aws",
        login=s3_server.access_key,
        password=s3_server.secret_key,
        extra={"endpoint_url": s3_server.endpoint_url, "region_name": "us-east-1"},
    )
    with S3BackupStore(facts) as made:
        yield made


def _put(store: S3BackupStore, bucket: str, folder: str, key: str, body: bytes) -> StoredFile:
    store.put(bucket, folder + key, body)
    return StoredFile(key=key, size_bytes=len(body), sha256=digest_of(body))


@pytest.mark.seeded
@pytest.mark.parametrize(
    ("version", "encrypted", "more"),
    [
        pytest.param(18, False, "", id="18"),
        pytest.param(18, True, "", id="18-age"),
        pytest.param(16, False, "", id="16"),
        pytest.param(18, False, _PUBLIC_GONE, id="public-gone"),
        pytest.param(18, False, _PUBLIC_CHANGED, id="public-changed"),
    ],
)
def test_dumped_into_s3_and_proven(
    request: pytest.FixtureRequest,
    store: S3BackupStore,
    bucket: str,
    scratch: ScratchServer,
    version: int,
    more: str,
    *,
    encrypted: bool,
) -> None:
    cluster: Cluster = request.getfixturevalue("cluster" if version == 18 else "old_cluster")
    name = "joined base"
    cluster.create_database(name)
    try:
        with cluster.connect(name) as connection:
            connection.execute(_FILL)
            connection.execute(more.encode() or b"SELECT 1")
        _prove(store, bucket, scratch, cluster, name, encrypted=encrypted)
    finally:
        cluster.drop_database(name)
        with cluster.connect() as connection:
            connection.execute("DROP ROLE IF EXISTS joined_reader, joined_owner")


def _prove(
    store: S3BackupStore, bucket: str, scratch: ScratchServer, cluster: Cluster, name: str, *, encrypted: bool
) -> None:
    identity = pyrage.x25519.Identity.generate()
    cipher = cipher_of([str(identity.to_public())], str(identity)) if encrypted else cipher_of([])
    settings, source, folder = load_settings().backup, handle(cluster, name), "sys/000001-x/"
    major = int(cluster.version)
    with held_snapshot(source, lock_wait_seconds=10) as held:
        proof = record(source, held, jobs=2)
        dumped = dump_database(
            source,
            held.id,
            store,
            bucket,
            folder,
            name,
            settings,
            cipher,
            major=major,
            expected_tables=[(table.schema, table.name) for table in held.catalogue.tables],
            check=lambda: None,
            progress=lambda _: None,
        )
        catalogue = held.catalogue
    globals_ = dump_globals(source, store, bucket, folder, settings, cipher, major=major)
    key = f"database/{name}.proof.json.zst{cipher.suffix}"
    dump = DatabaseDump(
        name=name,
        role="maintained",
        server_version_num=catalogue.server_version_num,
        system_identifier=held.system_identifier,
        encoding=catalogue.encoding,
        collation=catalogue.collation,
        locale_provider=catalogue.locale_provider,
        snapshot_at=held.at,
        snapshot_lsn=held.lsn,
        tool=dumped.tool,
        tables=len(proof.tables),
        rows=proof.rows,
        raw_bytes=dumped.raw_bytes,
        stored_bytes=dumped.stored_bytes,
        files=dumped.files,
        proof=_put(store, bucket, folder, key, sealed(proof.to_bytes(), cipher)),
        character_type=catalogue.character_type,
        locale=catalogue.locale,
    )
    now = datetime.now(UTC)
    manifest = Manifest(
        system="sys",
        set_id="000001-x",
        sequence=1,
        full=True,
        started_at=now,
        completed_at=now,
        product_version="0",
        encryption="age" if encrypted else "none",
        recipients=(),
        databases=(dump,),
        globals=globals_,
        buckets=(),
        requests={},
    )

    def servers(wanted: int) -> AbstractContextManager[ScratchServer]:
        assert wanted == major
        return (
            nullcontext(scratch)
            if wanted == 18
            else scratch_server(wanted, lambda tool: cluster.binaries / tool, connect)
        )

    with servers(major) as server:
        assert provable(catalogue, server) == []
    said: list[str] = []
    report = prove_set(
        store,
        bucket,
        "sys",
        manifest,
        settings,
        cipher,
        scratch=servers,
        restore_buckets=lambda *_: BucketsProof(()),
        progress=said.append,
    )
    assert report.differences == ()
    assert report.verdict is Verdict.OK, report.doubts
    facts: dict[str, Any] = json.loads(json.dumps(report.facts()))
    assert facts[f"{name}.raw_bytes"] == dump.raw_bytes
    assert any(line.startswith("mutant") for line in said)
