"""What a backup set says of itself: the manifest, and the attestations that stand beside it.

A set lives below `<system>/<set id>/` in the backups bucket. Its state is what stands there, and nothing else:

    STAGED      no manifest: it is being written, or its worker died
    COMPLETE    `manifest.json`, written last and never changed
    READABLE    `readable.json`, bound to the manifest's digest: every byte that this set wrote was read back
    PROVEN      `proven.json`, bound in the same way: restored, and found equal to the source at the snapshot

Only PROVEN sets count for retention, "latest", the recovery point and failover.
"""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

MANIFEST = "manifest.json"
READABLE = "readable.json"
PROVEN = "proven.json"
STAGED = "staged.json"


class State(StrEnum):
    """How far a set has come, from worst to best."""

    STAGED = "STAGED"
    COMPLETE = "COMPLETE"
    READABLE = "READABLE"
    PROVEN = "PROVEN"


class Record(BaseModel):
    """A frozen piece of a manifest that knows all of its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredFile(Record):
    """An object that this set wrote. `key` is relative to the set's folder; `sha256` is of the stored bytes, in hex."""

    key: str
    size_bytes: int
    sha256: str


class DatabaseGrant(Record):
    """A privilege on the database itself; an empty grantee is PUBLIC."""

    grantee: str
    privilege: str
    is_grantable: bool


class DatabaseSetting(Record):
    """A setting that a session in the database begins with; an empty role is everybody."""

    role: str
    name: str
    value: str


class DatabaseProperties(Record):
    """What belongs to a database and is not in it: `pg_restore` gives it only to a database that it creates."""

    owner: str
    connection_limit: int
    comment: str
    grants: tuple[DatabaseGrant, ...]
    settings: tuple[DatabaseSetting, ...]


class DatabaseDump(Record):
    """One database in the set: a `pg_dump` directory whose files are `files`, and its proof.

    Files of a dump are `database/<name>/<file>.zst` (`toc.dat` as it is), small ones packed into
    `database/<name>/small-<n>.tar`. `proof` is the object with the counts and digests of the snapshot.
    """

    name: str
    role: Literal["maintained", "ledger"]
    server_version_num: int
    system_identifier: str
    encoding: str
    collation: str
    locale_provider: str
    snapshot_at: datetime
    snapshot_lsn: str
    tool: str
    tables: int
    rows: int
    raw_bytes: int
    stored_bytes: int
    files: tuple[StoredFile, ...]
    proof: StoredFile
    globals: StoredFile | None = None  # roles and grants of a server of its own; else the manifest's
    character_type: str = ""  # LC_CTYPE; as `collation` when empty
    locale: str = ""  # of the providers icu and builtin; as `collation` when empty
    properties: DatabaseProperties | None = None  # none: the set is older than this field

    @property
    def major(self) -> int:
        """The server's major version."""
        return self.server_version_num // 10_000


class BucketSnapshot(Record):
    """One bucket in the set. The index has a line an object, in key order, and says where each one's bytes are.

    `packs` and `copies` were written by this set; `referenced_sets` wrote the rest.
    """

    name: str
    bucket: str
    taken_at: datetime
    objects: int
    bytes: int
    index: StoredFile
    marks: StoredFile | None = None  # beside a sealed index: by which changes are seen without the identity
    packs: tuple[StoredFile, ...]
    copies: int
    copied_bytes: int
    referenced_sets: tuple[str, ...]
    changed_during_run: int = 0


class Manifest(Record):
    """A complete set. `sequence` orders sets: it grows by one a set, so that no clock has a say."""

    format: Literal[1] = 1
    system: str
    set_id: str
    sequence: int
    full: bool
    started_at: datetime
    completed_at: datetime
    product_version: str
    encryption: Literal["none", "age"]
    recipients: tuple[str, ...]
    databases: tuple[DatabaseDump, ...]
    globals: StoredFile
    buckets: tuple[BucketSnapshot, ...]
    requests: dict[str, int]

    @property
    def recovery_point(self) -> datetime:
        """The moment to which this set takes the maintained database back, by the database's own clock."""
        return next(dump.snapshot_at for dump in self.databases if dump.role == "maintained")

    def to_bytes(self) -> bytes:
        """Return the JSON that is stored."""
        return self.model_dump_json(indent=1).encode()


class Attestation(Record):
    """Somebody looked: bound to one manifest by its digest. `facts` are figures for people and for trends."""

    kind: Literal["readable", "proven"]
    set_id: str
    manifest_sha256: str
    at: datetime
    product_version: str
    facts: dict[str, float | int | str]

    def to_bytes(self) -> bytes:
        """Return the JSON that is stored."""
        return self.model_dump_json(indent=1).encode()


def digest_of(stored: bytes) -> str:
    """Return the SHA-256 of stored bytes, in hex: what binds an attestation to its manifest."""
    return hashlib.sha256(stored).hexdigest()
