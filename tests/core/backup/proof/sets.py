"""Small local stand-ins: a store in memory, and a set made by stock pg_dump."""

import io
import secrets
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sandbox.postgres import Cluster
from tdev_operators.core.backup.cipher import Cipher, Plain
from tdev_operators.core.backup.database.proof_record import record
from tdev_operators.core.backup.manifest import DatabaseDump, StoredFile
from tdev_operators.core.backup.streams import Digest, compressed
from tdev_operators.core.errors import InputError
from tdev_operators.core.ports import ObjectInfo
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.postgres_sessions import PostgresSource

BUCKET = "backups"
FOLDER = "t-developer/000001-20261125T210000Z-abcdef/"
_SMALL_BYTES = 4096


def connect(*, host: str, port: int, user: str, password: str, dbname: str) -> PostgresSource:
    """Make a handle as the integrator's factory does."""
    return PostgresSource(ConnectionFacts("scratch", host=host, port=port, login=user, password=password), dbname)


def handle(cluster: Cluster, database: str) -> PostgresSource:
    """Return a handle of a database of the cluster."""
    return connect(**cluster.conninfo(database))


@dataclass
class MemoryStore:
    """Objects in memory, read in pieces."""

    objects: dict[str, bytes] = field(default_factory=dict)

    def read(self, bucket: str, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield it in pieces of 64 KiB."""
        assert bucket == BUCKET
        if key not in self.objects:
            raise InputError(f"There is no object {key}.")
        body = self.objects[key][start : None if length is None else start + length]
        for at in range(0, len(body), 65_536):
            yield body[at : at + 65_536]

    def find(self, bucket: str, key: str) -> ObjectInfo | None:
        """Say what is there."""
        assert bucket == BUCKET
        body = self.objects.get(key)
        return None if body is None else ObjectInfo(key, len(body), "", datetime.now(UTC))

    def put(self, key: str, body: bytes) -> StoredFile:
        """Store it, and say what a manifest says of it."""
        self.objects[FOLDER + key] = body
        digest = Digest()
        digest.add(body)
        return StoredFile(key=key, size_bytes=len(body), sha256=digest.sha256)


def sealed(body: bytes, cipher: Cipher) -> bytes:
    """Compress and seal."""
    return b"".join(cipher.seal(compressed([body], 1)))


def take(
    cluster: Cluster, database: str, store: MemoryStore, folder: Path, cipher: Cipher | None = None
) -> tuple[DatabaseDump, StoredFile]:
    """Dump a database with stock pg_dump into the store, in the layout of a set; return the dump and the globals."""
    cipher = cipher or Plain()
    source = handle(cluster, database)
    dumped = folder / f"dump-{secrets.token_hex(4)}"
    with source.environment() as env:
        subprocess.run(
            [cluster.binaries / "pg_dump", "-Fd", "-j2", "-Z0", "-f", dumped, database], env=dict(env), check=True
        )
        globals_sql = subprocess.run(
            [cluster.binaries / "pg_dumpall", "-g", "--no-role-passwords"],
            env=dict(env),
            check=True,
            capture_output=True,
        ).stdout
    files, small, raw = [], io.BytesIO(), 0
    with tarfile.open(fileobj=small, mode="w") as tar:
        for path in sorted(dumped.iterdir()):
            body = path.read_bytes()
            raw += len(body)
            if path.name == "toc.dat":
                name = f"database/{database}/toc.dat{cipher.suffix}"
                files.append(store.put(name, b"".join(cipher.seal([body]))))
                continue
            stored, name = sealed(body, cipher), f"{path.name}.zst{cipher.suffix}"
            if len(body) < _SMALL_BYTES:
                member = tarfile.TarInfo(name)
                member.size = len(stored)
                tar.addfile(member, io.BytesIO(stored))
            else:
                files.append(store.put(f"database/{database}/{name}", stored))
    files.append(store.put(f"database/{database}/small-1.tar", small.getvalue()))
    with source.session() as session:
        version = int(session.rows("SHOW server_version_num")[0]["server_version_num"])
        identifier = str(session.rows("SELECT system_identifier FROM pg_control_system()")[0]["system_identifier"])
    recorded = record(source, jobs=2)
    proof = store.put(f"database/{database}.proof.json.zst{cipher.suffix}", sealed(recorded.to_bytes(), cipher))
    dump = DatabaseDump(
        name=database,
        role="maintained",
        server_version_num=version,
        system_identifier=identifier,
        encoding="UTF8",
        collation="C",
        locale_provider="libc",
        snapshot_at=datetime.now(UTC),
        snapshot_lsn="0/0",
        tool="pg_dump",
        tables=len(recorded.tables),
        rows=recorded.rows,
        raw_bytes=raw,
        stored_bytes=sum(file.size_bytes for file in files),
        files=tuple(files),
        proof=proof,
    )
    return dump, store.put(f"database/globals.sql.zst{cipher.suffix}", sealed(globals_sql, cipher))
