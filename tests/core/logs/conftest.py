"""A folder of logs on a host that is this machine, analysed day after day."""

import gzip
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tdev_operators.core.logs.check_names import names_of
from tdev_operators.core.logs.ports import LogPorts
from tdev_operators.core.logs.run import analyse_logs
from tdev_operators.core.settings import HostSettings, load_settings
from tdev_operators.core.sql import include_dir
from tdev_operators.hooks.hosts.local import LocalHost
from tests.analysed import MemoryLedger

NOW = datetime(2026, 11, 23, 14, 5, tzinfo=UTC)


def line(when: datetime, level: str = "INFO", component: str = "api", message: str = "GET /agents 200") -> str:
    return f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03}Z {level} {component} {message}\n"


@dataclass
class World:
    """Logs of one host, and what was said of them."""

    folder: Path
    now: datetime = NOW
    ledger: Any = field(default_factory=MemoryLedger)
    patterns: Any = None
    rules: dict[str, Any] = field(default_factory=dict)
    sources: tuple[Any, ...] = ()
    objects: Any = None
    events: Any = None
    host: Any = field(default_factory=lambda: LocalHost("here"))

    @property
    def settings(self):
        shipped = load_settings(include_dir() / "tdev.toml")
        logs = shipped.logs
        changes = {
            "directory": str(self.folder),
            "analysis": logs.analysis.model_copy(update=self.rules),
            "patterns": self.patterns or logs.patterns,
            "sources": self.sources,
        }
        hosts = (HostSettings(name="here", reach="local"),)
        return shipped.model_copy(update={"logs": logs.model_copy(update=changes), "hosts": hosts})

    def write(self, name: str, text: str | bytes, *, when: datetime | None = None, more: bool = False) -> Path:
        """Write or append to a log; `when` it was last written to (as it stands: now)."""
        file = self.folder / name
        data = text.encode() if isinstance(text, str) else text
        if name.endswith(".gz"):
            data = gzip.compress(data)
        with file.open("ab" if more else "wb") as opened:
            opened.write(data)
        self.touch(file, when)
        return file

    def touch(self, file: Path, when: datetime | None = None) -> None:
        stamp = (when or self.now).timestamp()
        os.utime(file, (stamp, stamp))

    def analyse(self) -> dict[str, Any]:
        ports = LogPorts({"here": self.host}, self.objects, self.events, clock=lambda: self.now)
        wanted = frozenset(names_of(self.settings)) - {"logs.rotation"}
        results = analyse_logs(ports, self.settings, self.ledger, wanted=wanted, progress=lambda _: None)
        return {result.check.removeprefix("logs."): result for result in results}

    def count(self, pattern: str, results: dict[str, Any] | None = None) -> float:
        """Return how many lines of a pattern were found."""
        return (results or self.analyse())[pattern].measurements[0].value

    def ago(self, **length: float) -> datetime:
        return self.now - timedelta(**length)


@pytest.fixture
def world(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    return World(folder)


@pytest.fixture
def plain(world):
    """Ten quiet lines an hour of the last day, so that nothing else is wrong."""
    lines = [
        line(world.ago(hours=hours) + timedelta(seconds=second)) for hours in range(24, 0, -1) for second in range(10)
    ]
    world.write("api.log", "".join(lines))
    return world
