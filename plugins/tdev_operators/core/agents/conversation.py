"""Asking a program of ours that stays: one line of JSON to it, one back."""

import json
import queue
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from threading import Event
from types import TracebackType
from typing import Any, Self

from tdev_operators.core.commands import Running, running
from tdev_operators.core.errors import CommandFailedError, GarbledAnswerError, TargetTimeoutError

_TICK_SECONDS = 0.5


class Conversation:
    """A program that answers line by line, until the block is left. `user` drops root for that user."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        answer_bytes: int,
        user: str = "",
        cwd: str | None = None,
    ) -> None:
        self._argv, self._env, self._user, self._cwd = argv, env, user, cwd
        self._most = answer_bytes
        self._questions: queue.Queue[bytes | None] = queue.Queue()
        self._answers: queue.Queue[bytes] = queue.Queue()
        self._begun = bytearray()
        self._stack = ExitStack()
        self._left = Event()

    def __enter__(self) -> Self:
        self._command: Running = self._stack.enter_context(
            running(
                self._argv,
                env=self._env,
                user=self._user,
                cwd=self._cwd,
                stdin=self._put(),
                on_stdout=self._take,
            )
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._left.set()
        self._questions.put(None)
        self._stack.close()

    @property
    def complaints(self) -> str:
        """What it said on standard error."""
        return self._command.stderr

    def ask(self, question: Mapping[str, Any], *, seconds: float) -> dict[str, Any]:
        """Put a question and return its answer; raises as `hear`."""
        self._questions.put(json.dumps(question).encode() + b"\n")
        return self.hear(seconds=seconds)

    def hear(self, *, seconds: float) -> dict[str, Any]:
        """Return the next answer.

        Raises:
            TargetTimeoutError: none came in time. CommandFailedError: the program ended.
            GarbledAnswerError: it is no JSON object.
        """
        line = self._next(time.monotonic() + seconds, seconds)
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise GarbledAnswerError(f"{self._argv[0]} answered something that is no JSON object; see its version.")
        return answer

    def _put(self) -> Iterator[bytes]:
        while (question := self._questions.get()) is not None:
            yield question

    def _next(self, deadline: float, seconds: float) -> bytes:
        while True:
            try:
                return self._answers.get(timeout=min(_TICK_SECONDS, max(0.01, deadline - time.monotonic())))
            except queue.Empty:
                pass
            # Its last words may have come between the two looks.
            if (status := self._command.poll()) is not None and self._answers.empty():
                said = self.complaints.strip().splitlines()
                raise CommandFailedError(
                    f"{self._argv[0]} ended with status {status} ({said[-1][:300] if said else 'it said nothing'})."
                )
            if self._left.is_set():
                raise CommandFailedError(f"{self._argv[0]} was ended by us.")
            if time.monotonic() > deadline:
                raise TargetTimeoutError(f"{self._argv[0]} did not answer within {seconds:g} s.")

    def _take(self, chunk: bytes) -> None:
        *whole, rest = (bytes(self._begun) + chunk).split(b"\n")
        for line in whole:
            self._answers.put(line)
        if len(rest) > self._most:
            raise GarbledAnswerError(f"{self._argv[0]} answered more than {self._most} bytes.")
        self._begun = bytearray(rest)
