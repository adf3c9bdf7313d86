"""T-Developer's log files: lines `2026-11-23T09:00:00.123Z LEVEL component message` that several processes write."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path


def log_line(moment: datetime, level: str, component: str, message: str) -> str:
    """Return one line, with its newline; control characters in the message are replaced."""
    # The message may hold what a stranger sent (a user agent): it must not be able to forge a second line.
    printable = "".join(c if c.isprintable() else "?" for c in message)
    stamp = moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{stamp} {level} {component} {printable}\n"


def failed_login(moment: datetime, *, request: str, client: str, user_agent: str, reason: str) -> str:
    """Return the line that the API writes when somebody could not prove who he is."""
    message = f'Authentication failed for {request} from {client}: {reason}, user agent "{user_agent[:200]}"'
    return log_line(moment, "WARNING", "api", message)


class ApplicationLog:
    """One log file. Every line opens the file anew, so that it may be rotated or rewritten at any time."""

    def __init__(self, file: Path) -> None:
        """Name the file; its folder must exist."""
        self.file = file

    def write(self, level: str, component: str, message: str) -> None:
        """Append a line of now."""
        self.append(log_line(datetime.now(UTC), level, component, message))

    def append(self, line: str) -> None:
        """Append a line that is ready."""
        with self._locked(), self.file.open("a", encoding="utf-8") as file:
            file.write(line)

    def rewrite(self, change: Callable[[list[str]], list[str]]) -> None:
        """Replace the file's lines by `change(lines)`; no line that is written meanwhile is lost."""
        with self._locked():
            lines = self.file.read_text(encoding="utf-8").splitlines(keepends=True) if self.file.exists() else []
            unfinished = self.file.with_name(f".{self.file.name}.unfinished")
            unfinished.write_text("".join(change(lines)), encoding="utf-8")
            unfinished.replace(self.file)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = os.open(self.file.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)
