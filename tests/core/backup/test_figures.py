"""What a set says of itself, and what guards its bucket: each check turns red when it must."""

import os
from datetime import timedelta

import pytest

from sandbox.aws import ControlPlanes
from tdev_operators.core.backup.figures import figures_of, recovery_point_age, request_cost, stored_bytes
from tdev_operators.core.backup.manifest import State
from tdev_operators.core.backup.ports import Protection
from tdev_operators.core.backup.protection import check_protection, judge_protection
from tdev_operators.core.backup.set_records import SetOnDisk
from tdev_operators.core.settings import load_settings
from tdev_operators.core.sql import include_dir
from tdev_operators.core.verdicts import Verdict
from tests.backup_sets import NINE_PM, dump, manifest, open_store, snapshot

SETTINGS = load_settings(include_dir() / "tdev.toml").backup
A_DAY = timedelta(days=1)


def a_set(sequence, **more):
    at = NINE_PM + (sequence - 20) * A_DAY
    return manifest(f"{sequence:06d}-20261125T210000Z-0f3a9c", at=at, **more)


def results(one, earlier, seconds=120.0):
    return {result.check: result for result in figures_of(one, earlier, SETTINGS, seconds=seconds)}


def measured(result):
    return {measurement.name: measurement.value for measurement in result.measurements}


USUAL = [a_set(number) for number in range(5, 20)]


def test_a_set_is_told_in_one_sentence():
    found = results(a_set(20), USUAL)["backup.set"]
    assert found.verdict is Verdict.OK
    assert found.summary == (
        "Set 000020-20261125T210000Z-0f3a9c took 2 min (usually 2 min): 1 database of 1.0 MB, 4.0 times compressed "
        "(median of the last 10: 4.0); 5 objects of 0.0 MB; 0.0 MB stored. Recovery point 2026-11-25 21:00 UTC."
    )
    figures = measured(found)
    assert figures["duration"] == 120
    assert figures["compression of the database"] == 4
    assert figures["stored by this set"] == stored_bytes(a_set(20))


def test_copies_count_as_stored():
    copied = a_set(20, buckets=(snapshot(copied_bytes=5_000_000),))
    assert stored_bytes(copied) == stored_bytes(a_set(20)) + 5_000_000


def test_usual_sizes_are_well():
    found = results(a_set(20), USUAL)["backup.size"]
    assert (found.verdict, found.summary) == (
        Verdict.OK,
        "6 sizes within 50 % of the median of the last sets.",
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"databases": (dump(rows=400),)}, "rows of database app 400 instead of about 1,000"),
        ({"databases": (dump(raw_bytes=1_600_000),)}, "bytes of database app 1,600,000 instead of about 1,000,000"),
        ({"databases": (dump(tables=5),)}, "tables of database app 5 instead of about 12"),
        ({"databases": (dump(stored_bytes=900_000),)}, "bytes of database app, stored 900,000"),
        ({"buckets": (snapshot(objects=0),)}, "objects of bucket agents 0 instead of about 5"),
        ({"buckets": ()}, "bucket agents was in the set before and is missing"),
    ],
)
def test_an_unusual_size_is_a_warning(change, words):
    found = results(a_set(20, **change), USUAL)["backup.size"]
    assert found.verdict is Verdict.WARNING
    assert words in found.summary


def test_what_was_empty_and_is_not_any_more_is_unusual():
    empty = [a_set(number, buckets=(snapshot(objects=0, bytes=0),)) for number in range(5, 20)]
    assert results(a_set(20), empty)["backup.size"].verdict is Verdict.WARNING
    still = a_set(20, buckets=(snapshot(objects=0, bytes=0),))
    assert results(still, empty)["backup.size"].verdict is Verdict.OK


