"""database.sequence_exhaustion."""

import pytest

from tdev_operators.core.health.database import sequence_exhaustion
from tdev_operators.core.verdicts import Verdict


def test_fresh_sequences(ports, shipped, arena):
    arena.run("CREATE TABLE t (id serial, b bigserial)", "INSERT INTO t DEFAULT VALUES")
    result = sequence_exhaustion.check(ports(database=arena.look), shipped)
    assert result.verdict is Verdict.OK
    assert "Of 2 sequences" in result.summary


@pytest.mark.parametrize(
    ("make", "verdict"),
    [
        (("CREATE TABLE t (id serial)", "SELECT setval('t_id_seq', 1700000000)"), Verdict.WARNING),
        (("CREATE TABLE t (id serial)", "SELECT setval('t_id_seq', 2000000000)"), Verdict.CRITICAL),
        (
            # A sequence of bigint that feeds a column of int ends where the column ends.
            (
                "CREATE TABLE t (id serial)",
                "ALTER SEQUENCE t_id_seq AS bigint",
                "SELECT setval('t_id_seq', 2000000000)",
            ),
            Verdict.CRITICAL,
        ),
        (
            ("CREATE TABLE t (id smallint GENERATED ALWAYS AS IDENTITY)", "SELECT setval('t_id_seq', 32000)"),
            Verdict.CRITICAL,
        ),
        (
            ("CREATE SEQUENCE down INCREMENT -1 MINVALUE -100 MAXVALUE -1", "SELECT setval('down', -95)"),
            Verdict.CRITICAL,
        ),
        (
            # Neither owned nor an identity: only the default names it.
            (
                "CREATE SEQUENCE s",
                "CREATE TABLE t (id int DEFAULT nextval('s'))",
                "SELECT setval('s', 2000000000)",
            ),
            Verdict.CRITICAL,
        ),
        (
            # Of two columns the smaller one counts.
            (
                "CREATE TABLE t (id bigserial)",
                "CREATE TABLE u (id int DEFAULT nextval('t_id_seq'))",
                "SELECT setval('t_id_seq', 2000000000)",
            ),
            Verdict.CRITICAL,
        ),
        (("CREATE SEQUENCE round MAXVALUE 100 CYCLE", "SELECT setval('round', 99)"), Verdict.OK),
        (("CREATE TABLE t (id bigserial)", "SELECT setval('t_id_seq', 2000000000)"), Verdict.OK),
    ],
)
def test_used_share(ports, shipped, arena, make, verdict):
    arena.run("CREATE SEQUENCE fresh", *make)
    result = sequence_exhaustion.check(ports(database=arena.look), shipped)
    assert result.verdict is verdict, result.summary


def test_no_sequence(ports, shipped, arena):
    assert sequence_exhaustion.check(ports(database=arena.look), shipped).verdict is Verdict.OK


def test_a_sequence_that_may_not_be_read_is_unknown(ports, shipped, arena):
    arena.run("CREATE SEQUENCE secret")
    result = sequence_exhaustion.check(ports(database=arena.blind), shipped)
    assert result.verdict is Verdict.UNKNOWN
    assert "grant it pg_read_all_data: secret" in result.summary


def test_of_many_the_fullest_are_measured(ports, shipped, arena):
    for number in range(25):
        arena.run(f"CREATE SEQUENCE s{number} MAXVALUE 1000", f"SELECT setval('s{number}', {900 + number})")
    result = sequence_exhaustion.check(ports(database=arena.look), shipped)
    assert result.summary.startswith("Sequence s24 has used 92 %")
    assert {m.name: m.value for m in result.measurements}["sequences"] == 25
    assert len(result.measurements) == 22
