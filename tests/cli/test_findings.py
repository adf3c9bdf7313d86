"""`tdev findings`: lines, forms for other tools, and its exit status, without Airflow."""

import io
import json
from argparse import Namespace
from datetime import timedelta

import pytest

from tdev_operators.cli.findings import findings
from tdev_operators.core.security.ledger import Look, Seen
from tdev_operators.hooks.findings_ledger import PostgresFindings
from tdev_operators.hooks.ledger_schema import migrate
from tests.hooks.test_findings_ledger import hole
from tests.records import NOON, facts_of, settings

SYSTEM = settings().system.name


@pytest.fixture
def told(database):
    facts = facts_of(database)
    migrate(facts)
    seen = (Seen(hole(number), number, 30.0) for number in range(2_500))
    PostgresFindings(facts).merge(SYSTEM, NOON, [Look("trivy_source", "shop")], seen)
    connection = {
        "conn_type": "postgres",
        "host": facts.host,
        "port": facts.port,
        "login": facts.login,
        "password": facts.password,
        "schema": facts.schema,
    }
    environment = {"AIRFLOW_CONN_TDEV_LEDGER": json.dumps(connection)}

    def told(now=NOON, **asked):
        out = io.StringIO()
        args = Namespace(**{"sort": "open", "format": "lines", **asked})
        return findings(args, environment=environment, settings=settings(), now=now, out=out), out.getvalue()

    return told


def test_all_of_them_come_page_by_page_the_most_urgent_first(told):
    status, text = told()
    lines = text.splitlines()
    assert (status, len(lines), len(set(lines))) == (0, 2_500, 2_500)
    assert lines[0].startswith("open: HIGH CVE-2026-000000 pkg:pypi/shop in shop: a hole; due 2026-")


def test_it_says_by_its_status_that_something_is_late(told):
    assert told(NOON + timedelta(days=31), sort="late")[0] == 1
    assert told(sort="late") == (0, "")


def test_other_tools_get_all_of_them(told):
    _, sarif = told(format="sarif")
    assert len(json.loads(sarif)["runs"][0]["results"]) == 2_500


def test_an_empty_ledger_is_no_clean_one(database, capsys):
    facts = facts_of(database)
    migrate(facts)
    fields = {"host": facts.host, "port": facts.port, "login": facts.login, "password": facts.password}
    environment = {"AIRFLOW_CONN_TDEV_LEDGER": json.dumps({"conn_type": "postgres", "schema": facts.schema, **fields})}
    args = Namespace(sort="open", format="lines")
    assert findings(args, environment=environment, settings=settings(), now=NOON, out=io.StringIO()) == 3
    assert "nobody knows what there is to find" in capsys.readouterr().err
    PostgresFindings(facts).merge(SYSTEM, NOON, [Look("trivy_source", "shop", basis="x")], [])
    assert findings(args, environment=environment, settings=settings(), now=NOON, out=io.StringIO()) == 0
