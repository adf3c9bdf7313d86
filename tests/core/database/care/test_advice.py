"""Advice on indexes: found on real catalogues, with a statement that works, and nothing else."""

from datetime import timedelta

import pytest

from tdev_operators.core.database.care.advice import Unused, advise
from tdev_operators.core.errors import TargetUnreachableError
from tdev_operators.core.ledger import Sample
from tests.records import NOON

FLUSH = "SELECT pg_stat_force_next_flush()"


class Standby:
    """A server that says what it used, or does not answer."""

    name = "replica"
    database = ""

    def __init__(self, answer):
        self.answer = answer

    def session(self, **_):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def rows(self, *_):
        if isinstance(self.answer, Exception):
            raise self.answer
        return [{"database_name": self.database, **self.answer}]


@pytest.fixture
def advice(source):
    def ask(standbys=(), unused_days=0.0, known=()):
        servers = {standby.name: standby for standby in standbys}
        for standby in standbys:
            standby.database = standby.database or source.name
        asked = Unused(tuple(servers), servers.get, unused_days, known, NOON)
        with source.session() as session:
            results, _ = advise(session, asked, "PostgreSQL")
        return {one.check: one for one in results}

    return ask


@pytest.fixture
def table(sql):
    sql.execute("CREATE TABLE t (a int, b int, c text)")
    sql.execute("INSERT INTO t SELECT i, i, 'x' FROM generate_series(1, 60000) AS i")


def test_unused_indexes_are_told_with_the_statement(sql, advice, table):
    sql.execute("CREATE INDEX nobody ON t (a); CREATE INDEX somebody ON t (b); CREATE UNIQUE INDEX guard ON t (a, b)")
    sql.execute("ANALYZE t; SET enable_seqscan = off; SELECT count(*) FROM t WHERE b = 5")
    sql.execute(FLUSH)
    found = advice()["care.unused_indexes"]
    assert found.verdict == "WARNING"
    assert [line.split(";")[0] for line in found.details] == ["DROP INDEX CONCURRENTLY nobody"]
    sql.execute(found.details[0].partition("  --")[0])
    assert advice()["care.unused_indexes"].verdict == "OK"


def test_an_index_that_a_standby_uses_is_not_called_unused(sql, advice, table):
    sql.execute("CREATE INDEX theirs ON t (a)")
    sql.execute("ANALYZE t")
    sql.execute(FLUSH)
    [oid] = sql.execute("SELECT 'theirs'::regclass::oid").fetchone()

    used = Standby({"used": [oid], "counted_days": 100.0, "in_recovery": True})
    assert advice([used])["care.unused_indexes"].verdict == "OK"
    young = Standby({"used": [], "counted_days": 2.0, "in_recovery": True})
    found = advice([young], unused_days=0.0)["care.unused_indexes"]
    assert found.verdict == "WARNING"
    away = Standby(TargetUnreachableError("it is away"))
    found = advice([away])["care.unused_indexes"]
    assert found.verdict == "UNKNOWN"
    assert "the standby replica was not looked at (it is away)" in found.summary


def test_young_counters_prove_nothing_and_a_new_index_is_not_unused_for_long(advice, sql, table):
    sql.execute("CREATE INDEX nobody ON t (a)")
    sql.execute("ANALYZE t; SELECT pg_stat_force_next_flush()")
    found = advice(unused_days=30.0)["care.unused_indexes"]
    assert found.verdict == "WARNING"
    assert found.summary.startswith("Not judged yet: 1 large index served no query so far; 30 d of counting are asked")
    assert found.details == ()
    days = 1e-9  # the server's counters are as old as that
    assert "Not judged yet" in advice(unused_days=days)["care.unused_indexes"].summary
    [oid] = sql.execute("SELECT 'nobody'::regclass::oid").fetchone()
    known = [Sample(NOON - timedelta(days=1), {"oids": [oid]})]
    assert advice(unused_days=days, known=known)["care.unused_indexes"].details


def test_what_is_no_standby_says_nothing_about_one(advice, sql, table):
    primary = Standby({"used": [], "counted_days": 100.0, "in_recovery": False})
    found = advice([primary])["care.unused_indexes"]
    assert found.verdict == "UNKNOWN"
    assert "it is no standby; mend care.indexes.standbys" in found.summary


def test_a_standbys_other_database_says_nothing_about_ours(advice, sql, table):
    other = Standby({"used": [], "counted_days": 100.0, "in_recovery": True})
    other.database = "postgres"
    found = advice([other])["care.unused_indexes"]
    assert found.verdict == "UNKNOWN"
    assert "it leads to postgres and not to test_" in found.summary


def test_a_rule_is_never_called_superfluous(advice, sql, table):
    sql.execute("CREATE TABLE r (a int); CREATE UNIQUE INDEX plain ON r (a)")
    sql.execute("CREATE UNIQUE INDEX strict ON r (a) NULLS NOT DISTINCT")
    assert advice()["care.duplicate_indexes"].verdict == "OK"
    sql.execute("CREATE UNIQUE INDEX twice ON r (a)")
    assert [line.split(";")[0] for line in advice()["care.duplicate_indexes"].details] == [
        "DROP INDEX CONCURRENTLY twice"
    ]


def test_duplicates_and_prefixes_are_told_and_guards_stay(sql, advice, table):
    sql.execute("ALTER TABLE t ADD CONSTRAINT guard UNIQUE (a)")
    for name, what in {
        "same_as_guard": "(a)",
        "first": "(b, c)",
        "second": "(b, c)",
        "prefix": "(b)",
        "other_order": "(b DESC)",
        "other_class": "(c text_pattern_ops)",
        "partial": "(b) WHERE a > 5",
        "covering": "(b) INCLUDE (a)",
    }.items():
        sql.execute(f"CREATE INDEX {name} ON t {what}")
    found = advice()["care.duplicate_indexes"]
    assert found.verdict == "WARNING"
    told = {line.split()[3].rstrip(";") for line in found.details}
    assert told == {"same_as_guard", "second", "prefix"}
    for line in found.details:
        sql.execute(line.partition("  --")[0])
    assert advice()["care.duplicate_indexes"].verdict == "OK"


def test_foreign_keys_without_an_index_are_told(sql, advice):
    sql.execute(
        'CREATE TABLE parent (x int, y int, PRIMARY KEY (x, y)); CREATE TABLE "Odd child" (y int, "X" int, z int)'
    )
    sql.execute('ALTER TABLE "Odd child" ADD CONSTRAINT ref FOREIGN KEY ("X", y) REFERENCES parent (x, y)')
    sql.execute("INSERT INTO parent SELECT i, i FROM generate_series(1, 2000) AS i")
    sql.execute('INSERT INTO "Odd child" SELECT i, i, i FROM generate_series(1, 2000) AS i; ANALYZE')
    found = advice()["care.foreign_keys"]
    assert found.verdict == "WARNING"
    assert found.details == ('CREATE INDEX CONCURRENTLY ON "Odd child" ("X", y);',)
    sql.execute('CREATE INDEX half ON "Odd child" ("X")')
    assert advice()["care.foreign_keys"].verdict == "WARNING", "it begins with a part of the key only"
    sql.execute('CREATE INDEX turned ON "Odd child" (y, "X", z)')
    assert advice()["care.foreign_keys"].verdict == "OK"
