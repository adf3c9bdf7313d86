"""A set in a line, as the ledger's index keeps it: for lists, plots and trends without a look into the bucket."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from tdev_operators.core.backup.figures import stored_bytes
from tdev_operators.core.backup.manifest import State
from tdev_operators.core.backup.set_records import SetOnDisk


@dataclass(frozen=True, slots=True)
class SetLine:
    """What a list shows of a set. Sizes in bytes, durations in seconds; zero where the set has not come so far."""

    set_id: str
    sequence: int
    state: State
    recovery_point: datetime
    full: bool = False
    seconds: float = 0.0
    database_bytes: int = 0
    stored_bytes: int = 0
    tables: int = 0
    rows: int = 0
    objects: int = 0
    bucket_bytes: int = 0
    encryption: str = ""
    proven_at: str = ""
    restore_seconds: float = 0.0
    remarks: str = ""
    place: str = ""

    @property
    def facts(self) -> dict[str, Any]:
        """What the index keeps as JSON: everything but what has a column of its own."""
        return {name: value for name, value in asdict(self).items() if name not in _COLUMNS}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """Rebuild a line from a row of the index."""
        known = {name: value for name, value in row["facts"].items() if name in cls.__dataclass_fields__}
        return cls(row["set_id"], row["sequence"], State(row["state"]), row["recovery_point"], **known)


_COLUMNS = frozenset({"set_id", "sequence", "state", "recovery_point"})


def line_of(found: SetOnDisk, place: str) -> SetLine:
    """Return a set's line; `place` is where it stands, such as `s3://bucket/system/set/`."""
    manifest, proof = found.manifest, found.attestations.get("proven")
    if manifest is None:
        remarks = " ".join(found.remarks)
        return SetLine(found.set_id, found.sequence, found.state, found.recovery_point, remarks=remarks, place=place)
    return SetLine(
        found.set_id,
        found.sequence,
        found.state,
        found.recovery_point,
        full=manifest.full,
        seconds=round((manifest.completed_at - manifest.started_at).total_seconds(), 1),
        database_bytes=sum(dump.raw_bytes for dump in manifest.databases),
        stored_bytes=stored_bytes(manifest),
        tables=sum(dump.tables for dump in manifest.databases),
        rows=sum(dump.rows for dump in manifest.databases),
        objects=sum(snapshot.objects for snapshot in manifest.buckets),
        bucket_bytes=sum(snapshot.bytes for snapshot in manifest.buckets),
        encryption=manifest.encryption,
        proven_at=proof.at.isoformat() if proof else "",
        restore_seconds=float(proof.facts.get("seconds", 0)) if proof else 0.0,
        remarks=" ".join(found.remarks),
        place=place,
    )
