"""A service that writes lines into logs, by their names, while something is done to them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path


@contextmanager
def lines_written_to(*logs: Path) -> Iterator[None]:
    """Write a line into each of the logs some times a second, into whatever bears its name by then."""
    ended = threading.Event()

    def serve() -> None:
        while not ended.wait(0.1):
            stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            for log in logs:
                with log.open("a", encoding="utf-8") as file:
                    file.write(f"{stamp} INFO {log.stem} another line\n")

    service = threading.Thread(target=serve)
    service.start()
    try:
        yield
    finally:
        ended.set()
        service.join()
