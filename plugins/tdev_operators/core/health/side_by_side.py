"""Doing several slow things at once, in threads that never keep the process alive."""

import threading
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import TypeVar

from tdev_operators.core.errors import TdevError

K = TypeVar("K")
T = TypeVar("T")


def side_by_side(jobs: Mapping[K, Callable[[], T]], *, at_most: int) -> dict[K, T | TdevError]:
    """Run the jobs in at most so many threads and return what each gave, in the order of `jobs`.

    A `TdevError` is an answer like any other; any other exception of a job is raised here, after all have ended.
    Bounded in time as far as each job is. (An executor would be joined when the interpreter exits: a job that hangs
    would keep the process.)
    """
    waiting: SimpleQueue[tuple[K, Callable[[], T]]] = SimpleQueue()
    for item in jobs.items():
        waiting.put(item)
    answers: dict[K, T | TdevError] = {}
    defects: list[Exception] = []

    def work() -> None:
        while True:
            try:
                key, job = waiting.get_nowait()
            except Empty:
                return
            try:
                answers[key] = job()
            except TdevError as error:
                answers[key] = error
            except Exception as error:  # noqa: BLE001  raised again below, in the thread that asked
                defects.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(at_most, len(jobs)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if defects:
        raise defects[0]
    return {key: answers[key] for key in jobs}
