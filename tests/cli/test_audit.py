"""`tdev audit`: what differs, accepting it, and its exit status, without Airflow."""

import io
import json
from argparse import Namespace
from datetime import timedelta

import pytest

from tdev_operators.cli.audit import audit
from tdev_operators.core.errors import InputError
from tdev_operators.core.ledger import Sample
from tdev_operators.core.security.audit.run import state_of
from tdev_operators.hooks.ledger import PostgresLedger
from tdev_operators.hooks.ledger_schema import migrate
from tests.records import NOON, facts_of, settings

ACCEPTED = ("audit.airflow", "audit.buckets", "audit.database_access", "audit.database_roles", "audit.open_ports")


@pytest.fixture
def told(database):
    facts = facts_of(database)
    migrate(facts)
    fields = {"host": facts.host, "port": facts.port, "login": facts.login, "password": facts.password}
    connection = {"conn_type": "postgres", "schema": facts.schema, **fields}
    ledger = PostgresLedger(facts)

    def seen(at, *lines):
        for name in ACCEPTED:
            ledger.keep_sample(settings().system.name, name, Sample(at, {"facts": list(lines)}))

    def told(now=NOON, **asked):
        out = io.StringIO()
        args = Namespace(**{"accept": "", "by": "lead", "state": "", **asked})
        environment = {"AIRFLOW_CONN_TDEV_LEDGER": json.dumps(connection)}
        return audit(args, environment=environment, settings=settings(), now=now, out=out), out.getvalue()

    told.seen = seen
    return told


def test_its_life(told):
    status, text = told()
    assert (status, text.splitlines()[0]) == (1, "audit.airflow: no audit of the last two weeks has looked")
    with pytest.raises(InputError, match=r"No audit of the last week has looked at audit\.airflow"):
        told(accept="audit.airflow")
    told.seen(NOON, "a", "b")
    status, text = told()
    assert (status, text.splitlines()[:3]) == (
        1,
        [f"audit.airflow: nobody has accepted its 2 lines, state {state_of(['a', 'b'])}", "  + a", "  + b"],
    )
    for name in ACCEPTED:
        assert told(accept=name) == (0, f"{name}: 2 lines accepted by lead.\n")
    assert told()[0] == 0
    told.seen(NOON + timedelta(days=7), "b", "c")
    status, text = told(NOON + timedelta(days=7))
    assert status == 1
    assert text.splitlines()[:3] == [
        f"audit.airflow: differs from what lead accepted on {NOON:%Y-%m-%d}; state {state_of(['b', 'c'])}",
        "  + c",
        "  - a",
    ]
