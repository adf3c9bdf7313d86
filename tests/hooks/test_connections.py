"""Connections: read as Airflow reads them, and silent about their secrets."""

import json
import logging
import pickle
import traceback
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdev_operators.core.errors import SetupMissingError
from tdev_operators.hooks.connections import (
    AirflowConnections,
    ConnectionFacts,
    EnvironmentConnections,
    parse_connection,
)

SECRET = "p@ss/w:rd?#&%41 ü"

_TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12)
_NAME = st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True)
_EXTRA = st.dictionaries(_TEXT, st.one_of(_TEXT, st.integers(), st.booleans(), st.dictionaries(_TEXT, _TEXT)))


def _airflow_fields(connection: Any) -> dict[str, Any]:
    return {
        "conn_type": connection.conn_type or "",
        "host": connection.host or "",
        "port": connection.port,
        "login": connection.login or "",
        "password": connection.password or "",
        "schema": connection.schema or "",
        "extra": json.loads(connection.extra) if connection.extra else {},
    }


def _our_fields(facts: ConnectionFacts) -> dict[str, Any]:
    names = ("conn_type", "host", "port", "login", "password", "schema", "extra")
    return {name: getattr(facts, name) for name in names}


@settings(deadline=None, max_examples=150)
@given(
    conn_type=st.sampled_from(["postgres", "postgresql", "aws", "http", "google-cloud", "my_type"]),
    host=st.one_of(st.none(), _NAME, _NAME.map("https://".__add__), st.just("/run/Post gres"), st.just("::1")),
    port=st.one_of(st.none(), st.integers(1, 65_535)),
    login=st.one_of(st.none(), _TEXT),
    password=st.one_of(st.none(), _TEXT),
    schema=st.one_of(st.none(), _TEXT),
    extra=st.one_of(st.none(), _EXTRA),
)
def test_we_read_both_forms_as_airflow_does(extra: dict[str, Any] | None, **fields: Any) -> None:
    from airflow.sdk import Connection

    connection = Connection(conn_id="c", extra=json.dumps(extra) if extra is not None else None, **fields)
    as_json, as_uri = connection.as_json(), connection.get_uri()
    assert _our_fields(parse_connection("c", as_json)) == _airflow_fields(Connection.from_json(as_json, "c"))
    try:
        theirs = Connection.from_uri(as_uri, "c")
    except Exception:  # noqa: BLE001 - what Airflow itself cannot read back, we need not read either
        with pytest.raises(SetupMissingError):
            parse_connection("c", as_uri)
    else:
        assert _our_fields(parse_connection("c", as_uri)) == _airflow_fields(theirs)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("postgres://u:p%40ss@host:5433/t_developer", ("u", "p@ss", "host", 5433, "t_developer")),
        ("postgresql://u@%2Frun%2FPostgres/db", ("u", "", "/run/Postgres", None, "db")),
        ("http://https://:token@api.example.com:8000", ("", "token", "https://api.example.com", 8000, "")),
        ("postgres://u:p@[::1]:5432/db", ("u", "p", "::1", 5432, "db")),
    ],
)
def test_uris_that_people_write(uri: str, expected: tuple[object, ...]) -> None:
    facts = parse_connection("c", uri)
    assert (facts.login, facts.password, facts.host, facts.port, facts.schema) == expected


def test_extras_of_a_uri_come_from_its_query_or_as_json() -> None:
    assert parse_connection("c", "aws://?region_name=eu-west-1").extra == {"region_name": "eu-west-1"}
    assert parse_connection("c", "aws://?endpoint_url=http://127.0.0.1:9000").extra == {
        "endpoint_url": "http://127.0.0.1:9000"
    }
    nested = {"service_config": {"s3": {"endpoint_url": "http://127.0.0.1:9000"}}}
    assert parse_connection("c", f"aws://?__extra__={quote(json.dumps(nested))}").extra == nested


def test_a_missing_connection_says_how_to_make_it() -> None:
    with pytest.raises(SetupMissingError) as caught:
        EnvironmentConnections({}).get("tdev_postgres")
    assert str(caught.value) == (
        "The connection tdev_postgres is missing; "
        "set AIRFLOW_CONN_TDEV_POSTGRES to its JSON or URI form, as for Airflow."
    )


def test_a_missing_airflow_connection_says_how_to_make_it() -> None:
    with pytest.raises(SetupMissingError, match=r"^The connection tdev_absent is missing; create it under Admin"):
        AirflowConnections().get("tdev_absent")


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        "postgres://user:p%40ssw0rd@[host:5432/db",
        "postgres://user:p%40ssw0rd@host:notaport",
        '{"password": "p@ss/w:rd?#&%41 ü"',
        json.dumps({"conn_type": "http", "pasword": SECRET}),
        json.dumps({"conn_type": "http", "password": SECRET, "port": "eighty"}),
        json.dumps({"conn_type": "http", "extra": SECRET}),
        json.dumps({"conn_type": "http", "extra": json.dumps([SECRET])}),
    ],
)
def test_what_cannot_be_read_is_refused_without_a_word_of_it(text: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sentence = r"^The connection tdev_api cannot be read: .*; write it anew\.$"
    with pytest.raises(SetupMissingError, match=sentence) as caught:
        EnvironmentConnections({"AIRFLOW_CONN_TDEV_API": text}).get("tdev_api")
    said = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caplog.text
    for piece in (SECRET, "p%40ssw0rd", "w:rd"):
        assert piece not in said


def test_facts_never_show_secrets() -> None:
    extra = {"private_key": "KEY-TEXT", "nested": {"aws_session_token": ["T0KEN"]}, "region_name": "eu-west-1"}
    facts = ConnectionFacts("c", "aws", "host", 1, "me", SECRET, "db", extra)
    for text in (repr(facts), str(facts), f"{facts}"):
        assert "me" in text
        assert not any(secret in text for secret in (*facts.secrets, "eu-west-1"))
    assert set(facts.secrets) == {SECRET, quote(SECRET, safe=""), "KEY-TEXT", "T0KEN"}
    assert facts.scrub(f"{SECRET} and {quote(SECRET, safe='')} and T0KEN.") == "*** and *** and ***."
    assert pickle.loads(pickle.dumps(facts)) == facts


def test_secrets_from_airflow_are_masked_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk._shared.secrets_masker import redact

    fields = {"conn_type": "http", "password": SECRET, "extra": {"webhook_token": "abcdefghij", "endpoint": "visible"}}
    monkeypatch.setenv("AIRFLOW_CONN_TDEV_MASKED", json.dumps(fields))
    facts = AirflowConnections().get("tdev_masked")
    assert facts.password == SECRET
    line = f"plain {SECRET} encoded {quote(SECRET, safe='')} extra abcdefghij and visible"
    assert redact(line) == "plain *** encoded *** extra *** and visible"
