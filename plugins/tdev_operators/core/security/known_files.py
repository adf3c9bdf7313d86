"""What a scanner said of single files, kept on the worker: a file that did not change is not read again.

Only for scanners whose words about a file rest on that file, its path and the program alone. Losing it costs time and
nothing else. It lies where the scanners' data lie: who may write there could as well change that data.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


class KnownFiles:
    """The files of one target, by what one version of a program says of them. Any JSON may be kept."""

    def __init__(self, cache: Path, scanner: str, target: str, tool: str) -> None:
        """Read what is known; of another version of the program, or when it is damaged, nothing is."""
        name = hashlib.sha256(target.encode()).hexdigest()[:32]
        self._file = cache / "known-files" / scanner / f"{name}.json"
        self._tool = tool
        self._said: Mapping[str, Any] = {}
        with suppress(OSError, ValueError, RecursionError, KeyError, TypeError):
            kept = json.loads(self._file.read_bytes())
            digest = hashlib.sha256(json.dumps(kept["said"], sort_keys=True).encode()).hexdigest()
            if kept["tool"] == tool and kept["digest"] == digest and isinstance(kept["said"], dict):
                self._said = kept["said"]

    @staticmethod
    def key(name: str, path: Path) -> str:
        """Return what a file's words are kept under: its name in the target, and its content."""
        with path.open("rb") as file:
            return f"{hashlib.file_digest(file, 'sha256').hexdigest()} {name}"

    def get(self, key: str) -> Any | None:
        """Return what was said of it; None when it is not known."""
        return self._said.get(key)

    def keep(self, said: Mapping[str, Any]) -> None:
        """Keep exactly this for the next time; where that cannot be written, the next time reads every file."""
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
        unfinished = self._file.with_suffix(f".{os.getpid()}")
        with suppress(OSError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            unfinished.write_text(json.dumps({"tool": self._tool, "digest": digest, "said": said}), encoding="utf-8")
            unfinished.replace(self._file)


def in_parts(paths: Iterable[Path], *, at_once: int, at_most: int, least: int) -> list[list[Path]]:
    """Return files in parts for processes that work at once: alike in bytes, none of more than `at_most` files.

    Fewer than `least` files make no further part: a program takes longer to start than to read them.
    """
    by_size = sorted(paths, key=lambda path: (-path.stat().st_size, str(path)))
    count = max(1, min(at_once, len(by_size) // least), -(-len(by_size) // at_most))
    return [part for number in range(count) if (part := by_size[number::count])]
