"""Writers that know what they committed: each owns some rows of the table, and keeps in mind what they are."""

import random
import threading
import time

import psycopg

_LEVELS = ("READ COMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
_INSERT = """
    INSERT INTO metrics (name, value, importance, timestamp)
    VALUES (%s, %s, %s, now() - make_interval(days => %s)) RETURNING id, metrics::text
"""


class Writers:
    """Some writers that change rows all the time, one to three statements a transaction, at all isolation levels."""

    def __init__(self, database, *, count=3, seed=1, table="metrics"):
        self._database, self._table = database, table
        self._over = threading.Event()
        self.rows: list[dict[int, str]] = [{} for _ in range(count)]
        self.errors: list[BaseException] = []
        self.commits = 0
        self.again = 0
        self._threads = [threading.Thread(target=self._work, args=(at, seed * 100 + at)) for at in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    @property
    def expected(self):
        return {key: text for one in self.rows for key, text in one.items()}

    def _work(self, at, seed):
        chance = random.Random(seed)
        try:
            with psycopg.connect(**self._database, autocommit=True) as sql:
                while not self._over.is_set():
                    self._transaction(sql, self.rows[at], chance)
                    time.sleep(0.004)  # else they keep the processors to themselves
        except BaseException as error:  # noqa: BLE001  shown by the test
            self.errors.append(error)

    def _transaction(self, sql, mine, chance):
        after = dict(mine)
        sql.execute(f"BEGIN ISOLATION LEVEL {chance.choice(_LEVELS)}")
        try:
            for _ in range(chance.randint(1, 3)):
                self._statement(sql, after, chance)
            if chance.random() < 0.1:
                sql.execute("ROLLBACK")
                return
            sql.execute("COMMIT")
        except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
            sql.execute("ROLLBACK")
            self.again += 1
            return
        mine.clear()
        mine.update(after)
        self.commits += 1

    def _statement(self, sql, after, chance):
        kind = chance.random()
        if kind < 0.4 or len(after) < 5:
            values = ("w", chance.random(), chance.choice(("low", "normal", "high")), chance.randint(0, 120))
            key, text = sql.execute(_INSERT, values).fetchone()
            after[key] = text
            return
        key = chance.choice(sorted(after)[-200:])
        if kind < 0.6:
            assert sql.execute("DELETE FROM metrics WHERE id = %s", (key,)).rowcount == 1, f"{key} was not there"
            del after[key]
            return
        change = chance.choice(
            (
                "value = value + 1",
                "importance = CASE importance WHEN 'high' THEN 'low' ELSE 'high' END",
                "timestamp = timestamp - interval '9 days'",
                "importance = 'normal', timestamp = now(), value = 0",
            )
        )
        row = sql.execute(f"UPDATE metrics SET {change} WHERE id = %s RETURNING metrics::text", (key,)).fetchone()
        assert row is not None, f"{key} was not there"
        after[key] = row[0]
