"""The evolution engine: really makes generations while it may. `Engine`, run as `python -m sandbox.engine`.

Every interval it evaluates agents (rows in `evolution_history`, `fitness_tracking`, `metrics`), now and then registers
a new agent with its source, and writes a checkpoint every tenth generation. `evolution_state.running` stops it.
"""

import json
import os
import signal
import threading
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import psycopg
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.api import database_environment
from sandbox.application_log import ApplicationLog
from sandbox.object_store import ObjectStore, s3_client
from sandbox.parts import PythonPart
from sandbox.population import Evaluation, checkpoint, checkpoint_key, evaluate, next_mean
from sandbox.postgres import Cluster
from sandbox.processes import Supervisor
from sandbox.scales import CHECKPOINT_EVERY
from sandbox.seed import SEED, agent_row, history_row, make_agent, wanted_size
from sandbox.seed_files import AGENTS_BUCKET, CHECKPOINTS_BUCKET, generation_line

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# The second engine that somebody starts by mistake waits here: two would number their generations alike.
_ONLY_ENGINE = 7_331
_NEW_AGENT_EVERY = 5
_GRACE_SECONDS = 4.0
_NEAR_LIMIT_CHANCE = 0.03
_LONGEST_SECONDS = 40.0


class Engine(PythonPart):
    """The engine's process. It listens at no port: it is ready when it holds its lock in the database."""

    module = "sandbox.engine"

    def __init__(
        self,
        supervisor: Supervisor,
        cluster: Cluster,
        store: ObjectStore,
        logs: Path,
        *,
        interval_seconds: float,
        evaluations: int,
        name: str = "engine",
    ) -> None:
        """Make a generation of so many evaluations every interval; logs go to `logs/evolution.log` and `agents.log`."""
        super().__init__(supervisor, name)
        self._cluster = cluster
        self._store = store
        self._logs = logs
        self._ready_file = supervisor.home / f"{name}.ready"
        self.interval_seconds = interval_seconds
        self.evaluations = evaluations
        self.stalls_after: int | None = None  # generations; then it does nothing any more, at its next start too
        self.goes_back = False  # to the number of the checkpoint that it is given, and waits for; not on from the rows

    def stop(self) -> None:
        """Ask it to end; one that hangs is killed soon, as it loses at most the generation that it makes."""
        self.supervisor.stop(self.name, grace_seconds=_GRACE_SECONDS)

    def hang(self) -> None:
        """Stop the process where it is: its service runs, its session lives, and nothing is made."""
        os.killpg(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        os.killpg(self.pid, signal.SIGCONT)

    def _environment(self) -> Mapping[str, str]:
        self._ready_file.unlink(missing_ok=True)
        return {
            "SANDBOX_INTERVAL": str(self.interval_seconds),
            "SANDBOX_EVALUATIONS": str(self.evaluations),
            "SANDBOX_LOGS": str(self._logs),
            "SANDBOX_S3": f"{self._store.endpoint_url} {self._store.access_key} {self._store.secret_key}",
            "SANDBOX_READY": str(self._ready_file),
            "SANDBOX_GOES_BACK": "yes" if self.goes_back else "",
            "SANDBOX_STALLS_AFTER": "" if self.stalls_after is None else str(self.stalls_after),
            **database_environment(self._cluster),
        }

    def _ready(self) -> bool:
        return self._ready_file.exists()


class _Evolution:
    """One engine at work."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        logs = Path(environment["SANDBOX_LOGS"])
        self._log = ApplicationLog(logs / "evolution.log")
        self._agents_log = ApplicationLog(logs / "agents.log")
        self._objects: S3Client = s3_client(*environment["SANDBOX_S3"].split())
        self._interval = float(environment["SANDBOX_INTERVAL"])
        self._evaluations = int(environment["SANDBOX_EVALUATIONS"])
        self._ready = Path(environment["SANDBOX_READY"])
        self._left = int(environment["SANDBOX_STALLS_AFTER"] or -1)  # generations; below 0 there is no end
        self._goes_back = bool(environment["SANDBOX_GOES_BACK"])
        self._made = 0  # the last number, once it went back: the database's highest is another then
        self._ending = threading.Event()

    def end(self, *_signal: object) -> None:
        """Finish the generation that is being made, then return from `run`."""
        self._ending.set()

    def run(self) -> None:
        while not self._ending.is_set():
            try:
                self._evolve()
            except (psycopg.Error, BotoCoreError, ClientError, OSError) as error:
                traceback.print_exc()  # into the log of the part; the application's own log says it in a line
                self._log.write("ERROR", "evolution", f"Evolution failed: {type(error).__name__}; trying again")
                self._ending.wait(min(self._interval, 5.0))

    def _evolve(self) -> None:
        with psycopg.connect(application_name="t-developer-evolution", autocommit=True) as database:
            database.execute("SELECT pg_advisory_lock(%s)", (_ONLY_ENGINE,))
            self._ready.touch()
            while not self._ending.wait(self._interval):
                if self._left != 0:
                    self._generation(database)

    def _generation(self, database: psycopg.Connection) -> None:
        with database.transaction():
            state = database.execute("SELECT running, drift, resume_from FROM evolution_state FOR SHARE").fetchone()
            if state is None or not state[0] or (self._goes_back and not state[2] and not self._made):
                return
            checkpoint_mean = self._mean_of(state[2]) if state[2] else None
            last = database.execute(
                "SELECT generation, avg(fitness_score)::float8 FROM evolution_history "
                "WHERE generation = (SELECT max(generation) FROM evolution_history) GROUP BY generation"
            ).fetchone()
            generation, mean = (last[0] + 1, next_mean(checkpoint_mean or last[1], state[1])) if last else (1, 0.5)
            random, now = Random(f"{SEED}/engine/{generation}"), datetime.now(UTC)
            back_to = _number_of(state[2]) if self._goes_back and state[2] else self._made
            if back_to:
                generation = back_to + 1
                random = Random(f"{SEED}/engine/{generation}/{now}")  # other ids than when it was made before
            if generation % _NEW_AGENT_EVERY == 0:
                self._register(database, now, mean)
            agents = [row[0] for row in database.execute("SELECT id FROM agents ORDER BY id")]
            evaluations = evaluate(
                random,
                agents,
                generation=generation,
                mean=mean,
                count=self._evaluations,
                moment=now,
                lasting=timedelta(seconds=min(self._interval / 4, _LONGEST_SECONDS)),
            )
            self._keep(database, random, evaluations)
            if generation % CHECKPOINT_EVERY == 0:
                self._objects.put_object(
                    Bucket=CHECKPOINTS_BUCKET, Key=checkpoint_key(generation), Body=checkpoint(random, evaluations)
                )
                self._log.write("INFO", "evolution", f"Checkpoint {checkpoint_key(generation)} written")
            if state[2]:
                database.execute("UPDATE evolution_state SET resume_from = ''")
                self._log.write("INFO", "evolution", f"Resumed from {state[2]}")
        self._made = generation if back_to else 0
        self._left -= 1
        self._log.append(generation_line(now, generation, [each.fitness for each in evaluations]))

    def _mean_of(self, key: str) -> float:
        """Return the mean fitness of a checkpoint's population; one that cannot be used stalls the evolution."""
        try:
            told = json.loads(self._objects.get_object(Bucket=CHECKPOINTS_BUCKET, Key=key)["Body"].read())
            return sum(float(each["fitness"]) for each in told["population"]) / len(told["population"])
        except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
            raise OSError(f"The checkpoint {key} cannot be used: {type(error).__name__}") from error

    def _keep(self, database: psycopg.Connection, random: Random, evaluations: list[Evaluation]) -> None:
        cursor = database.cursor()
        cursor.executemany(
            "INSERT INTO evolution_history VALUES (%s, %s, %s, %s, %s, %s, %s, %s)", map(history_row, evaluations)
        )
        cursor.executemany(
            "INSERT INTO fitness_tracking (agent_id, generation, fitness_score, performance_metrics, timestamp) "
            "VALUES (%s, %s, %s, jsonb_build_object('duration_ms', %s::int), %s) "
            "ON CONFLICT (agent_id, generation) DO UPDATE SET (fitness_score, timestamp) = "
            "(excluded.fitness_score, excluded.timestamp)",  # one that is made once more
            [(e.agent_id, e.generation, e.fitness, random.randint(5, 90), e.timestamp) for e in evaluations],
        )
        best = max(each.fitness for each in evaluations)
        cursor.execute(
            "INSERT INTO metrics (name, value, importance, labels) VALUES ('evolution.best_fitness', %s, 'high', '{}')",
            (best,),
        )

    def _register(self, database: psycopg.Connection, now: datetime, mean: float) -> None:
        row = database.execute("SELECT max(right(name, 4)::int) + 1 FROM agents WHERE name ~ '_[0-9]{4}$'").fetchone()
        number = row[0] if row and row[0] is not None else 0
        # Its own chance: a generation that was taken away and is made again must not make the same agent again.
        random = Random(f"{SEED}/engine/agent/{number}")
        size = wanted_size(random, near_limit=random.random() < _NEAR_LIMIT_CHANCE)
        agent = make_agent(random, number, size, now, fitness=round(mean, 4))
        # The source first: a registered agent without its source would be a finding, a source without its row lasts
        # only until the commit.
        self._objects.put_object(Bucket=AGENTS_BUCKET, Key=agent.key, Body=agent.source)
        database.execute("INSERT INTO agents VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)", agent_row(agent))
        database.execute(
            "INSERT INTO agent_versions VALUES (%s, 1, %s, '{first version}', true, '{}', %s)",
            (agent.id, agent.code_hash, now),
        )
        text = f"Agent {agent.name} {agent.version} registered ({agent.size_kb} KB, {agent.instantiation_us} us)"
        self._agents_log.write("INFO", "agents", text)


def _number_of(key: str) -> int:
    return int("".join(filter(str.isdecimal, key)))


def main() -> None:
    """Evolve until SIGTERM or SIGINT."""
    evolution = _Evolution(os.environ)
    signal.signal(signal.SIGTERM, evolution.end)
    signal.signal(signal.SIGINT, evolution.end)
    evolution.run()


if __name__ == "__main__":
    main()
