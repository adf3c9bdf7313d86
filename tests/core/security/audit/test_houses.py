"""Looks at buckets and at Airflow's own house."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from tdev_operators.core.errors import TargetUnreachableError
from tdev_operators.core.security.audit.looking import AirflowConnection, AirflowUser
from tdev_operators.core.security.audit.looks import airflow, buckets
from tdev_operators.core.verdicts import Verdict
from tests.core.security.audit.conftest import GUARDED, PRIVATE, TUESDAY


def test_guarded_buckets_are_lines_and_nothing_is_wrong(place):
    looked = buckets.look(place.ports, place.settings, TUESDAY)
    assert looked.found == []
    assert looked.skipped == {}
    bucket = place.settings.buckets.backups
    assert f"{bucket}: versioning True" in looked.facts
    assert f"{bucket}: encryption AES256" in looked.facts
    assert f"{bucket}: policy deny" in looked.facts
    assert bucket in looked.seen


@pytest.mark.parametrize(
    ("exposure", "house", "verdict", "sentence"),
    [
        (replace(PRIVATE, anonymous_read_status=200), GUARDED, Verdict.CRITICAL, "Strangers may read"),
        (replace(PRIVATE, policy_is_public=True), GUARDED, Verdict.CRITICAL, "Strangers may read"),
        (replace(PRIVATE, public_access_blocked=False), GUARDED, Verdict.WARNING, "does not block public access"),
        (PRIVATE, replace(GUARDED, versioning=False), Verdict.WARNING, "keeps no versions"),
        (PRIVATE, replace(GUARDED, encryption=""), Verdict.WARNING, "no default encryption"),
        (PRIVATE, replace(GUARDED, transport=False), Verdict.WARNING, "requests without TLS"),
    ],
)
def test_a_guard_that_is_missing_is_told(place, exposure, house, verdict, sentence):
    place.exposure, place.house = exposure, house
    looked = buckets.look(place.ports, place.settings, TUESDAY)
    assert {one for one, _ in looked.found} == {verdict}
    assert all(sentence in text for _, text in looked.found)


def test_what_a_store_or_a_missing_right_does_not_tell_is_a_gap(place):
    place.house = replace(GUARDED, versioning=None)
    looked = buckets.look(place.ports, place.settings, TUESDAY)
    assert set(looked.skipped.values()) == {"the store cannot tell"}
    rights = {"encryption": "s3:GetEncryptionConfiguration"}
    place.house = replace(GUARDED, encryption=None, lifecycle=None, rights_missing=rights)
    looked = buckets.look(place.ports, place.settings, TUESDAY)
    assert set(looked.skipped.values()) == {"it needs s3:GetEncryptionConfiguration", "the store cannot tell"}
    place.house = GUARDED
    for gap in (replace(PRIVATE, rights_missing=("s3:GetBucketAcl",)), replace(PRIVATE, anonymous_list_status=500)):
        place.exposure = gap
        assert buckets.look(place.ports, place.settings, TUESDAY).skipped
    place.exposure = TargetUnreachableError("The store is away.")
    assert buckets.look(place.ports, place.settings, TUESDAY).seen == []


def house(**more):
    given = {
        "users": [AirflowUser("admin", ("Admin",), active=True, failed_logins=0)],
        "rights": {"Viewer": ["can_read on DAGs"]},
        "connections": [AirflowConnection("tdev_aws", "aws", "", {"region_name": "eu-central-1"})],
        **more,
    }
    return SimpleNamespace(**{name: lambda value=value: value for name, value in given.items()})


def test_airflows_people_roles_and_connections_are_lines(place):
    place.airflow = house()
    looked = airflow.look(place.ports, place.settings, TUESDAY)
    assert looked.found == []
    assert looked.facts == [
        "user admin: Admin",
        "role Viewer: can_read on DAGs",
        "connection tdev_aws: aws",
    ]


def test_what_may_be_secret_in_a_host_is_in_no_line(place):
    place.airflow = house(
        connections=[
            AirflowConnection("x", "http", "https://user:hunter2@hooks.example.com:8443/services/T0K3N?sig=abc", {})
        ]
    )
    looked = airflow.look(place.ports, place.settings, TUESDAY)
    assert "connection x: http https://hooks.example.com:8443" in looked.facts
    told = str(looked)
    assert not any(secret in told for secret in ("hunter2", "T0K3N", "abc", "user:"))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"users": [AirflowUser("eve", ("Op",), active=True, failed_logins=25)]}, "25 logins of eve failed"),
        (
            {"connections": [AirflowConnection("x", "http", "h", {"api_token": "abc", "verify": "***"})]},
            "The connection x shows api_token in its extra.",
        ),
        ({"connections": [AirflowConnection("x", "http", "https://u:p@h", {})]}, "a user or password in its host"),
    ],
)
def test_what_is_weak_in_airflow_is_told(place, more, sentence):
    place.airflow = house(**more)
    looked = airflow.look(place.ports, place.settings, TUESDAY)
    [(verdict, told)] = looked.found
    assert (verdict, sentence in told) == (Verdict.WARNING, True)
    assert "abc" not in told
