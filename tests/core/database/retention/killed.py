"""A run that kills its own process at a moment: `python -m tests.core.database.retention.killed job.json`.

The moments: `<n> before <word>` and `<n> after <word>`, where the word is a beginning of a statement, or of what is put
into or uploaded to the store.
"""

import json
import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.postgres_sessions import PostgresSource
from tests.backup_sets import open_store
from tests.core.database.retention.conftest import World


class Moment:
    """Kills the process when its turn comes."""

    def __init__(self, text: str) -> None:
        number, self._when, self._word = text.split(" ", 2)
        self._left = int(number)

    @contextmanager
    def passing(self, what: str):
        hit = self._word in what
        if hit:
            self._left -= 1
        if hit and self._left == 0 and self._when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        yield
        if hit and self._left == 0 and self._when == "after":
            os.kill(os.getpid(), signal.SIGKILL)


class WatchedSession:
    """A session whose statements are moments."""

    def __init__(self, session: Any, moment: Moment) -> None:
        self._session, self._moment = session, moment

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def rows(self, statement: Any, params: Any = None) -> Any:
        with self._moment.passing(statement if isinstance(statement, str) else statement.as_string()):
            return self._session.rows(statement, params)

    def touched(self, statement: Any, params: Any = None) -> Any:
        with self._moment.passing(statement if isinstance(statement, str) else statement.as_string()):
            return self._session.touched(statement, params)


class WatchedSource(PostgresSource):
    """A database whose sessions are watched."""

    moment: Moment

    @contextmanager
    def session(self, **options: Any):
        with super().session(**options) as session:
            yield WatchedSession(session, self.moment)


class WatchedStore:
    """A store whose writes are moments."""

    def __init__(self, store: Any, moment: Moment) -> None:
        self._store, self._moment = store, moment

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, bucket: str, key: str, body: bytes, **options: Any) -> Any:
        with self._moment.passing(f"put {key.rpartition('/')[2]}"):
            return self._store.put(bucket, key, body, **options)

    @contextmanager
    def upload(self, bucket: str, key: str):
        with self._moment.passing("upload"), self._store.upload(bucket, key) as upload:
            yield upload


def main(job: dict[str, Any]) -> None:
    """Do the job."""
    moment = Moment(job["moment"])
    source = WatchedSource(ConnectionFacts(**job["facts"]))
    source.moment = moment
    with open_store(*job["store"]) as store:
        world = World(source, WatchedStore(store, moment), job["bucket"], None, run_id=job["run_id"], **job["more"])
        world.clean()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
