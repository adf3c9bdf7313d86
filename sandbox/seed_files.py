"""The seed's files: sources and checkpoints as objects on disk, and ten days of logs as logrotate leaves them."""

import gzip
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from sandbox.application_log import failed_login, log_line
from sandbox.population import checkpoint, checkpoint_key
from sandbox.scales import CHECKPOINT_EVERY
from sandbox.seed import Story

AGENTS_BUCKET = "t-developer-agents"
CHECKPOINTS_BUCKET = "t-developer-checkpoints"
BACKUPS_BUCKET = "t-developer-backups"

LOG_NAMES = ("agents.log", "api.log", "evolution.log")

_DAY = timedelta(days=1)
_PATHS = ("/health", "/api/evolution/status", "/generation/current", "/agents")
_LATE_CHANCE = 0.02
_FIRST_COMPRESSED = 2  # delaycompress: yesterday's log is still plain


def write_buckets(folder: Path, story: Story) -> None:
    """Write all buckets as folders below the object store's folder; it must not run yet, for it caches listings."""
    for bucket in (AGENTS_BUCKET, CHECKPOINTS_BUCKET, BACKUPS_BUCKET):
        (folder / bucket).mkdir(exist_ok=True)
    for agent in story.agents:
        _write(folder / AGENTS_BUCKET / agent.key, agent.source, agent.updated_at)
    random = story.chance("checkpoints")
    for evaluations in story.generations[CHECKPOINT_EVERY - 1 :: CHECKPOINT_EVERY]:
        key = checkpoint_key(evaluations[0].generation)
        _write(folder / CHECKPOINTS_BUCKET / key, checkpoint(random, evaluations), evaluations[-1].timestamp)


def write_logs(folder: Path, story: Story) -> None:
    """Write `<name>.log`, `.log.1` and `.log.2.gz` to `.log.10.gz`, one a UTC day; the API's ends just before now."""
    today = story.now.replace(hour=0, minute=0, second=0, microsecond=0)
    writers = {"agents.log": _agents_log, "api.log": _api_log, "evolution.log": _evolution_log}
    for name in LOG_NAMES:
        for age in range(story.scale.log_days + 1):
            day = today - age * _DAY
            until = min(day + _DAY, story.now)
            lines = sorted(writers[name](story, story.chance(f"{name}/{age}"), day, until))
            content = "".join(line for _, line in lines).encode()
            suffix = "" if age == 0 else f".{age}" if age < _FIRST_COMPRESSED else f".{age}.gz"
            if suffix.endswith(".gz"):
                content = gzip.compress(content, mtime=0)
            _write(folder / f"{name}{suffix}", content, until)


def _write(file: Path, content: bytes, modified: datetime) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    os.utime(file, (modified.timestamp(), modified.timestamp()))


def _moments(random: Random, day: datetime, until: datetime, a_day: float) -> Iterator[datetime]:
    """Yield moments at random distances, `a_day` of them a whole day on average."""
    moment = day
    while (moment := moment + timedelta(seconds=random.expovariate(a_day / 86_400))) < until:
        yield moment


def _api_log(story: Story, random: Random, day: datetime, until: datetime) -> Iterator[tuple[datetime, str]]:
    for moment in (*_moments(random, day, until, story.scale.log_lines_a_day), until - timedelta(seconds=1)):
        path, client = random.choice(_PATHS), f"10.0.{random.randint(0, 3)}.{random.randint(2, 250)}"
        yield moment, log_line(moment, "INFO", "api", f"GET {path} 200 {random.randint(2, 60)} ms from {client}")
    for moment in _moments(random, day, until, 3):
        client = f"203.0.113.{random.randint(1, 254)}"
        yield (
            moment,
            failed_login(moment, request="GET /agents", client=client, user_agent="curl/8.5.0", reason="wrong token"),
        )
    for moment in _moments(random, day, until, 4):
        yield moment, log_line(moment, "ERROR", "api", "Request failed: the client went away before the answer")


def _agents_log(story: Story, random: Random, day: datetime, until: datetime) -> Iterator[tuple[datetime, str]]:
    for moment in _moments(random, day, until, story.scale.log_lines_a_day / 4):
        agent = random.choice(story.agents)
        if agent.created_at > moment:
            continue
        if random.random() < _LATE_CHANCE:
            text = f"Agent {agent.name} {agent.version} answered late ({random.randint(50, 400)} ms)"
            yield moment, log_line(moment, "WARNING", "agents", text)
        else:
            text = f"Agent {agent.name} {agent.version} ran in {random.randint(2, 40)} ms"
            yield moment, log_line(moment, "INFO", "agents", text)


def _evolution_log(story: Story, random: Random, day: datetime, until: datetime) -> Iterator[tuple[datetime, str]]:
    for evaluations in story.generations:
        moment = evaluations[-1].timestamp
        if not day <= moment < until:
            continue
        generation, scores = evaluations[0].generation, [each.fitness for each in evaluations]
        yield moment, generation_line(moment, generation, scores)
        if generation % CHECKPOINT_EVERY == 0:
            yield moment, log_line(moment, "INFO", "evolution", f"Checkpoint {checkpoint_key(generation)} written")
    for moment in _moments(random, day, until, story.scale.log_lines_a_day / 4):
        text = f"Evaluation queue: {random.randint(0, 50)} waiting, {random.randint(1, 50)} running"
        yield moment, log_line(moment, "INFO", "evolution", text)


def generation_line(moment: datetime, generation: int, scores: list[float]) -> str:
    """Return the line that the engine writes for a generation."""
    text = (
        f"Generation {generation} complete: {len(scores)} agents evaluated, "
        f"mean fitness {sum(scores) / len(scores):.4f}, best {max(scores):.4f}"
    )
    return log_line(moment, "INFO", "evolution", text)
