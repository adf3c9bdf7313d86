"""A worker with a task that backs up, as processes of their own, so that each can be killed.

`python -m tests.faults.worker` reads one folder a line and forks a worker for it, which forks the task, so that
what is slow to import is imported once. The folder's job.json says what to do. The worker writes `pids` at the
beginning and `ended` at the end (the status of the task, what it left in TMPDIR); the task writes `log`, `result.json`.
"""

import ctypes
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tdev_operators.core.backup.take import BackupPorts, Request, take_set
from tdev_operators.core.backup.verification import verify_newest
from tdev_operators.core.errors import BusyError, TdevError
from tdev_operators.core.ledger import Lease
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.hooks.backup_assembly import backup_ports
from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.connections import AWS, EnvironmentConnections
from tdev_operators.hooks.ledger import PostgresLedger
from tdev_operators.hooks.ledger_database import CONNECTION as LEDGER

TRY_AGAIN, REFUSED, CRASHED = 75, 77, 70
_NEW_NAMESPACE, _PRIVATE, _RECURSIVE = 0x20000, 1 << 18, 1 << 14
_LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Fork workers until standard input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a worker: it says itself how the task ended
    _answer("ready")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _work(Path(line.strip()))
        _answer(pid)


def write(path: Path, text: str) -> None:
    """Write a file that is whole as soon as it is there."""
    path.with_suffix(".new").write_text(text, encoding="utf-8")
    path.with_suffix(".new").rename(path)


def mount_small(folder: Path, size: str) -> None:
    """Put a small file system there, which this process and its children alone see, and which ends with them.

    Raises:
        OSError: we may not.
    """
    for status in (
        _LIBC.unshare(_NEW_NAMESPACE),
        _LIBC.mount(b"none", b"/", None, ctypes.c_ulong(_PRIVATE | _RECURSIVE), None),
        _LIBC.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", ctypes.c_ulong(0), f"size={size}".encode()),
    ):
        if status != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _answer(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def _work(folder: Path) -> None:
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    output = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    temporary = Path(job["tmpdir"])
    if job["disk"]:
        mount_small(temporary, job["disk"])
    task = os.fork()
    if task == 0:
        os.environ["TMPDIR"] = str(temporary)
        sys.exit(_task(job, folder))  # as a task ends: threads that do not end keep it
    write(folder / "pids", f"{os.getpid()} {task}")
    _, status = os.waitpid(task, 0)
    left = sorted(each.name for each in temporary.iterdir())
    write(folder / "ended", json.dumps({"status": os.waitstatus_to_exitcode(status), "left": left}))
    os._exit(0)


def _task(job: dict[str, Any], folder: Path) -> int:
    result: dict[str, Any] = {"verdicts": {}}
    try:
        connections = EnvironmentConnections(job["connections"])
        settings = load_settings(Path(job["settings"]))
        if job["scratch"]:
            settings = settings.model_copy(
                update={"backup": settings.backup.model_copy(update={"scratch": job["scratch"]})}
            )
        for step in job["steps"]:
            with _alone(job, settings, connections) as (ports, check):
                _step(step, job, settings, ports, check, result)
    except TdevError as error:
        result["error"] = f"{type(error).__name__}: {error}"
        _say(result["error"])
        status = TRY_AGAIN if error.retryable else REFUSED
    except BaseException as error:  # noqa: BLE001 - whatever it is, the test shows it
        result["error"] = f"{type(error).__name__}: {error}"
        traceback.print_exc()
        status = CRASHED
    else:
        status = 0
    write(folder / "result.json", json.dumps(result))
    return status


def _step(
    step: str,
    job: dict[str, Any],
    settings: Settings,
    ports: BackupPorts,
    check: Callable[[], None],
    result: dict[str, Any],
) -> None:
    began = time.monotonic()
    if step == "take":
        request = Request(holder=job["holder"], full=job["full"])
        taken = take_set(ports, settings, request, check=check, progress=_say)
        result["set_id"], results = taken.manifest.set_id, taken.results
    else:
        verified = verify_newest(ports, settings, check=check, progress=_say)
        result["verified"], result["proven"], results = verified.set_id, verified.proven, verified.results
    for each in results:
        result["verdicts"][each.check] = [each.verdict.value, each.summary]
        _say(f"{each.verdict.value} {each.check}: {each.summary}")
    _say(f"{step} ended after {time.monotonic() - began:.2f} s")


@contextmanager
def _alone(
    job: dict[str, Any], settings: Settings, connections: EnvironmentConnections
) -> Iterator[tuple[BackupPorts, Callable[[], None]]]:
    """Hold the lease as the operators do; somebody else's is waited for, as by Airflow's retries."""
    name = f"backup:{settings.system.name}"
    give_up = time.monotonic() + job["wait_seconds"]
    while True:
        with backup_ports(settings, connections) as ports, _patient_store(job, connections) as store:
            try:
                lease = PostgresLedger(connections.get(LEDGER)).lease(name, job["holder"], job["lease_seconds"])
                held = lease.__enter__()
            except TdevError as error:
                if not error.retryable or time.monotonic() > give_up:
                    raise
                _say(f"WAITING {error}")
                time.sleep(0.2)
                continue
            try:
                yield replace(ports, store=store), _refusal(held)
            finally:
                lease.__exit__(None, None, None)
            return


def _refusal(held: Lease) -> Callable[[], None]:
    def check() -> None:
        if held.lost:
            raise BusyError("The lease was lost while the back-up ran.")

    return check


def _patient_store(job: dict[str, Any], connections: EnvironmentConnections) -> S3BackupStore:
    return S3BackupStore(
        connections.get(AWS), timeout_seconds=job["timeout_seconds"], patience_seconds=job["patience_seconds"]
    )


def _say(line: str) -> None:
    _answer(f"{time.monotonic():.2f} {line}")


if __name__ == "__main__":
    main()
