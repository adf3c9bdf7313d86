"""The way back."""

import pytest

from tdev_operators.core.database.retention.archive import archived_parts
from tdev_operators.core.database.retention.receipt import part_name
from tdev_operators.core.errors import InputError, ProofFailedError
from tdev_operators.core.verdicts import Verdict


def test_rows_come_back_as_they_were_and_not_twice(metrics):
    before = metrics.rows()
    metrics.clean()
    result = metrics.give_back(into_table=True)
    assert result.verdict is Verdict.OK
    assert (
        "30 of 30 archived rows stand in public.metrics as they were, 30 of them were put there now" in result.summary
    )
    assert "the next run of metric_cleanup removes them again" in result.summary
    assert metrics.rows().items() <= before.items()
    assert metrics.count() == 390
    again = metrics.give_back(into_table=True)
    assert "0 of them were put there now" in again.summary
    assert again.verdict is Verdict.OK
    assert metrics.count() == 390


def test_beside_the_table_they_are_out_of_the_next_runs_way(metrics):
    before = metrics.rows()
    metrics.clean()
    assert metrics.give_back().verdict is Verdict.OK
    assert metrics.count() == 360
    assert metrics.rows("metrics_given_back").items() <= before.items()
    assert metrics.count(table="metrics_given_back") == 30


def test_a_row_with_other_content_is_left_and_said(metrics):
    metrics.clean()
    metrics.sql.execute(
        "INSERT INTO metrics (id, name, value, timestamp) OVERRIDING SYSTEM VALUE VALUES (1191, 'other', 1, now())"
    )
    result = metrics.give_back(into_table=True)
    assert result.verdict is Verdict.WARNING
    assert metrics.count("name = 'other'") == 1
    assert metrics.count() == 390


def test_a_dry_run_writes_nothing(metrics):
    metrics.clean()
    result = metrics.give_back(into_table=True, dry_run=True)
    assert "30 rows of s3://" in result.summary
    assert metrics.count() == 360


def test_a_column_that_came_gets_its_default_and_one_that_went_is_refused(metrics):
    metrics.clean()
    metrics.sql.execute("ALTER TABLE metrics ADD host text DEFAULT 'unknown'")
    assert metrics.give_back(into_table=True).verdict is Verdict.OK
    assert metrics.count("host = 'unknown'") == 390
    metrics.sql.execute("ALTER TABLE metrics DROP COLUMN labels")
    with pytest.raises(InputError, match="has no longer the columns labels jsonb"):
        metrics.give_back(into_table=True)


def test_an_archive_that_was_changed_is_refused(metrics):
    metrics.clean()
    [part] = archived_parts(metrics.folder)
    key = metrics.folder.key(part_name(part.number))
    body = metrics.store.read_whole(metrics.bucket, key, max_bytes=10**6)
    metrics.store.put(metrics.bucket, key, body[:-50] + b"x" * 50)
    with pytest.raises(ProofFailedError, match="is not what was stored there"):
        metrics.give_back()
    assert metrics.count() == 360


def test_an_unknown_run_or_table_is_named(metrics):
    with pytest.raises(InputError, match="it has: none"):
        metrics.with_(run_id="retention-nowhere").give_back()
    metrics.clean()
    with pytest.raises(InputError, match=r"it has: public\.metrics"):
        metrics.give_back(table="public.other")
