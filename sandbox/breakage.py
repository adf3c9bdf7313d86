"""Breaking a running sandbox on purpose, one aspect at a time, and mending it to the state before."""

import heapq
import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Literal, get_args

import psycopg
from psycopg import sql

from sandbox.agent_sources import BYTES_A_KB
from sandbox.application_log import ApplicationLog, failed_login
from sandbox.population import checkpoint_key
from sandbox.processes import SandboxError
from sandbox.seed_files import AGENTS_BUCKET, CHECKPOINTS_BUCKET

if TYPE_CHECKING:
    from sandbox.system import Sandbox

Breakage = Literal[
    "stall_evolution",
    "hang_evolution",
    "spoil_checkpoints",
    "decline_fitness",
    "agent_limit",
    "invalid_index",
    "expired_certificate",
    "stop_api",
    "failed_logins",
]
BREAKAGES: tuple[Breakage, ...] = get_args(Breakage)

Undo = Callable[[], None]

_STALLED_FOR = timedelta(hours=3)
_DECLINE_OVER = timedelta(hours=24)
_DECLINE_BY = 0.15
_DECLINING_DRIFT = -0.001
_TOO_LARGE_BYTES = int(7.2 * BYTES_A_KB)
_INVALID_INDEX = "gene_pool_gene_type_key"
_EXPIRED_NAME = "ws.t-developer.com"
_FAILED_LOGINS = 400
_HISTORY_TABLES = ("evolution_history", "fitness_tracking")