def test_the_trend_is_of_the_last_ten_sets_before_this_one():
    grown = [a_set(number, databases=(dump(rows=4_000),)) for number in range(10, 20)]
    found = results(a_set(20, databases=(dump(rows=4_100),)), [*USUAL[:5], *grown, a_set(21)])
    assert found["backup.size"].verdict is Verdict.OK
    first = results(a_set(20), USUAL[:2])["backup.size"]
    assert (first.verdict, first.summary[:15]) == (Verdict.OK, "Fewer than 3 ea")


def test_what_a_full_set_stores_is_held_against_full_sets():
    full = [a_set(number, full=True, buckets=(snapshot(copied_bytes=10**9),)) for number in range(5, 20)]
    assert results(a_set(20), full)["backup.size"].verdict is Verdict.OK
    small = results(a_set(20, full=True), full)["backup.size"]
    assert small.verdict is Verdict.WARNING
    assert "bytes stored by a full set" in small.summary


# Recovery point


def on_disk(hours, state=State.PROVEN):
    one = manifest("000020-20261125T210000Z-0f3a9c", at=NINE_PM - timedelta(hours=hours))
    return SetOnDisk(one.set_id, 20, state, has_manifest=True, manifest=one)


@pytest.mark.parametrize(
    ("hours", "verdict"),
    [(2, Verdict.OK), (26, Verdict.OK), (28, Verdict.WARNING), (52, Verdict.CRITICAL), (-1, Verdict.UNKNOWN)],
)
def test_the_age_of_the_recovery_point(hours, verdict):
    found = recovery_point_age(on_disk(hours), NINE_PM, SETTINGS)
    assert found.verdict is verdict
    assert found.measurements[0].value == hours


def test_no_proof_is_critical():
    assert recovery_point_age(None, NINE_PM, SETTINGS).verdict is Verdict.CRITICAL
    assert recovery_point_age(on_disk(2, State.READABLE), NINE_PM, SETTINGS).verdict is Verdict.CRITICAL


# Requests


def test_requests_cost_by_the_price_list():
    found = request_cost("000020", {"PUT": 2_000, "GET": 10_000, "DELETE": 5}, SETTINGS.price_per_1000)
    assert found.verdict is Verdict.OK
    assert found.summary == "12,005 requests (DELETE 5, GET 10,000, PUT 2,000) cost 0.0140 USD by the price list."
    unknown = request_cost("000020", {"SELECT": 1}, SETTINGS.price_per_1000)
    assert unknown.verdict is Verdict.WARNING
    assert "no price for SELECT" in unknown.summary


# Protection


@pytest.mark.parametrize(
    ("found", "verdict", "words"),
    [
        (
            Protection(True, True, (), True),
            Verdict.OK,
            "versioning yes, Object Lock yes, conditional writes yes",
        ),
        (Protection(True, False, (), True), Verdict.OK, "Object Lock no"),
        (Protection(False, False, (), True), Verdict.WARNING, "can destroy every back-up"),
        (Protection(None, None, None, False), Verdict.WARNING, "does not tell whether a rule"),
        (Protection(True, True, ("tidy",), True), Verdict.CRITICAL, "expires back-ups by itself: lifecycle rule tidy."),
    ],
)
def test_protection_is_told(found, verdict, words):
    result = judge_protection(found, "backups")
    assert result.verdict is verdict
    assert words in result.summary


@pytest.mark.faults
def test_a_rule_that_eats_back_ups_is_found_in_a_real_bucket(supervisor):
    planes = ControlPlanes(supervisor, name="figures-moto").start()
    with open_store(planes.endpoint_url, "test", "test") as store:
        client, name = store._requests.client, f"aws-{os.urandom(6).hex()}"
        client.create_bucket(Bucket=name)
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        assert check_protection(store, name, "app").verdict is Verdict.OK
        rule = {"ID": "tidy", "Status": "Enabled", "Expiration": {"Days": 30}, "Filter": {"Prefix": "app/"}}
        client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [rule]})
        assert check_protection(store, name, "app").verdict is Verdict.CRITICAL
        assert check_protection(store, name, "app_staging").verdict is Verdict.OK
    planes.stop()
