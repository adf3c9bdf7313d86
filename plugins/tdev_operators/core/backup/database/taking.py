"""One database of a set: dumped and digested under one held snapshot, side by side."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import Literal

from tdev_operators.core.backup.cipher import Cipher
from tdev_operators.core.backup.database.catalogue import Catalogue
from tdev_operators.core.backup.database.dump import DumpResult, dump_database
from tdev_operators.core.backup.database.globals import dump_globals
from tdev_operators.core.backup.database.proof_record import ProofRecord, record
from tdev_operators.core.backup.database.properties import properties_of
from tdev_operators.core.backup.database.snapshot import HeldSnapshot, held_snapshot
from tdev_operators.core.backup.manifest import DatabaseDump, StoredFile
from tdev_operators.core.backup.ports import BackupStore, SourceDatabase
from tdev_operators.core.backup.settings import BackupSettings
from tdev_operators.core.backup.streams import Digest, compressed
from tdev_operators.core.errors import BusyError, TransientError

_SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True, slots=True)
class DatabaseTaking:
    """Where databases of one set go, and how. `folder` is the set's prefix in the bucket, with its slash."""

    store: BackupStore
    bucket: str
    folder: str
    settings: BackupSettings
    cipher: Cipher
    check: Callable[[], None]
    progress: Callable[[str], None]

    def take(
        self,
        source: SourceDatabase,
        role: Literal["maintained", "ledger"],
        while_held: Callable[[HeldSnapshot], None] = lambda _: None,
    ) -> tuple[DatabaseDump, Catalogue]:
        """Take a database; `while_held` is called with the snapshot that the dump will be of.

        Raises:
            BusyError: a lock was not to be had, or others have waited for ours for too long.
            TransientError: the snapshot's holder died, or store or server are away.
            AccessDeniedError, SetupMissingError, GarbledAnswerError: as `dump_database` and `record` say.
        """
        backup = self.settings
        with held_snapshot(source, lock_wait_seconds=backup.lock_wait_seconds, progress=self.progress) as held:
            while_held(held)
            properties = properties_of(held.session, source.name)
            dumped, recorded = self._read_side_by_side(source, held)
        catalogue = held.catalogue
        taken = DatabaseDump(
            name=source.name,
            role=role,
            server_version_num=catalogue.server_version_num,
            system_identifier=held.system_identifier,
            encoding=catalogue.encoding,
            collation=catalogue.collation,
            locale_provider=catalogue.locale_provider,
            snapshot_at=held.at,
            snapshot_lsn=held.lsn,
            tool=dumped.tool,
            tables=len(catalogue.tables),
            rows=recorded.rows,
            raw_bytes=dumped.raw_bytes,
            stored_bytes=dumped.stored_bytes,
            files=dumped.files,
            proof=self._stored(f"database/{source.name}.proof.json.zst", recorded.to_bytes()),
            globals=self.globals(source, catalogue.major, "globals-ledger") if role == "ledger" else None,
            character_type=catalogue.character_type,
            locale=catalogue.locale,
            properties=properties,
        )
        return taken, catalogue

    def globals(self, source: SourceDatabase, major: int, name: str = "globals") -> StoredFile:
        """Store the roles and grants of a server."""
        return dump_globals(
            source,
            self.store,
            self.bucket,
            self.folder,
            self.settings,
            self.cipher,
            major=major,
            name=name,
            check=self.check,
        )

    def _read_side_by_side(self, source: SourceDatabase, held: HeldSnapshot) -> tuple[DumpResult, ProofRecord]:
        """Dump and digest at once: both read the same blocks while they are in memory. If one fails, so does the other.

        Locks are held until both have ended, so that neither may outlive the other's failure.
        """
        watch = _Watch(held, self.check, self.settings.yield_after_seconds)
        with ThreadPoolExecutor(1, thread_name_prefix="tdev-digests") as beside:
            proof = beside.submit(
                record, source, held, jobs=self.settings.parallel_jobs, still_ours=watch.refuse_when_given_up
            )
            try:
                dumped = dump_database(
                    source,
                    held.id,
                    self.store,
                    self.bucket,
                    self.folder,
                    source.name,
                    self.settings,
                    self.cipher,
                    major=held.catalogue.major,
                    expected_tables=[(table.schema, table.name) for table in held.catalogue.tables],
                    check=lambda: watch.look(proof),
                    progress=self.progress,
                    encoding=held.catalogue.encoding,
                )
                while not proof.done():
                    watch.look(proof)
                    watch.given_up.wait(_SECONDS_BETWEEN_LOOKS / 10)
                return dumped, proof.result()
            except BaseException:
                watch.given_up.set()
                raise

    def _stored(self, key: str, plain: bytes) -> StoredFile:
        key += self.cipher.suffix
        digest = Digest()
        with self.store.upload(self.bucket, self.folder + key) as upload:
            for chunk in digest.of(self.cipher.seal(compressed([plain], self.settings.compression_level))):
                upload.write(chunk)
            upload.complete()
        return StoredFile(key=key, size_bytes=digest.size_bytes, sha256=digest.sha256)


@dataclass(slots=True)
class _Watch:
    """Looks after a dump while it runs: is it still ours, is its snapshot still held, does nobody wait for it?"""

    held: HeldSnapshot
    check: Callable[[], None]
    yield_after_seconds: float
    given_up: Event = field(default_factory=Event)
    _looked: float = field(default_factory=time.monotonic)

    def look(self, beside: "Future[ProofRecord]") -> None:
        """Raise when the dump has to end. Asks the server about once a second, however often it is called."""
        self.check()
        if beside.done():
            beside.result()
        now = time.monotonic()
        if now - self._looked < _SECONDS_BETWEEN_LOOKS:
            return
        self._looked = now
        if not self.held.alive():
            raise TransientError(
                f"The transaction that held the snapshot of {self.held.name} is gone (a restart, or somebody ended "
                "it), so that its dump would be of several moments; it is taken again."
            )
        self.held.check_blocked(self.yield_after_seconds)

    def refuse_when_given_up(self) -> None:
        """Raise when the dump beside has failed."""
        if self.given_up.is_set():
            raise BusyError("The dump beside has failed.")
