"""What all parts of the sandbox have in common: start, stop, kill, restart, at one and the same port."""

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Self

from sandbox.processes import LOOPBACK, REPOSITORY, Child, SandboxError, Supervisor, answers_at, free_port

_ATTEMPTS = 5


class Part(ABC):
    """One server of the sandbox: a child process of the supervisor that answers at `host:port`."""

    def __init__(self, supervisor: Supervisor, name: str) -> None:
        """Choose the port; nothing runs before `start()`."""
        self.supervisor = supervisor
        self.name = name
        self.host = LOOPBACK
        self.port = free_port()
        self._started_before = False

    def start(self) -> Self:
        """Start it and wait until it answers. At its first start it moves to another port if its own was taken."""
        for attempt in range(_ATTEMPTS):
            try:
                self._spawn()
            except SandboxError as error:
                taken = "address already in use" in str(error).lower()
                if self._started_before or not taken or attempt == _ATTEMPTS - 1:
                    raise
                self.port = free_port()
            else:
                break
        self._started_before = True
        return self

    def stop(self) -> None:
        """Ask it to end and wait until it has; stopping what is stopped is no error."""
        self.supervisor.stop(self.name)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.supervisor.kill(self.name)

    def restart(self) -> Self:
        """Stop it and start it at the same port."""
        self.stop()
        return self.start()

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        child = self.supervisor.children.get(self.name)
        return child is not None and child.running

    @property
    def pid(self) -> int:
        """Its process id; 0 when it does not run."""
        child = self.supervisor.children.get(self.name)
        return child.pid if child is not None and child.running else 0

    @abstractmethod
    def _spawn(self) -> Child: ...


class PythonPart(Part):
    """A part that is a module of this package, run as `python -m <module>`.

    The module reads its configuration from the environment, so that no secret stands in argv.
    """

    module: str

    def _spawn(self) -> Child:
        return self.supervisor.spawn(
            self.name,
            [sys.executable, "-m", self.module],
            env={
                "PYTHONPATH": str(REPOSITORY),
                "PYTHONUNBUFFERED": "1",
                # Loopback, but for the stand-in in a container of its own.
                "SANDBOX_BIND": os.environ.get("SANDBOX_BIND", LOOPBACK),
                **self._environment(),
            },
            ready=self._ready,
        )

    def _ready(self) -> bool:
        return answers_at(self.port)

    @abstractmethod
    def _environment(self) -> Mapping[str, str]: ...
