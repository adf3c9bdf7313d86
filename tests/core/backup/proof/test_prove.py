"""Proofs: a good set is proven, and each mutant, alone, is noticed."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from sandbox.postgres import Cluster
from tdev_operators.core.backup.cipher import Plain
from tdev_operators.core.backup.manifest import BucketSnapshot, DatabaseDump, Manifest, StoredFile
from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.backup.proof import prove, sabotage
from tdev_operators.core.backup.proof.mutants import MUTANTS, Mutant, rotating, rotation
from tdev_operators.core.backup.proof.prove import BucketsProof, ProofReport, prove_set
from tdev_operators.core.backup.proof.scratch import ScratchServer
from tdev_operators.core.errors import ProofFailedError
from tdev_operators.core.settings import load_settings
from tdev_operators.core.verdicts import Verdict
from tests.core.backup.proof.sets import BUCKET, FOLDER, MemoryStore, sealed, take

_NAMES = [mutant.name for mutant in MUTANTS]
_PACK = "buckets/agents/packs/1.tar"
_FILL = """
CREATE ROLE prover_reader;
CREATE TABLE parent (id serial PRIMARY KEY, name text, UNIQUE (name));
INSERT INTO parent (name) VALUES ('a'), (NULL), ('');
CREATE TABLE child (parent int REFERENCES parent, at timestamptz DEFAULT now(), CHECK (parent < 3));
INSERT INTO child VALUES (1), (2);
CREATE MATERIALIZED VIEW seen AS SELECT count(*) AS n FROM child;
GRANT SELECT ON child TO prover_reader;
SELECT lo_from_bytea(0, 'large');
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """A set in memory."""

    store: MemoryStore
    dump: DatabaseDump
    globals_: StoredFile
    scratch: ScratchServer

    def prove(self, sequence: int = 0, *, buckets: bool = True) -> ProofReport:
        """Prove it, as the set with this sequence."""
        now = datetime.now(UTC)
        snapshot = BucketSnapshot(
            name="agents",
            bucket="agents",
            taken_at=now,
            objects=2,
            bytes=2048,
            index=self.globals_,
            packs=(),
            copies=0,
            copied_bytes=0,
            referenced_sets=(),
        )
        system, set_id, _ = FOLDER.split("/")
        manifest = Manifest(
            system=system,
            set_id=set_id,
            sequence=sequence,
            full=False,
            started_at=now,
            completed_at=now,
            product_version="0",
            encryption="none",
            recipients=(),
            databases=(self.dump,),
            globals=self.globals_,
            buckets=(snapshot,) if buckets else (),
            requests={},
        )

        def scratch(major: int) -> AbstractContextManager[ScratchServer]:
            assert major == 18
            return nullcontext(self.scratch)

        return prove_set(
            cast("BackupStore", self.store),
            BUCKET,
            system,
            manifest,
            load_settings().backup,
            Plain(),
            scratch=scratch,
            restore_buckets=_look,
        )


def _look(store: BackupStore, manifest: Manifest) -> BucketsProof:
    """Stand in for the look at the buckets: two members of one pack, by ranged reads."""
    assert manifest.buckets
    for start, wanted in ((0, b"a" * 1024), (1024, b"b" * 1024)):
        if b"".join(store.read(BUCKET, FOLDER + _PACK, start=start, length=1024)) != wanted:
            raise ProofFailedError(f"The object at {start} is another one.")
    return BucketsProof((), {"checked": 2})


@pytest.fixture(scope="module")
def _source(cluster: Cluster) -> Iterator[str]:
    cluster.create_database("proven")
    with cluster.connect("proven") as connection:
        connection.execute(_FILL)
    yield "proven"
    cluster.drop_database("proven")
    with cluster.connect() as connection:
        connection.execute("DROP ROLE prover_reader")


@pytest.fixture
def taken(cluster: Cluster, _source: str, scratch: ScratchServer, tmp_path: Path) -> Taken:
    """Return a set of a database that has something for each mutant."""
    store = MemoryStore()
    dump, globals_ = take(cluster, _source, store, tmp_path)
    store.put(_PACK, b"a" * 1024 + b"b" * 1024)
    return Taken(store, dump, globals_, scratch)


