"""Tonight's set is verified: each verdict turns red when it should, and nothing is called better than it is."""

import json
from dataclasses import replace
from datetime import timedelta

import pyrage
import pytest
import zstandard

from tdev_operators.core.backup.manifest import Manifest, State, digest_of
from tdev_operators.core.backup.proof.prove import BucketsProof, MutantOutcome, ProofReport
from tdev_operators.core.backup.verified import mutant_result, still_running
from tdev_operators.core.errors import AccessDeniedError, TransientError
from tdev_operators.core.verdicts import Verdict
from tests.core.backup.whole_sets import summary, verdicts
from tests.seeded import drawn

pytestmark = [pytest.mark.xdist_group("whole-sets"), pytest.mark.timeout(120)]
GOOD = {
    "backup.tonight": "OK",
    "backup.readable": "OK",
    "backup.proven": "OK",
    "backup.verifier": "OK",
    "backup.retention": "OK",
    "backup.recovery_point": "OK",
}


def test_no_set_at_all_is_critical(house):
    verified = house.verify()
    assert not verified.proven
    assert verdicts(verified.results) == {"backup.tonight": "CRITICAL", "backup.recovery_point": "CRITICAL"}


def test_a_good_set_is_proven_and_stays_so(house):
    house.take()
    told = []
    verified = house.verify(progress=told.append)
    assert verified.proven
    assert verdicts(verified.results) == GOOD
    assert house.states() == [State.PROVEN]
    assert told
    assert house.keys("scratch/") == [], "the sample's scratch prefix is gone"
    assert house.verify().proven


def test_an_old_set_never_stands_in_for_tonights(house):
    house.take("yesterday")
    assert house.verify().proven
    house.changes = {"expected_hours": 1e-6}
    verified = house.verify()
    assert verdicts(verified.results)["backup.tonight"] == "CRITICAL"
    assert "None was begun since." in summary(verified.results, "backup.tonight")
    assert still_running("daily holds it.").verdict is Verdict.CRITICAL


@pytest.mark.faults
def test_one_that_was_begun_later_and_is_not_complete_is_critical(house):
    house.take("yesterday")

    def dies(_line):
        raise TransientError("The store is away; try again.")

    with pytest.raises(TransientError):
        house.take("tonight", progress=dies)
    verified = house.verify()
    assert verdicts(verified.results)["backup.tonight"] == "CRITICAL"
    assert "was begun and is not complete" in summary(verified.results, "backup.tonight")


