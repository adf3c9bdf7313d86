"""security.default_passwords, with a real server and real log-ins."""

import pytest

from sandbox.postgres import Cluster
from tdev_operators.core.errors import TargetUnreachableError
from tdev_operators.core.health.security import default_passwords
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.postgres import PostgresCredentialProbe


def probe(arena):
    return PostgresCredentialProbe(arena.look._facts)


def test_all_are_refused(ports, shipped, arena):
    result = default_passwords.check(ports(credentials=probe(arena)), shipped)
    assert result.verdict is Verdict.OK
    assert "user postgres" in result.coverage.seen


def test_one_that_is_let_in_is_critical_and_the_password_is_not_told(ports, change, arena):
    arena.run("CREATE ROLE careless LOGIN PASSWORD 'letmein1'", f"GRANT CONNECT ON DATABASE {arena.dbname} TO careless")
    try:
        settings = change({"health.security.default_passwords": (("postgres", "postgres"), ("careless", "letmein1"))})
        result = default_passwords.check(ports(credentials=probe(arena)), settings)
    finally:
        arena.run("DROP OWNED BY careless", "DROP ROLE careless")
    assert result.verdict is Verdict.CRITICAL
    assert result.summary == "The database lets user careless in with a well-known password."
    assert "letmein1" not in str(result.to_json())


def test_a_dead_server_proves_nothing(ports, shipped, arena, supervisor):
    from dataclasses import replace

    nobody = Cluster(supervisor, "never-started")  # its port is free
    dead = PostgresCredentialProbe(replace(arena.look._facts, port=nobody.port))
    with pytest.raises(TargetUnreachableError):
        default_passwords.check(ports(credentials=dead), shipped)
