"""A stretch: many small transactions that the server does in one go, each counted before and after, each with a commit.

What writers feel of a removal is the log that their own commits have to wait for, and a processor that is busy when
they need it. A commit every half millisecond writes the log evenly and leaves the processor while the disk is at work:
that is gentler than any pause between large transactions, and takes a fraction of the time. From a client, each of
them would cost three ways to the server; so it is a block of PL/pgSQL, which says in a setting of the session how far
it came. That setting is part of each transaction: what was rolled back is not in it. It ends after a second or two,
for its caller to look after the time, the replicas and the log.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from psycopg.sql import SQL, Composable, Literal

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.retention.statements import Statements

# What a block is given stands in a setting, too: its own text is the same each time, for whoever counts statements, and
# holds no value of any row, for whoever reads the log.
_GIVE = (
    "-- one row: a stretch is to come, which has done nothing yet\n"
    "SELECT set_config('tdev.given', %(given)s, false) IS NULL AS done, set_config('tdev.stretch', '', false)"
)
_READ = "-- one row: how far a stretch came\nSELECT current_setting('tdev.stretch', true) AS done"

# Statistics of a table that is being emptied are old: a few rows out of millions go by an index.
_LOOP = SQL("""
<<tdev>>
DECLARE
    given jsonb := current_setting('tdev.given')::jsonb;
    size bigint := given ->> 'size'; {variables}
    piece record; rest record; gone bigint; began timestamptz; seconds float8 := 0; waiters bigint := 0;
    removed bigint := 0; kept bigint := 0; late bigint := 0; unarchived bigint := 0; times int := 0;
    stops timestamptz := clock_timestamp() + (given ->> 'seconds')::float8 * interval '1 second';
    state jsonb := '{{}}';
BEGIN
    LOOP
        COMMIT;  -- what came before stands
        SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
        PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
            set_config('enable_mergejoin', 'off', true), set_config('plan_cache_mode', {plans}, true);
        began := clock_timestamp();
        SELECT b.* INTO piece FROM ({next}) AS b;
        IF coalesce(piece.rows, 0) = 0 THEN
            PERFORM set_config('tdev.stretch', (state || '{{"over": true}}')::text, false);
            EXIT;
        END IF;
        {bounds}
        {remove};
        GET DIAGNOSTICS gone = ROW_COUNT;
        {settle}
        IF gone <> piece.rows OR {always} THEN
            SELECT b.* INTO rest FROM ({left}) AS b;
            IF {off} THEN
                ROLLBACK;
                state := state || jsonb_build_object('off', ARRAY[piece.rows, gone, rest.rows]);
                PERFORM set_config('tdev.stretch', state::text, false);
                EXIT;
            END IF;
            kept := kept + rest.rows; late := late + rest.late; unarchived := unarchived + rest.unarchived;
        END IF;
        times := times + 1; removed := removed + gone;
        IF times = 1 THEN
            SELECT count(*) INTO waiters FROM pg_stat_activity AS act
            WHERE act.wait_event_type = 'Lock' AND pg_backend_pid() = ANY(pg_blocking_pids(act.pid));
        END IF;
        {forward}
        seconds := seconds + extract(EPOCH FROM clock_timestamp() - began);
        state := jsonb_build_object('at', jsonb_build_array({at}), 'times', times, 'removed', removed, 'kept', kept,
            'late', late, 'unarchived', unarchived, 'seconds', seconds, 'waiters', waiters);
        PERFORM set_config('tdev.stretch', state::text, false);
        EXIT WHEN removed + kept >= (given ->> 'rows')::bigint OR clock_timestamp() > stops;
    END LOOP;