class Breakages:
    """What is broken in one sandbox, and how each of it is mended. Thread-safe."""

    def __init__(self, sandbox: "Sandbox") -> None:
        """Start with nothing broken."""
        self._sandbox = sandbox
        self._undo: dict[str, Undo] = {}
        self._lock = threading.Lock()

    @property
    def active(self) -> tuple[str, ...]:
        """What is broken now, in the order in which it was broken."""
        return tuple(self._undo)

    def break_(self, what: str) -> None:
        """Break one aspect; it stays broken until it is mended. Breaking what is broken changes nothing.

        Raises:
            SandboxError: there is no such breakage.
        """
        if what not in BREAKAGES:
            raise SandboxError(f"There is no breakage {what!r}; choose one of: {', '.join(BREAKAGES)}.")
        with self._lock:
            if what not in self._undo:
                self._undo[what] = getattr(self, f"_{what}")()

    def mend(self) -> None:
        """Mend everything, the last broken first. Mending what is whole changes nothing."""
        with self._lock:
            while self._undo:
                what = next(reversed(self._undo))
                self._undo[what]()
                del self._undo[what]

    def _stall_evolution(self) -> Undo:
        """Stop the engine and take the last three hours of generations away."""
        sandbox, engine = self._sandbox, self._sandbox.engine
        was_running = engine.running
        engine.stop()
        since = sandbox.clock() - _STALLED_FOR
        with sandbox.database() as database, database.transaction():
            taken = {table: _copy_out(database, table, since) for table in _HISTORY_TABLES}
            for table in _HISTORY_TABLES:
                database.execute(sql.SQL("DELETE FROM {} WHERE timestamp > %s").format(sql.Identifier(table)), (since,))
            newest_left = _newest_generation(database)

        def undo() -> None:
            with sandbox.database() as database, database.transaction():
                # When somebody brought the evolution back meanwhile, the numbers are taken and the stall is over.
                if _newest_generation(database) == newest_left:
                    for table, rows in taken.items():
                        _copy_in(database, table, rows)
            if was_running and not engine.running:
                engine.start()

        return undo

    def _hang_evolution(self) -> Undo:
        """Stall the evolution with an engine that runs, by its service's word, and does nothing."""
        engine = self._sandbox.engine
        was_running = engine.running
        undo_stall = self._stall_evolution()
        engine.start()
        engine.hang()

        def undo() -> None:
            if engine.running:
                engine.go_on()
            if not was_running:
                engine.stop()
            undo_stall()

        return undo

    def _spoil_checkpoints(self) -> Undo:
        """Put four checkpoints above the newest that are empty, cut off, from the future, and of another generation."""
        client = self._sandbox.objects.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=CHECKPOINTS_BUCKET)
        before = {each["Key"] for page in pages for each in page.get("Contents", [])}
        content = client.get_object(Bucket=CHECKPOINTS_BUCKET, Key=max(before))["Body"].read()
        with self._sandbox.database() as database:
            highest = _newest_generation(database)
        from_the_future = {**json.loads(content), "generation": highest + 1000}
        bad = {
            checkpoint_key(highest): b"",
            checkpoint_key(highest - 1): content[: len(content) // 2],
            checkpoint_key(highest + 1000): json.dumps(from_the_future).encode(),
            checkpoint_key(highest - 2): content + b" " if max(before) != checkpoint_key(highest - 2) else b"",
        }
        replaced = {
            key: client.get_object(Bucket=CHECKPOINTS_BUCKET, Key=key)["Body"].read() for key in bad if key in before
        }
        for key, body in bad.items():
            client.put_object(Bucket=CHECKPOINTS_BUCKET, Key=key, Body=body)

        def undo() -> None:
            for key in bad:
                client.delete_object(Bucket=CHECKPOINTS_BUCKET, Key=key)
            for key, body in replaced.items():
                client.put_object(Bucket=CHECKPOINTS_BUCKET, Key=key, Body=body)

        return undo

    def _decline_fitness(self) -> Undo:
        """Bend the last 24 hours of fitness downwards, and have the engine go on like that."""
        sandbox = self._sandbox
        since = sandbox.clock() - _DECLINE_OVER
        with sandbox.database() as database, database.transaction():
            drift = _lock_state(database)
            newest = _newest_generation(database)
            mean = _mean_fitness(database, newest)
            before = {table: _bend(database, table, since) for table in _HISTORY_TABLES}
            database.execute("UPDATE evolution_state SET drift = %s", (_DECLINING_DRIFT,))

        def undo() -> None:
            with sandbox.database() as database, database.transaction():
                _lock_state(database)
                for table, rows in before.items():
                    _straighten(database, table, rows, newest=newest, mean=mean)
                database.execute("UPDATE evolution_state SET drift = %s", (drift,))

        return undo

    def _agent_limit(self) -> Undo:
        """Let one agent grow to 7.2 KB: its source in the bucket, its registered size and its hash."""
        sandbox, objects = self._sandbox, self._sandbox.objects.client()
        with sandbox.database() as database:
            agent = database.execute(
                "SELECT id, name, version, size_kb FROM agents WHERE size_kb < 6 ORDER BY name, version LIMIT 1"
            ).fetchone()
        if agent is None:
            raise SandboxError("There is no agent below 6 KB that could be made too large.")
        agent_id, name, version, size_kb = agent
        key = f"{name}/{version}.py"
        source = objects.get_object(Bucket=AGENTS_BUCKET, Key=key)["Body"].read()

        def put(content: bytes, size: object) -> None:
            objects.put_object(Bucket=AGENTS_BUCKET, Key=key, Body=content)
            with sandbox.database() as database, database.transaction():
                database.execute("UPDATE agents SET size_kb = %s WHERE id = %s", (size, agent_id))
                database.execute(
                    "UPDATE agent_versions SET code_hash = encode(sha256(%s), 'hex') WHERE agent_id = %s "
                    "AND version_number = (SELECT max(version_number) FROM agent_versions WHERE agent_id = %s)",
                    (content, agent_id, agent_id),
                )

        large = _grown(source, _TOO_LARGE_BYTES)
        put(large, round(len(large) / BYTES_A_KB, 3))
        return lambda: put(source, size_kb)

    def _invalid_index(self) -> Undo:
        """Let CREATE UNIQUE INDEX CONCURRENTLY fail over rows that are not unique: what it leaves is invalid."""
        sandbox, index = self._sandbox, sql.Identifier(_INVALID_INDEX)
        with sandbox.database() as database:
            try:
                database.execute(sql.SQL("CREATE UNIQUE INDEX CONCURRENTLY {} ON gene_pool (gene_type)").format(index))
            except psycopg.errors.UniqueViolation:
                pass
            else:
                raise SandboxError("The index became valid: gene_pool holds too few genes to break it.")

        def undo() -> None:
            with sandbox.database() as database:
                database.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(index))

        return undo

    def _expired_certificate(self) -> Undo:
        tls = self._sandbox.tls
        served = tls.served(_EXPIRED_NAME)
        tls.replace(_EXPIRED_NAME, days_left=-1)
        return lambda: tls.restore(_EXPIRED_NAME, served)

    def _stop_api(self) -> Undo:
        api = self._sandbox.api
        was_running = api.running
        api.stop()

        def undo() -> None:
            if was_running and not api.running:
                api.start()

        return undo

    def _failed_logins(self) -> Undo:
        """Put hundreds of failed logins into the last hour of the API's log, and keep them coming at that pace."""
        sandbox, log = self._sandbox, ApplicationLog(self._sandbox.logs / "api.log")
        random, ending, pause = Random(), threading.Event(), timedelta(hours=1) / _FAILED_LOGINS
        now = sandbox.clock()
        # The log's own order stays: lines of one moment stand as they were written, also after mending.
        written = {_attempt(random, now - pause * number) for number in range(1, _FAILED_LOGINS + 1)}
        log.rewrite(lambda lines: list(heapq.merge(lines, sorted(written))))

        def go_on() -> None:
            while not ending.wait(pause.total_seconds()):
                line = _attempt(random, sandbox.clock())
                written.add(line)
                log.append(line)

        attacker = threading.Thread(target=go_on, name="failed-logins", daemon=True)
        attacker.start()

        def undo() -> None:
            ending.set()
            attacker.join()
            log.rewrite(lambda lines: [line for line in lines if line not in written])

        return undo


