"""The records that pass through the ledger."""

import json
from dataclasses import replace

import pytest
from pydantic import ValidationError

from tdev_operators.core.ledger import ItemRecord, outcome_digest, outcome_from_json, outcome_to_json
from tdev_operators.core.reporting.settings import Silence
from tdev_operators.core.verdicts import Verdict
from tests.records import HOSTILE, NOON, REF, full_outcome, outcome, result


def test_an_outcome_survives_json():
    found = outcome(result("a.b", Verdict.CRITICAL), result("c.d", because_of="a.b"))
    assert outcome_from_json(json.loads(json.dumps(outcome_to_json(found)))) == found


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_becomes_json_that_postgresql_takes(name):
    text = json.dumps(outcome_to_json(full_outcome(name)), allow_nan=False)
    assert "\\u0000" not in text
    assert "\\ud800" not in text


def test_the_same_outcome_has_the_same_fingerprint_and_another_has_not():
    found = full_outcome()
    assert outcome_digest(found) == outcome_digest(full_outcome())
    assert outcome_digest(found) != outcome_digest(replace(found, ended_at=NOON.replace(minute=1)))


def test_a_record_without_an_end_has_no_outcome():
    assert ItemRecord(REF, attempt=1, started_at=NOON).outcome is None


def test_a_silence_covers_a_check_or_an_area_and_needs_a_time_zone():
    area = Silence(check="database.*", owner="Ada", reason="x", until=NOON)
    assert area.covers("database.dead_tuples")
    assert not area.covers("databases.x")
    assert not area.covers("database")
    assert area.model_copy(update={"check": "api.latency"}).covers("api.latency")
    with pytest.raises(ValidationError, match="until has no time zone"):
        Silence(check="a", owner="b", reason="c", until=NOON.replace(tzinfo=None))