@pytest.mark.parametrize(
    "part",
    drawn("flipped byte", ["/packs/", "toc.dat", "small-0.tar", ".proof.json.zst", "globals.sql.zst", "index.jsonl"]),
)
def test_a_flipped_byte_anywhere_takes_the_attestations_back(house, part):
    set_id = house.take(buckets=("agents",)).manifest.set_id
    assert house.verify().proven
    victim = next(key for key in house.keys(set_id) if part in key and "ledger" not in key)
    body = bytearray(house.read(victim))
    body[len(body) // 2] ^= 1
    house.write(victim, bytes(body))
    verified = house.verify()
    assert not verified.proven
    assert verdicts(verified.results)["backup.readable"] == "CRITICAL"
    assert house.states() == [State.COMPLETE]
    assert verdicts(verified.results)["backup.recovery_point"] == "CRITICAL"


def test_an_object_that_is_gone_is_critical(house):
    set_id = house.take(buckets=("agents",)).manifest.set_id
    (pack,) = [key for key in house.keys(set_id) if "/packs/" in key]
    house.client.delete_object(Bucket=house.settings.buckets.backups, Key=pack)
    verified = house.verify()
    assert verdicts(verified.results)["backup.readable"] == "CRITICAL"
    assert house.states() == [State.COMPLETE]


def forge(house, manifest: Manifest, change):
    """Change the proof that a set holds, and its manifest so that all checksums agree."""
    dump = next(each for each in manifest.databases if each.role == "maintained")
    folder = f"{house.name}/{manifest.set_id}/"
    proof = json.loads(zstandard.ZstdDecompressor().decompressobj().decompress(house.read(folder + dump.proof.key)))
    change(proof)
    body = zstandard.ZstdCompressor().compress(json.dumps(proof).encode())
    house.write(folder + dump.proof.key, body)
    stored = dump.proof.model_copy(update={"sha256": digest_of(body), "size_bytes": len(body)})
    databases = tuple(
        each.model_copy(update={"proof": stored}) if each is dump else each for each in manifest.databases
    )
    house.write(folder + "manifest.json", manifest.model_copy(update={"databases": databases}).to_bytes())


def test_what_is_restored_and_is_not_equal_is_never_proven(house):
    manifest = house.take(buckets=("agents",)).manifest

    def one_row_more(proof):
        table = next(each for each in proof["tables"] if each["rows"] > 10)
        table["rows"] += 1

    forge(house, manifest, one_row_more)
    verified = house.verify()
    assert not verified.proven
    found = verdicts(verified.results)
    assert (found["backup.readable"], found["backup.proven"]) == ("OK", "CRITICAL")
    assert "rows" in summary(verified.results, "backup.proven")
    assert house.states() == [State.COMPLETE], "not even READABLE: somebody changed what is compared"
    assert "backup.retention" not in found, "nothing is removed on the strength of a set that is not proven"


def test_a_verifier_that_misses_its_mutant_is_critical():
    report = ProofReport("000001-x", (), BucketsProof((), {}), MutantOutcome("one row changed", "public.t", ""), 1.0)
    (result,) = mutant_result(report)
    assert result.verdict is Verdict.CRITICAL
    assert "NOT noticed" in result.summary
    assert report.verdict is not Verdict.OK


@pytest.mark.faults
def test_a_lost_lease_attests_nothing_more(house):
    house.take(buckets=("agents",))
    read_back = []

    def progress(line):
        if line.startswith("Read back"):
            read_back.append(line)

    def check():
        if read_back:
            raise TransientError("The lease is lost.")

    with pytest.raises(TransientError):
        house.verify(progress=progress, check=check)
    assert house.states() == [State.READABLE]


def three_proven(house):
    for evening in ("one", "two", "three"):
        house.take(evening, buckets=("agents",))
        assert house.verify().proven


@pytest.mark.faults
def test_the_keep_rules_are_applied_after_a_proof_and_journalled_before(house):
    three_proven(house)
    keep = house.settings.backup.keep.model_copy(update={"last": 1, "daily": 0, "weekly": 0, "monthly": 0, "yearly": 0})
    house.changes = {"keep": keep, "max_delete_percent": 70.0}
    with house.ports() as ports:
        sweep_later = {"clock": ports.clock}
    noted = []

    def refuses(event, facts):
        raise TransientError("The ledger is away.")

    verified = house.verify(sweep_later, journal=refuses)
    assert verified.proven
    assert verdicts(verified.results)["backup.retention"] == "UNKNOWN"
    assert len(house.sets()) == 3, "what is not noted is not done"

    verified = house.verify(known_before=lambda: 30)
    assert verdicts(verified.results)["backup.retention"] == "WARNING"
    assert "30 stood there before" in summary(verified.results, "backup.retention")
    assert len(house.sets()) == 3

    days_off = {"clock": lambda: sweep_later["clock"]() + timedelta(days=400)}
    verified = house.verify(days_off, known_before=lambda: 3)
    assert verdicts(verified.results)["backup.retention"] == "WARNING"
    assert len(house.sets()) == 3, "a clock that is days off removes nothing"

    def note(event, facts):
        noted.append((event, facts["set_id"], len(house.sets())))

    verified = house.verify(journal=note, known_before=lambda: 3)
    assert verdicts(verified.results)["backup.retention"] == "OK"
    assert [(event, before) for event, _, before in noted] == [("remove_set", 3), ("remove_set", 2)]
    (left,) = house.sets()
    assert left.state is State.PROVEN
    assert left.sequence == 3
    assert house.verify().proven, "what it refers to is still there"


@pytest.mark.faults
def test_with_age_nobody_reads_without_the_identity_and_the_set_proves_with_it(house):
    identity = pyrage.x25519.Identity.generate()
    house.changes = {"age_recipients": (str(identity.to_public()),)}
    taken = house.take(buckets=("agents",))
    assert verdicts(taken.results)["backup.references"] == "UNKNOWN", "no identity, so nobody looked"
    bodies = [house.read(key) for key in house.keys(taken.manifest.set_id) if key.endswith(".age")]
    assert bodies
    assert all(body.startswith(b"age-encryption.org/v1") for body in bodies)
    with pytest.raises(AccessDeniedError):
        house.verify()
    assert house.states()[0] in (State.COMPLETE, State.READABLE)
    connection = json.dumps({"conn_type": "generic", "password": str(identity)})
    verified = house.verify({"environment": {"AIRFLOW_CONN_TDEV_AGE": connection}})
    assert verdicts(verified.results) == GOOD


@pytest.mark.faults
def test_with_the_database_gone_the_set_is_verified_all_the_same(house):
    house.take(buckets=("agents",))
    with house.ports() as ports:
        nowhere = replace(ports, maintained=lambda _name: ports.maintained("no_such_database"))
        assert house.verify({"maintained": nowhere.maintained}).proven
