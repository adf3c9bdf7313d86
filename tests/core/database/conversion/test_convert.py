"""A table becomes one of partitions, and back, and nothing is lost; retention then drops whole partitions."""

from tdev_operators.core.verdicts import Verdict


def test_converted_with_everything_that_it_had(metrics):
    before = metrics.rows()
    result = metrics.carry_out()
    assert result.verdict is Verdict.OK, result.summary
    assert metrics.rows() == before
    assert metrics.one("SELECT relkind::text FROM pg_class WHERE oid = 'metrics'::regclass") == "p"
    for _row in metrics.sql.execute(
        "SELECT relid, level, pg_get_expr(relpartbound, c.oid) FROM pg_partition_tree('metrics') JOIN pg_class c ON c.oid = relid"
    ).fetchall():
        pass