def _attempt(random: Random, moment: datetime) -> str:
    client = f"198.51.100.{random.randint(1, 254)}"
    agent = f"python-requests/2.{random.randint(20, 32)}"
    return failed_login(moment, request="GET /agents", client=client, user_agent=agent, reason="wrong token")


def _bend(database: psycopg.Connection, table: str, since: datetime) -> list[tuple[Any, ...]]:
    """Lower fitness since a moment, the more the later, and return ids and scores of before."""
    name = sql.Identifier(table)
    select = sql.SQL("SELECT id, fitness_score FROM {} WHERE timestamp > %s").format(name)
    before = database.execute(select, (since,)).fetchall()
    bend = sql.SQL(
        "UPDATE {} SET fitness_score = fitness_score * (1 - %s * extract(epoch FROM timestamp - %s) / %s) "
        "WHERE timestamp > %s"
    ).format(name)
    database.execute(bend, (_DECLINE_BY, since, _DECLINE_OVER.total_seconds(), since))
    return before


def _straighten(
    database: psycopg.Connection, table: str, before: list[tuple[Any, ...]], *, newest: int, mean: object
) -> None:
    """Put scores back, and lift what the engine made since generation `newest` to the mean of before."""
    name = sql.Identifier(table)
    restore = sql.SQL(
        "UPDATE {} t SET fitness_score = o.score FROM unnest(%s, %s) AS o (id, score) WHERE t.id = o.id"
    ).format(name)
    database.execute(restore, ([row[0] for row in before], [row[1] for row in before]))
    lift = sql.SQL(
        "UPDATE {0} t SET fitness_score = least(1, t.fitness_score / g.mean * %s) "
        "FROM (SELECT generation, avg(fitness_score) AS mean FROM {0} GROUP BY generation) g "
        "WHERE t.generation = g.generation AND t.generation > %s"
    ).format(name)
    database.execute(lift, (mean, newest))


def _copy_out(database: psycopg.Connection, table: str, since: datetime) -> bytes:
    statement = sql.SQL("COPY (SELECT * FROM {} WHERE timestamp > {}) TO STDOUT (FORMAT binary)")
    with database.cursor().copy(statement.format(sql.Identifier(table), since)) as copy:
        return b"".join(copy)


def _copy_in(database: psycopg.Connection, table: str, rows: bytes) -> None:
    with database.cursor().copy(sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(sql.Identifier(table))) as copy:
        copy.write(rows)


def _lock_state(database: psycopg.Connection) -> float:
    """Wait until no generation is being made, keep it so for this transaction, and return the drift."""
    return float(_one(database.execute("SELECT drift FROM evolution_state FOR UPDATE")))


def _newest_generation(database: psycopg.Connection) -> int:
    return int(_one(database.execute("SELECT coalesce(max(generation), 0) FROM evolution_history")))


def _mean_fitness(database: psycopg.Connection, generation: int) -> object:
    select = "SELECT avg(fitness_score) FROM evolution_history WHERE generation = %s"
    return _one(database.execute(select, (generation,)))


def _one(cursor: psycopg.Cursor) -> "int | float":
    row = cursor.fetchone()
    if row is None:
        raise SandboxError("The database of the sandbox is empty.")
    return row[0]  # type: ignore[no-any-return]


def _grown(source: bytes, size_bytes: int) -> bytes:
    head, foot = b"\n\nEXTRA_WEIGHTS = {\n", b"}\n"
    lines: list[bytes] = []
    while len(source) + len(head) + len(foot) + sum(map(len, lines)) < size_bytes:
        lines.append(b'    "extra_%03d": 0.5,\n' % len(lines))
    return b"".join([source, head, *lines, foot])
