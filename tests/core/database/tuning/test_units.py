"""Values are read as the server reads them: asked of a real one, and round and round."""

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as some

from tdev_operators.core.database.tuning.reading import look
from tdev_operators.core.database.tuning.units import (
    Kind,
    bytes_of,
    in_base_units,
    readable,
    same,
    same_words,
    split_list,
    written,
)
from tdev_operators.core.errors import InputError

PAGES = Kind("shared_buffers", "integer", "8kB", low=16, high=1_073_741_823)
KILOBYTES = Kind("work_mem", "integer", "kB", low=64, high=2_147_483_647)
SECONDS = Kind("checkpoint_timeout", "integer", "s", low=30, high=86_400)
MILLISECONDS = Kind("statement_timeout", "integer", "ms", low=0, high=2_147_483_647)

TRIED = [
    *[("work_mem", value) for value in ("4GB", "16 MB", "65536", "1.5MB", "0x4000", "100kB", "  64kB ", "1e3")],
    *[("work_mem", value) for value in ("16mb", "16 M", "4 apples", "", "MB", "1kB", "3TB", "16MB;", "1.0000001GB")],
    *[("lock_timeout", value) for value in ("30s", "0.5min", "1h", "1d", "1500us", "1 ms", "30 S", "-1", "25d")],
    *[("vacuum_cost_delay", value) for value in ("2ms", "2.5", "2500us", "0.1s", "101", "2 min")],
    *[("random_page_cost", value) for value in ("1.1", "4", "1e1", "-1", "1.1ms")],
    *[("enable_seqscan", value) for value in ("on", "OFF", "t", "fal", "Yes", "n", "1", "0", "o", "maybe", "of")],
    *[("synchronous_commit", value) for value in ("on", "LOCAL", "true", "remote_write", "off", "no", "perhaps")],
    *[("client_min_messages", value) for value in ("WARNING", "notice", "loud")],
    *[("wal_compression", value) for value in ("on", "pglz", "off")],
    *[("temp_buffers", value) for value in ("8MB", "1024", "1B", "8191B", "900000B")],
    *[("default_statistics_target", value) for value in ("100", "100.4", "100.5", "101.5", "100ms", "99999")],
    *[("idle_in_transaction_session_timeout", value) for value in ("10min", "0")],
    *[("log_rotation_age", value) for value in ("1d", "90s", "30s", "1500ms")],
]


@pytest.fixture(scope="module")
def kinds(cluster):
    from tdev_operators.hooks.postgres_sessions import PostgresSource
    from tests.records import facts_of

    with PostgresSource(facts_of(cluster.conninfo())).session() as session:
        return look(session).running


@pytest.mark.parametrize(("name", "value"), TRIED)
def test_it_is_what_the_server_makes_of_it(cluster, kinds, name, value):
    with psycopg.connect(**cluster.conninfo(), autocommit=True) as sql:
        query = "SELECT setting FROM pg_settings WHERE name = %s"
        try:
            if name == "log_rotation_age":  # of the server only: pg_file_settings would say it
                told = {"1d": "1440", "90s": "2", "30s": "0", "1500ms": "0"}[value]
            else:
                sql.execute("SELECT set_config(%s, %s, false)", (name, value))
                told = sql.execute(query, (name,)).fetchone()[0]
        except psycopg.errors.InvalidParameterValue:
            with pytest.raises(InputError):
                in_base_units(kinds[name].kind, value)
            return
    assert same(kinds[name].kind, in_base_units(kinds[name].kind, value), told)


@given(some.integers(16, 1_073_741_823))
def test_what_is_written_for_people_is_the_same_value(pages):
    assert in_base_units(PAGES, readable(PAGES, str(pages))) == str(pages)


@given(some.integers(30, 86_400))
def test_so_it_is_for_times(seconds):
    assert in_base_units(SECONDS, readable(SECONDS, str(seconds))) == str(seconds)


@given(some.integers(1, 4096), some.sampled_from(["kB", "MB", "GB"]), some.sampled_from(["", " ", "  "]))
def test_one_amount_is_one_value_in_every_unit(amount, unit, blank):
    factor = {"kB": 1, "MB": 1024, "GB": 1024**2}[unit]
    kilobytes = amount * factor
    if not 64 <= kilobytes <= 2_147_483_647:
        return
    assert in_base_units(KILOBYTES, f"{amount}{blank}{unit}") == in_base_units(KILOBYTES, kilobytes)


def test_for_people():
    assert readable(PAGES, "524288") == "4GB"
    assert readable(KILOBYTES, "16384") == "16MB"
    assert readable(SECONDS, "300") == "5min"
    assert readable(MILLISECONDS, "1500") == "1500ms"
    assert readable(MILLISECONDS, "0") == "0"
    assert readable(Kind("wal_buffers", "integer", "8kB", low=-1), "-1") == "-1"
    assert bytes_of(PAGES, "524288") == 4 * 1024**3
    assert bytes_of(SECONDS, "300") == 0
    assert written(True) == "on"


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        (
            KILOBYTES,
            "16 apples",
            "work_mem = '16 apples' has a unit that it cannot have with one of the units B, kB, MB",
        ),
        (KILOBYTES, "much", "work_mem = 'much' is no number"),
        (SECONDS, "1MB", "checkpoint_timeout = '1MB' has a unit that it cannot have with one of the units us, ms, s"),
        (SECONDS, 5, "checkpoint_timeout = '5' is out of range; give a value from 30s to 1d."),
        (Kind("fsync", "bool"), "perhaps", "fsync = 'perhaps' is no switch; write on or off."),
        (
            Kind("wal_level", "enum", choices=("minimal", "replica")),
            "all",
            "wal_level = 'all' is not one of minimal, re",
        ),
        (Kind("max_connections", "integer"), "200MB", "has a unit that it cannot have without a unit"),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(kind, value, says):
    with pytest.raises(InputError) as refused:
        in_base_units(kind, value)
    assert says in str(refused.value)


def test_lists_are_compared_by_their_elements():
    assert split_list('a, "b, c" ,"d""e"') == ["a", "b, c", 'd"e']
    assert split_list("") == []
    assert split_list('""') == [""], "a list of one element without a name: a server does not start with it"
    assert same_words("shared_preload_libraries", "a,b", "a, b")
    assert not same_words("work_mem", "4MB", None)
    assert same(Kind("search_path", "string"), '"$user",public', '"$user", public')
