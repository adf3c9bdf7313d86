"""Looks at a real database: roles and grants, and how it lets people in."""

import pytest

from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.security.audit.looks import database_access, database_roles
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.postgres_sessions import PostgresSource
from tests.core.security.audit.conftest import TUESDAY
from tests.records import facts_of


@pytest.fixture
def at(place, database):
    place.database = PostgresSource(facts_of(database))
    return place


def test_roles_members_and_grants_are_lines(at, cluster, database):
    role = f"auditor_{database['dbname']}"
    with cluster.connect(database["dbname"]) as sql:
        before = set(database_roles.look(at.ports, at.settings, TUESDAY).facts)
        sql.execute(f"CREATE ROLE {role} LOGIN CREATEROLE VALID UNTIL '2026-01-01'")
        sql.execute(f"CREATE SCHEMA open; GRANT CREATE ON SCHEMA open TO PUBLIC; GRANT pg_monitor TO {role}")
        sql.execute(f"CREATE TABLE public.secrets (x int); GRANT SELECT ON public.secrets TO {role} WITH GRANT OPTION")
        sql.execute(f"GRANT UPDATE (x) ON public.secrets TO {role}; GRANT SET ON PARAMETER work_mem TO {role}")
        sql.execute(f"GRANT EXECUTE ON FUNCTION pg_read_file(text) TO {role}; GRANT SELECT ON pg_authid TO {role}")
        sql.execute(f"CREATE TABLE public.theirs (x int); ALTER TABLE public.theirs OWNER TO {role}")
        try:
            looked = database_roles.look(at.ports, at.settings, TUESDAY)
        finally:
            sql.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert set(looked.facts) - before == {
        f"role {role}: may log in, createrole",
        f"member: {role} of pg_monitor",
        "grant: CREATE on schema open to PUBLIC",
        f"grant: SELECT WITH GRANT OPTION on table public.secrets to {role}",
        f"grant: UPDATE on column public.secrets.x to {role}",
        f"grant: EXECUTE on function pg_catalog.pg_read_file(text) to {role}",
        f"grant: SELECT on table pg_catalog.pg_authid to {role}",
        f"grant: SET on parameter work_mem to {role}",
        f"owner: {database['user']} of schema open",
        f"owner: {role} of table public.theirs",
        f"owner: {database['user']} of table public.secrets",
    }
    assert (Verdict.WARNING, "Everybody may create objects in the schema open.") in looked.found
    assert (Verdict.WARNING, f"The password of {role} has expired on 2026-01-01.") in looked.found


def test_the_rules_of_a_real_server_are_read(at):
    looked = database_access.look(at.ports, at.settings, TUESDAY)
    assert any(line.startswith("rule 2: host all all 127.0.0.1/32: scram-sha-256") for line in looked.facts)
    assert "setting password_encryption = scram-sha-256" in looked.facts
    assert [verdict for verdict, _ in looked.found if verdict is Verdict.CRITICAL] == []


def test_without_the_right_to_read_them_it_says_which(at, cluster, database):
    role = f"nobody_{database['dbname']}"
    cluster.create_role(role)
    with cluster.connect() as sql:
        sql.execute(f"GRANT CONNECT ON DATABASE {database['dbname']} TO {role}")
    at.database = PostgresSource(facts_of({**database, **cluster.conninfo(database["dbname"], user=role)}))
    try:
        with pytest.raises(AccessDeniedError, match="pg_hba_file_rules"):
            database_access.look(at.ports, at.settings, TUESDAY)
    finally:
        with cluster.connect() as sql:
            sql.execute(f"REVOKE ALL ON DATABASE {database['dbname']} FROM {role}; DROP ROLE {role}")


class Told:
    """A database of given rules and settings."""

    def __init__(self, *rules, ssl="on", password_encryption="scram-sha-256"):
        self.rules = [
            {
                "line_number": at,
                "error": None,
                "netmask": None,
                "options": [],
                "database": "all",
                "user_name": "all",
                **rule,
            }
            for at, rule in enumerate(rules, 1)
        ]
        self.values = {"ssl": ssl, "password_encryption": password_encryption}

    def session(self, **_):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def rows(self, statement):
        if "pg_hba_file_rules" in statement:
            return self.rules
        return [{"name": name, "setting": value} for name, value in self.values.items()]


def rule(kind, address, method, **more):
    return {"type": kind, "address": address, "auth_method": method, **more}


@pytest.mark.parametrize(
    ("told", "verdict", "sentence"),
    [
        (Told(rule("host", "0.0.0.0/0", "trust")), Verdict.CRITICAL, "lets all in without a password (0.0.0.0/0)"),
        (Told(rule("hostssl", "all", "trust")), Verdict.CRITICAL, "without a password"),
        (Told(rule("local", None, "trust")), Verdict.WARNING, "without a password (the machine itself)"),
        (Told(rule("host", "10.0.0.0", "password", netmask="255.0.0.0")), Verdict.CRITICAL, "passwords in the clear"),
        (Told(rule("hostssl", "10.0.0.0/8", "ident")), Verdict.CRITICAL, "whom the other machine says that he is"),
        (Told(rule("hostssl", "10.0.0.0/8", "md5")), Verdict.WARNING, "takes MD5"),
        (Told(rule("host", "10.0.0.0/8", "scram-sha-256")), Verdict.WARNING, "without TLS from 10.0.0.0/8"),
        (Told(rule("hostssl", "10.0.0.0/8", "scram-sha-256"), ssl="off"), Verdict.WARNING, "TLS is off"),
        (Told(password_encryption="md5"), Verdict.WARNING, "New passwords are kept as md5"),
        (Told(rule("", None, "", error='invalid authentication method "trsut"')), Verdict.CRITICAL, "is broken"),
    ],
)
def test_what_is_weak_is_told(place, told, verdict, sentence):
    place.database = told
    looked = database_access.look(place.ports, place.settings, TUESDAY)
    assert any(one is verdict and sentence in text for one, text in looked.found), looked.found


def test_what_is_good_is_not(place):
    place.database = Told(
        rule("local", None, "peer"),
        rule("host", "127.0.0.1/32", "scram-sha-256"),
        rule("host", "::1", "scram-sha-256", netmask=":".join(["ffff"] * 8)),
        rule("hostssl", "10.0.0.0/8", "scram-sha-256"),
        rule("hostssl", "10.0.0.0/8", "cert"),
        rule("host", "0.0.0.0/0", "reject"),
    )
    assert database_access.look(place.ports, place.settings, TUESDAY).found == []


def test_order_and_options_count_and_their_secrets_are_not_told(place):
    first, second = rule("hostssl", "all", "reject"), rule("hostssl", "all", "ldap", options=["ldapbindpasswd=hunter2"])
    place.database = Told(first, second)
    one = database_access.look(place.ports, place.settings, TUESDAY)
    place.database = Told(second, first)
    other = database_access.look(place.ports, place.settings, TUESDAY)
    assert set(one.facts) != set(other.facts)
    assert "hunter2" not in str(one)
    place.database = Told(first, {**second, "options": ["ldapbindpasswd=hunter3"]})
    assert set(database_access.look(place.ports, place.settings, TUESDAY).facts) != set(one.facts)