@pytest.mark.seeded(2)
@pytest.mark.parametrize("sequence", range(len(MUTANTS)), ids=_NAMES)
def test_each_mutant_has_its_turn_and_is_noticed(taken: Taken, sequence: int) -> None:
    report = taken.prove(sequence)
    assert report.differences == ()
    assert report.verdict is Verdict.OK, report.doubts
    assert report.mutant
    assert report.mutant.name == _NAMES[sequence]
    assert report.mutant.caught_by
    assert report.facts()["mutant"] == _NAMES[sequence]
    assert report.facts()["buckets.checked"] == 2
    assert {"proven.fetch_seconds", "proven.record_seconds"} <= report.facts().keys()


def test_the_rotation_reaches_every_mutant() -> None:
    assert [rotating(number).name for number in range(len(MUTANTS))] == _NAMES
    assert [mutant.name for mutant in rotation(3)] == [*_NAMES[3:], *_NAMES[:3]]


@pytest.mark.seeded(2)
@pytest.mark.parametrize("sequence", range(len(MUTANTS)), ids=_NAMES)
def test_a_blind_proof_is_worth_nothing(taken: Taken, sequence: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for judge in (prove, sabotage):
        monkeypatch.setattr(judge, "compare", lambda _expected, _found: ())
    monkeypatch.setitem(globals(), "_look", lambda _store, _manifest: BucketsProof(()))
    _blind_reading(monkeypatch, MUTANTS[sequence])
    report = taken.prove(sequence)
    assert report.differences == ()
    assert report.verdict is Verdict.UNKNOWN
    assert "was not noticed" in report.doubts[0]


def _blind_reading(monkeypatch: pytest.MonkeyPatch, mutant: Mutant) -> None:
    if mutant.name in {"one flipped byte", "a truncated object"}:
        monkeypatch.setattr(sabotage.AlteredStore, "read", lambda self, *where, **how: self._store.read(*where, **how))


def test_a_set_that_is_not_its_source_is_critical(taken: Taken, cluster: Cluster, tmp_path: Path) -> None:
    with cluster.connect("proven") as connection:
        connection.execute("INSERT INTO child VALUES (1)")
        later = MemoryStore()
        take(cluster, "proven", later, tmp_path)
        connection.execute("DELETE FROM child WHERE ctid = (SELECT max(ctid) FROM child)")
    proof = taken.dump.proof
    wrong = taken.store.put(proof.key, later.objects[FOLDER + proof.key])
    dump = taken.dump.model_copy(update={"proof": wrong})
    report = Taken(taken.store, dump, taken.globals_, taken.scratch).prove()
    assert report.verdict is Verdict.CRITICAL
    assert report.differences == ("proven: public.child had 3 rows at the source and has 2 here.",) or (
        "child" in report.differences[0]
    )
    assert report.mutant is None


def test_damage_is_critical_and_named(taken: Taken) -> None:
    del taken.store.objects[FOLDER + taken.dump.proof.key]
    report = taken.prove()
    assert report.verdict is Verdict.CRITICAL
    assert taken.dump.proof.key in report.differences[0]


def test_damage_in_a_bucket_is_critical(taken: Taken) -> None:
    taken.store.put(_PACK, b"a" * 1024 + b"c" * 1024)
    report = taken.prove()
    assert report.verdict is Verdict.CRITICAL
    assert report.differences == ("The object at 1024 is another one.",)
    assert taken.prove(buckets=False).verdict is Verdict.OK


def test_a_proof_of_another_format_proves_nothing(taken: Taken) -> None:
    strange = taken.store.put(taken.dump.proof.key, sealed(b'{"format": 99}', Plain()))
    dump = taken.dump.model_copy(update={"proof": strange})
    report = Taken(taken.store, dump, taken.globals_, taken.scratch).prove()
    assert report.verdict is Verdict.UNKNOWN
    assert "not of a format that we know" in report.doubts[0]
