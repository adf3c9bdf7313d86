"""A service that writes into a log as fast as it may, and opens it anew when it is reloaded (SIGHUP), or never does."""

import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

FILE, PIDFILE, KIND = sys.argv[1:]
reopen = False


def on_hangup(_signal: int, _frame: FrameType | None) -> None:
    global reopen  # noqa: PLW0603  as a signal handler tells its program
    reopen = KIND != "deaf"


signal.signal(signal.SIGHUP, on_hangup)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
log = os.open(FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
Path(PIDFILE).write_text(str(os.getpid()), encoding="ascii")
number = 0
try:
    while True:
        if reopen:
            reopen = False
            os.close(log)
            log = os.open(FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        now = datetime.now(UTC)
        os.write(
            log,
            f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z INFO engine line {number} of the writer\n".encode(),
        )
        number += 1
        if number % 20 == 0:
            time.sleep(0.001)
finally:
    Path(f"{PIDFILE}.count").write_text(str(number), encoding="ascii")
