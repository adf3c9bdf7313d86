"""What is known of a set: as it stands in the bucket, and as it is handed to those who write one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tdev_operators.core.backup.manifest import Attestation, Manifest, Record, State, StoredFile
from tdev_operators.core.backup.set_ids import parse_set_id

_RANK = {state: rank for rank, state in enumerate(State)}


class StagedMark(Record):
    """`staged.json`: who began the set, and when by the database's clock."""

    holder: str
    started_at: datetime
    full: bool


@dataclass(frozen=True, slots=True)
class SetOnDisk:
    """A set as it stands in the bucket.

    `remarks` are sentences about what does not count: a damaged manifest, an attestation of another one. A set whose
    manifest cannot be read is STAGED with `has_manifest`; nothing removes it but a human.
    """

    set_id: str
    sequence: int
    state: State
    has_manifest: bool = False
    manifest: Manifest | None = None
    manifest_sha256: str = ""
    attestations: Mapping[str, Attestation] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def recovery_point(self) -> datetime:
        """The moment to which the set takes the database back; of an unfinished one, when it began."""
        return self.manifest.recovery_point if self.manifest else parse_set_id(self.set_id).at

    def reached(self, state: State) -> bool:
        """Whether the set has come at least so far."""
        return _RANK[self.state] >= _RANK[state]


@dataclass(frozen=True, slots=True)
class StagedSet:
    """A set that may be written now, below `prefix` (with its slash). `resumed`: a killed try left something there."""

    set_id: str
    sequence: int
    prefix: str
    resumed: bool


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What `clean_leftovers` removed."""

    aborted_uploads: int
    removed_sets: tuple[str, ...]
    removed_objects: int


def files_of(record: Record) -> Iterator[StoredFile]:
    """Yield everything that a set stored and its manifest names, whatever field it stands in.

    Copies of large objects are not among them: they stand in the indexes only.
    """
    for name in type(record).model_fields:
        value = getattr(record, name)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, StoredFile):
                yield one
            elif isinstance(one, Record):
                yield from files_of(one)
