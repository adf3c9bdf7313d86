"""Back-up sets for tests: small, whole, with bytes in a real store."""

import hashlib
from datetime import UTC, datetime, timedelta

from tdev_operators.core.backup.manifest import (
    Attestation,
    BucketSnapshot,
    DatabaseDump,
    Manifest,
    StoredFile,
)
from tdev_operators.core.backup.repository import Repository
from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.connections import ConnectionFacts

NINE_PM = datetime(2026, 11, 25, 21, 0, tzinfo=UTC)
EVERYTHING = (
    "database/app/toc.dat",
    "database/app/1.dat.zst",
    "database/app.proof.json.zst",
    "database/globals.sql.zst",
)
INDEX = "buckets/agents/index.jsonl.zst"
PACK = "buckets/agents/packs/00.tar"


def open_store(endpoint, login, password, **options):
    extra = {"region_name": "us-east-1", "endpoint_url": endpoint}
    facts = ConnectionFacts("tdev_aws", "aws", login=login, password=password, extra=extra)
    return S3BackupStore(facts, **{"patience_seconds": 20, **options})


def content_of(key):
    return f"the bytes of {key}\n".encode() * 40


def stored(key):
    body = content_of(key)
    return StoredFile(key=key, size_bytes=len(body), sha256=hashlib.sha256(body).hexdigest())


def dump(at=NINE_PM, name="app", **more):
    facts = {
        "name": name,
        "role": "maintained",
        "server_version_num": 180004,
        "system_identifier": "7000",
        "encoding": "UTF8",
        "collation": "C",
        "locale_provider": "c",
        "snapshot_at": at,
        "snapshot_lsn": "0/1",
        "tool": "pg_dump 18.4",
        "tables": 12,
        "rows": 1_000,
        "raw_bytes": 1_000_000,
        "stored_bytes": 250_000,
        "files": tuple(map(stored, EVERYTHING[:2])),
        "proof": stored(EVERYTHING[2]),
    }
    return DatabaseDump(**{**facts, **more})


def snapshot(at=NINE_PM, **more):
    facts = {
        "name": "agents",
        "bucket": "app-agents",
        "taken_at": at,
        "objects": 5,
        "bytes": 20_000,
        "index": stored(INDEX),
        "packs": (stored(PACK),),
        "copies": 0,
        "copied_bytes": 0,
        "referenced_sets": (),
    }
    return BucketSnapshot(**{**facts, **more})


def manifest(set_id, *, at=NINE_PM, system="app", **more):
    facts = {
        "system": system,
        "set_id": set_id,
        "sequence": int(set_id[:6]),
        "full": False,
        "started_at": at,
        "completed_at": at + timedelta(minutes=2),
        "product_version": "0.1.0",
        "encryption": "none",
        "recipients": (),
        "databases": (dump(at),),
        "globals": stored(EVERYTHING[3]),
        "buckets": (snapshot(at),),
        "requests": {"PUT": 7, "LIST": 2},
    }
    return Manifest(**{**facts, **more})


def complete_set(repository: Repository, holder, *, at=NINE_PM, **more):
    """Write a whole set and return its id and its manifest's digest."""
    begun = repository.begin(holder, full=False, database_now=at)
    for key in (*EVERYTHING, INDEX, PACK):
        repository.store.put(repository.bucket, begun.prefix + key, content_of(key))
    return begun.set_id, repository.complete(manifest(begun.set_id, at=at, **more))


def attested(kind, set_id, digest, **facts):
    return Attestation(
        kind=kind, set_id=set_id, manifest_sha256=digest, at=NINE_PM, product_version="0.1.0", facts=facts
    )