END""")


@dataclass(frozen=True, slots=True)
class Done:
    """What was committed of a stretch: up to where (`at`; empty: nothing), in how many transactions, how many rows.

    `waiters`: how many sessions the first transaction blocked. `over`: there was nothing more. `off`: a balance that
    did not hold, and was rolled back: before, removed, left.
    """

    at: list[Any] = field(default_factory=list)
    times: int = 0
    removed: int = 0
    kept: int = 0
    late: int = 0
    unarchived: int = 0
    seconds: float = 0.0
    waiters: int = 0
    over: bool = False
    off: list[int] = field(default_factory=list)

    @classmethod
    def read(cls, session: Session) -> Self:
        """Ask the session in which it ran."""
        [row] = session.rows(_READ)
        return cls(**json.loads(row["done"])) if row["done"] else cls()


def give(session: Session, *, rows: int, size: int, seconds: float, **more: Any) -> None:
    """Say what the next block is to do: about so many `rows`, `size` a transaction, for about so many `seconds`."""
    given = {"rows": rows, "size": size, "seconds": seconds, **more}
    session.rows(_GIVE, {"given": json.dumps(given)})


def range_stretch(statements: Statements, horizon: str) -> str:
    """Return the block that removes what is discarded behind the `after` that it is given, in the table's order."""
    places = range(len(statements.table.order))
    return _block(
        "what is discarded of a stretch goes",
        {
            "variables": SQL(" ").join(
                SQL(f"after{at} text := given -> 'after' ->> {at}; upto{at} text;") for at in places
            ),
            "plans": SQL("'force_generic_plan'" if statements.table.by_time else "'force_custom_plan'"),
            "next": statements.bound(),
            "bounds": SQL(" ").join(SQL(f"upto{at} := piece.upto{at};") for at in places),
            "remove": statements.remove_discarded(),
            **_side_effects(statements),
            "left": statements.left_of_range(),
            "off": SQL("piece.rows <> gone + rest.rows"),
            "forward": SQL(" ").join(SQL(f"after{at} := upto{at};") for at in places),
            "at": SQL(", ").join(SQL(f"upto{at}") for at in places),
        },
        {f"{word}{at}": f"tdev.{word}{at}" for word in ("after", "upto") for at in places}
        | {"size": "tdev.size", "horizon": _quoted(horizon)},
    )


def archive_stretch(statements: Statements) -> str:
    """Return the block that removes the archived rows that it is given (`sent`) from the `start`-th on."""
    keys = statements.table.key
    arrays = {f"c{at}": column.sent_as for at, column in enumerate(keys)} | {"digest": SQL("int8")}
    declared = [
        SQL(f"{name} {{0}}[] := (given -> 'sent' ->> '{name}')::{{0}}[];").format(kind) for name, kind in arrays.items()
    ]
    return _block(
        "archived rows go",
        {
            "variables": SQL(" ").join([*declared, SQL("lo int; hi int := given ->> 'start';")]),
            "plans": SQL("'force_generic_plan'"),
            "next": SQL("SELECT least(cardinality(tdev.digest) - tdev.hi, tdev.size) AS rows"),
            "bounds": SQL("lo := hi + 1; hi := hi + piece.rows;"),
            "remove": statements.remove_archived(),
            **_side_effects(statements),
            "left": SQL("SELECT l.rows, 0 AS late, 0 AS unarchived FROM ({}) AS l").format(
                statements.left_of_archived()
            ),
            "off": SQL("piece.rows < gone + rest.rows"),  # one that somebody else removed is neither
            "forward": SQL(""),
            "at": SQL("hi"),
        },
        {name: f"tdev.{name}[tdev.lo:tdev.hi]" for name in arrays},
    )


def _side_effects(statements: Statements) -> dict[str, SQL]:
    """What comes of triggers is counted, too: of deferred ones as well, which would act at the commit."""
    if not statements.table.side_effects:
        return {"always": SQL("false"), "settle": SQL("")}
    return {"always": SQL("true"), "settle": SQL("SET CONSTRAINTS ALL IMMEDIATE;")}


def _block(title: str, parts: Mapping[str, Composable], names: Mapping[str, str]) -> str:
    body = _LOOP.format(**parts).as_string() % names
    return f"-- {title}\nDO {_quoted(body)}"


def _quoted(text: str) -> str:
    return Literal(text).as_string()
