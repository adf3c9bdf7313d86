"""A restore whose source is one of the guide's old archives: beside the live database, and into a scratch place."""

from collections.abc import Mapping
from typing import Any

from tdev_operators.core.errors import InputError
from tdev_operators.core.recovery.archives import (
    NO_PROOF,
    Archive,
    find_archive,
    is_archive,
    refuse_archive_in_place,
    restore_archive,
)
from tdev_operators.core.recovery.buckets import BucketPlan, BucketRestored
from tdev_operators.core.recovery.database import RestoredDatabase
from tdev_operators.core.recovery.restore import CHECKED, CHOSEN, Restore, bucket_step
from tdev_operators.core.recovery.take_place import Places

_RAW_BYTES_A_BYTE = 8  # of what gzip made of SQL, at most as a rule


class ArchiveRestore(Restore):
    """See `Restore`; of an archive nothing becomes live by itself."""

    def chosen(self) -> Mapping[str, Any]:
        """Find the archive; refuse what cannot be done with one."""
        archive = self._archive()
        refuse_archive_in_place(self.request)
        if (noted := self.journal.done(CHOSEN)) is None:
            noted = {
                "set_id": archive.info.key,
                "manifest_sha256": "",
                "recovery_point": archive.day.isoformat(),
                "missing": NO_PROOF,
                "newer": [],
            }
            self.journal.note(CHOSEN, "done", **noted)
        return noted

    def preflight(self) -> list[str]:
        """Say what would be done; nothing is touched, and the archive is not read."""
        info = self._archive().info
        told = [f"{info.key} ({info.size_bytes / 1e6:,.1f} MB) is read as a stream; its SQL ends at the first error"]
        told += [
            f"{name} -> {self.settings.buckets.backups}/{self.scratch_prefix(name)}" for name in self.request.buckets
        ]
        if self.request.database != "none":
            told.append(self.room(info.size_bytes * _RAW_BYTES_A_BYTE))
        self.journal.note(CHECKED, "done", told=told)
        return told

    def plan_buckets(self) -> list[BucketPlan]:
        """Return nothing: a scratch place is empty, so that everything would be written."""
        return []

    def restore_database(self) -> RestoredDatabase | None:
        """Restore the archive's SQL into a new database beside the live one."""
        if self.request.database == "none":
            return None
        archive = self._archive()
        name = self.name_for(f"restored_from_{archive.day:%Y%m%d}")
        if (noted := self.journal.done(f"database {name}")) is not None:
            return RestoredDatabase.of_facts(noted)
        restored, _ = self._read(archive, name=name, buckets={})
        return restored

    def restore_buckets(self) -> list[BucketRestored]:
        """Write the archive's objects below a scratch prefix."""
        if not self.request.buckets:
            return []
        prefixes = {name: self.scratch_prefix(name) for name in self.request.buckets}
        _, restored = self._read(self._archive(), name="", buckets=prefixes)
        for bucket in restored:
            facts = {"written": bucket.written, "written_bytes": bucket.written_bytes, "removed": 0, "kept": 0}
            place = {
                "bucket": bucket.bucket,
                "prefix": prefixes[bucket.name],
                "damaged": [],
                "damages": 0,
                "seconds": 0.0,
            }
            self.journal.note(bucket_step(bucket.name), "done", **facts, **place)
        return restored

    def replace_live(self) -> Places:
        """Refuse: it holds no proof.

        Raises:
            InputError: always.
        """
        refuse_archive_in_place(self.request)
        raise InputError("The live database is not replaced by this restore.")

    def _archive(self) -> Archive:
        return find_archive(self.ports.store, self.settings.buckets.backups, self.request.which)

    def _read(
        self, archive: Archive, *, name: str, buckets: dict[str, str]
    ) -> tuple[RestoredDatabase | None, list[BucketRestored]]:
        return restore_archive(
            self.ports,
            self.settings,
            archive,
            self.journal,
            name=name,
            buckets=buckets,
            progress=self.progress,
            check=self.check,
        )


def restore_kind(which: str) -> type[Restore]:
    """Return the class that restores what `which` names: a set, or an old archive."""
    return ArchiveRestore if is_archive(which) else Restore
