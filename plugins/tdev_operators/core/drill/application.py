"""The application on what was restored: started, written to and read from, and given the daily health check."""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from tdev_operators.core.backup.ports import BackupStore, SourceDatabase
from tdev_operators.core.commands import Running, running
from tdev_operators.core.drill.ports import DrillPorts, WritableApi
from tdev_operators.core.drill.settings import ApplicationSettings
from tdev_operators.core.errors import ProofFailedError, SetupMissingError, TransientError
from tdev_operators.core.health.registry import all_checks
from tdev_operators.core.health.run import run_health_check
from tdev_operators.core.items import ItemOutcome
from tdev_operators.core.ports import ObjectInfo, SystemPorts
from tdev_operators.core.private_folders import private_folder
from tdev_operators.core.settings import Settings

_POLL_SECONDS = 0.2
_ANSWERED = 200
_STATUS, _STOP, _RESUME = "/api/evolution/status", "/api/evolution/stop", "/api/evolution/resume"

# What can be said of a copy that nobody works on: the data and the API, not the machine and not what moves.
_ON_A_COPY = (
    *("agents.limits", "agents.near_limit", "agents.parse", "agents.sources"),
    *("api.authentication", "api.endpoints", "api.latency", "api.reachable"),
    *("database.invalid_indexes", "database.reachable", "database.sequence_exhaustion", "database.wraparound"),
    "evolution.constraint_violations",
)


@contextmanager
def started(
    rules: ApplicationSettings, database: SourceDatabase, ports: DrillPorts, check: Callable[[], None] = lambda: None
) -> Iterator[WritableApi]:
    """Start the stand-in on a restored database and yield its API once it answers; it goes with the block.

    Raises:
        SetupMissingError: the settings name none.
        ProofFailedError: it ended, or did not come up in time.
        InputError: there is no such program.
    """
    if not rules.argv:
        raise SetupMissingError(
            "No application is named; write drill.application.argv, so that the drill can start it."
        )
    port, token = ports.free_port(), secrets.token_urlsafe(24)
    with private_folder() as folder, database.environment() as libpq:
        places = {"port": str(port), "folder": str(folder)}
        words = {**libpq, **places, "token": token}
        environment = {**libpq, **{name: _filled(text, words) for name, text in rules.environment.items()}}
        argv = [_filled(word, places) for word in rules.argv]  # without the token: everybody can read argv
        api = ports.api(port, token)
        with running(argv, env=environment, cwd=str(folder)) as command:
            _await_ready(command, api, rules, check)
            yield api


def written_and_read(api: WritableApi) -> str:
    """Stop the evolution over the API, read that back, and set it as it was; return what was seen, a sentence.

    Raises:
        ProofFailedError: an answer is not what the application should say.
        TransientError: it does not answer.
    """
    before = _state(api)
    for path, expected in ((_STOP, "stopped"), (_RESUME, "running")):
        answer = api.post(path)
        if answer.status != _ANSWERED:
            raise ProofFailedError(f"POST {path} answered {answer.status}; the restored database cannot be written to.")
        if (found := _state(api)) != expected:
            raise ProofFailedError(f"After POST {path} the evolution is {found!r} and not {expected!r}.")
    if before == "stopped":
        api.post(_STOP)
    return f"the evolution was {before}; it was stopped and resumed over the API, and read back each time"


def health_of(
    ports: DrillPorts, settings: Settings, database: SourceDatabase, api: WritableApi, place: "ScratchBuckets"
) -> ItemOutcome:
    """Run the daily health check on the copy, as far as it can be said of one that nobody works on."""
    checks = [check for check in all_checks() if check.name in _ON_A_COPY]
    names = {check.name for check in checks}
    known = settings.model_copy(
        update={
            "out_of_scope": tuple(entry for entry in settings.out_of_scope if entry.check in names),
            "silences": (),
        }
    )
    nobody: Any = _Nobody()
    system = SystemPorts(
        database=_CopyOfDatabase(database),
        objects=cast("Any", place),
        api=api,
        tls=nobody,
        resolver=nobody,
        credentials=nobody,
        clock=ports.clock,
    )
    return run_health_check(system, known, checks=checks)


@dataclass(frozen=True, slots=True)
class ScratchBuckets:
    """The restored objects, read as if they stood in their own buckets. `prefixes` are by bucket name."""

    store: BackupStore
    bucket: str
    prefixes: Mapping[str, str]

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `core.ports.ObjectStore.list`."""
        below = self.prefixes[bucket]
        for info in self.store.list(self.bucket, below + prefix):
            yield ObjectInfo(info.key.removeprefix(below), info.size_bytes, info.etag, info.modified)

    def read(self, bucket: str, key: str, *, max_bytes: int) -> bytes:
        """See `core.ports.ObjectStore.read`."""
        return self.store.read_whole(self.bucket, self.prefixes[bucket] + key, max_bytes=max_bytes)


class _CopyOfDatabase:
    """Implements `core.ports.Database` on a restored one."""

    def __init__(self, database: SourceDatabase) -> None:
        self._database = database

    @property
    def name(self) -> str:
        return self._database.name

    def rows(self, statement: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        with self._database.session(application_name="tdev-drill") as session:
            return session.rows(statement, params)


class _Nobody:
    """A part of the live system that is not in the clean room."""

    def __getattr__(self, name: str) -> Any:
        raise SetupMissingError("The clean room has no such part; leave the check to the live system.")


def _await_ready(command: Running, api: WritableApi, rules: ApplicationSettings, check: Callable[[], None]) -> None:
    deadline = time.monotonic() + rules.seconds
    while True:
        check()
        if (status := command.poll()) is not None:
            raise ProofFailedError(f"The application ended with status {status}: {_last_line(command)}")
        try:
            answer = api.get(rules.ready_path)
        except TransientError as error:
            heard = str(error)
        else:
            if answer.status == _ANSWERED:
                return
            heard = f"It answers {answer.status}."
        if time.monotonic() > deadline:
            raise ProofFailedError(f"The application did not come up within {rules.seconds:g} s. {heard}")
        time.sleep(_POLL_SECONDS)


def _state(api: WritableApi) -> str:
    answer = api.get(_STATUS)
    try:
        if answer.status == _ANSWERED:
            return str(json.loads(answer.body)["status"])
    except (ValueError, KeyError, TypeError):
        pass
    raise ProofFailedError(f"GET {_STATUS} answered {answer.status} and no status; see what the application lacks.")


def _filled(text: str, words: Mapping[str, str]) -> str:
    for name, value in words.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _last_line(command: Running) -> str:
    lines = (command.stderr or command.stdout).strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing."
