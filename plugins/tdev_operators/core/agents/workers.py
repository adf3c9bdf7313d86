"""The worker processes that make agents smaller, one a core: each agent in one of them, answers as they come."""

import queue
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event, Lock
from types import TracebackType
from typing import Any, Self

from tdev_operators.core.agents.confinement.house import Held
from tdev_operators.core.agents.conversation import Conversation
from tdev_operators.core.agents.ladder import Goal, Optimised
from tdev_operators.core.agents.settings import OptimiserSettings
from tdev_operators.core.errors import CommandFailedError, GarbledAnswerError, SetupMissingError, TargetTimeoutError

_PROGRAM = ("-P", "-m", "tdev_operators.core.agents.worker")
_START_SECONDS = 120.0
_TRIES_A_PASS = 3  # it is recorded and raced; and the libraries take their time
_ANSWER_BYTES = 4 * 1024 * 1024
_BROKEN = (SetupMissingError, CommandFailedError, TargetTimeoutError, GarbledAnswerError)


class Workers:
    """The processes, until the block is left. `held` says which barriers hold in all of them."""

    def __init__(self, rules: OptimiserSettings, goal: Goal) -> None:
        self._rules, self._goal = rules, goal
        # Two passes beyond the settings' stand for the original, which is recorded twice.
        self._seconds = rules.confinement.wall_seconds * _TRIES_A_PASS * (len(rules.passes) + 2)

    def __enter__(self) -> Self:
        self._stack, self._over = ExitStack(), Event()
        try:
            self._workers = [_Worker(self._rules, self._goal, self._over) for _ in range(self._rules.at_once)]
            # Once more behind the threads: one of them may have been about to start its process again.
            for worker in self._workers:
                self._stack.callback(worker.close)
            self._threads = self._stack.enter_context(ThreadPoolExecutor(self._rules.at_once, "tdev-agents"))
            for worker in self._workers:
                self._stack.callback(worker.close)
            found = list(self._threads.map(_Worker.start, self._workers))
        except BaseException:
            self._over.set()
            self._stack.close()
            raise
        self.held = min(found, key=lambda held: not held.missing)  # one that gives way speaks for all
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()  # or those who wait for an answer would start their processes again
        self._stack.close()

    def each(self, sources: Mapping[str, str], *, until: float) -> Iterator[tuple[str, Optimised]]:
        """Yield what became of each agent, as soon as it is known. What is not begun by `until` does not come.

        An agent in whose hands a worker breaks is told as untried; the worker is started again.
        """
        waiting: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        for item in sources.items():
            waiting.put(item)
        done: queue.SimpleQueue[tuple[str, Optimised] | None] = queue.SimpleQueue()

        def work(worker: _Worker) -> None:
            try:
                while time.monotonic() < until and not self._over.is_set():
                    name, source = waiting.get_nowait()
                    done.put((name, worker.optimised(source, self._seconds)))
            except queue.Empty:
                pass
            finally:
                done.put(None)

        futures = [self._threads.submit(work, worker) for worker in self._workers]
        running = len(futures)
        while running:
            if (one := done.get()) is None:
                running -= 1
            else:
                yield one
        for future in futures:
            future.result()


class _Worker:
    """One process, started again when it broke, unless `stopping`. One thread asks it; another one may close it."""

    def __init__(self, rules: OptimiserSettings, goal: Goal, stopping: Event) -> None:
        self._opening = {
            "rules": rules.model_dump_json(),
            "goal": {
                "near_limit_kb": goal.near_limit_kb,
                "max_size_kb": goal.max_size_kb,
                "max_instantiation_us": goal.max_instantiation_us,
            },
        }
        self._stopping, self._lock = stopping, Lock()
        self._stack = ExitStack()
        self._conversation: Conversation | None = None

    def start(self) -> Held:
        """Start the process and return which barriers hold in it.

        Raises:
            SetupMissingError: it lacks what a pass is made of.
        """
        argv = [sys.executable, *_PROGRAM]
        with self._lock:  # whoever closes it meanwhile closes what is started here
            if self._stopping.is_set():
                raise CommandFailedError("Nobody waits for it any more.")
            conversation = self._stack.enter_context(Conversation(argv, env={}, answer_bytes=_ANSWER_BYTES))
            self._conversation = conversation
        told: dict[str, Any] = conversation.ask(self._opening, seconds=_START_SECONDS)
        if "lacks" in told:
            raise SetupMissingError(str(told["lacks"]))
        return Held({str(name): str(why) for name, why in told["broken"].items()}, tuple(told["made_of"]))

    def optimised(self, source: str, seconds: float) -> Optimised:
        """Return what became of an agent."""
        try:
            conversation = self._conversation
            if conversation is None:
                if (held := self.start()).missing:
                    raise CommandFailedError(held.sentence)
                conversation = self._conversation
            if conversation is None:
                raise CommandFailedError("It was ended by us.")
            return Optimised.from_json(conversation.ask({"source": source}, seconds=seconds))
        except _BROKEN as error:
            self.close()
            return Optimised(None, f"what tries it broke: {error}", untried=True)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            stack, self._stack, self._conversation = self._stack, ExitStack(), None
        stack.close()
