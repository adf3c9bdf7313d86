"""Every type there and back: what the archive holds becomes, in the database's own hands, the value that was there."""

import pyarrow as pa
import pytest

from tdev_operators.core.database.retention.archive import archived_parts, opened_part
from tdev_operators.core.database.retention.settings import RetentionRule
from tdev_operators.core.verdicts import Verdict

# A type, and what is hard about it.
VALUES = {
    "boolean": ["true", "false"],
    "smallint": ["-32768", "32767"],
    "integer": ["-2147483648", "0"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "real": ["0.1", "-0", "NaN", "Infinity", "-Infinity", "1.17549435e-38", "3.4028235e38"],
    "double precision": ["0.1", "-0", "NaN", "Infinity", "4.9e-324", "1.7976931348623157e308", "0.30000000000000004"],
    "numeric": ["1.0", "1.00", "NaN", "Infinity", "123456789012345678901234567890.123456789", "1e-300"],
    "numeric(8,3)": ["0", "-99999.999"],
    "text": [
        "",
        " ",
        "\\N",
        "NULL",
        'a "quoted", one',
        "two\nlines\r\nand\rmore\t",
        "\\",
        "é😀\u2028",
        ",",
        '"',
        "{}",
        "\u200b",
    ],
    "varchar(5)": ["", "ab   "],
    "char(5)": ["", "ab"],
    '"char"': ["a"],
    "name": ["x"],
    "bytea": ["\\x", "\\x00ff5c22"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-4fff-bfff-ffffffffffff"],
    "json": ['{"a": 1,  "a": 2}', "null", '"\\u0000"'],
    "jsonb": ['{"a": 1.0, "b": [null, "x\\"y"]}', "null"],
    "timestamptz": [
        "infinity",
        "-infinity",
        "4713-01-01 00:00:00+00 BC",
        "294246-12-31 23:59:59.999999+00",
        "1969-12-31 23:59:59.999999+00",
        "2026-10-25 02:30:00.5+02",
    ],
    "timestamptz(0)": ["2026-01-01 00:00:00+00"],
    "timestamp": ["infinity", "4713-01-01 00:00:00 BC", "294246-12-31 23:59:59.999999", "2026-03-29 02:30:00"],
    "date": ["infinity", "4713-01-01 BC", "2026-02-28"],
    "time": ["24:00:00", "00:00:00.000001"],
    "timetz": ["12:00:00+14"],
    "interval": ["1 day", "24:00:00", "-1 mon +2 days -03:04:05.678901"],
    "int4range": ["empty", "[1,5)"],
    "inet": ["10.0.0.1/8", "::1"],
    "macaddr": ["08:00:2b:01:02:03"],
    "bit(5)": ["10101"],
    "bit varying": ["", "101"],
    "point": ["(0.1,-0)"],
    "tsvector": ["'a':1A 'b':2"],
    "pg_lsn": ["16/B374D848"],
    "text[]": ["{}", '{NULL,"NULL","","a,b","c\\"d","e\\\\f"}', "[0:1]={x,y}"],
    "uuid[]": ["{00000000-0000-0000-0000-000000000000}"],
    "numeric[]": ["{1.0,1.00,NaN}", "{{1,2},{3,4}}"],
    "jsonb[]": ['{"{\\"a\\": 1}"}'],
    "money": ["-12.34"],
    "mood": ["so, so", 'fine "ly"'],
    "pair": ['(1,"a ""b"", c")', "(,)"],
    "positive": ["7"],
}
TYPES = (
    "CREATE TYPE mood AS ENUM ('so, so', 'fine \"ly\"'); CREATE TYPE pair AS (a int, b text);"
    "CREATE DOMAIN positive AS int CHECK (VALUE > 0);"
)


@pytest.fixture
def everything(world):
    world.sql.execute(TYPES)
    columns = ", ".join(f'"c{at}" {kind}' for at, kind in enumerate(VALUES))
    world.sql.execute(
        f"CREATE TABLE metrics (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL, {columns},"
        " twice bigint GENERATED ALWAYS AS (c2 * 2::bigint) STORED)"
    )
    for at, values in enumerate(VALUES.values()):
        for value in (*values, None):
            world.sql.execute(f"INSERT INTO metrics (at, c{at}) VALUES ('2020-01-01', %s)", (value,))
    return world.with_(rule=RetentionRule(table="metrics", time_column="at", days=30, archive=True))


def test_every_type_is_archived_and_given_back_unchanged(everything):
    before = everything.rows()
    result = everything.clean()["retention.metrics"]
    assert result.verdict is Verdict.OK, result.summary
    assert everything.count() == 0
    assert everything.give_back(into_table=True).verdict is Verdict.OK
    assert everything.rows() == before


def test_numbers_truth_and_moments_have_types_of_their_own_in_the_archive(everything):
    everything.clean()
    [part] = archived_parts(everything.folder)
    with opened_part(everything.folder, part) as opened:
        schema = opened.schema_arrow
    assert schema.field("at").type == pa.timestamp("us", tz="UTC")
    assert schema.field("c5").type == pa.float64()
    assert schema.field("c6").type == pa.string(), "numeric is text: a decimal of Parquet has no NaN and one scale"


@pytest.mark.faults
def test_a_page_is_smaller_where_rows_are_large(world):
    world.sql.execute("CREATE TABLE metrics (id int PRIMARY KEY, at timestamptz, body text)")
    world.sql.execute("ALTER TABLE metrics ALTER body SET STORAGE EXTERNAL")
    world.sql.execute(
        "INSERT INTO metrics SELECT n, '2020-01-01', repeat('x', 1500000) FROM generate_series(1, 60) AS n"
    )
    world.sql.execute("ANALYZE metrics")
    large = world.with_(rule=RetentionRule(table="metrics", time_column="at", days=30, archive=True))
    large.clean()
    [part] = archived_parts(large.folder)
    with opened_part(large.folder, part) as opened:
        sizes = [opened.metadata.row_group(at).num_rows for at in range(opened.num_row_groups)]
    assert sum(sizes) == 60
    assert max(sizes) <= 32
