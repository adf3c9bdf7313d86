"""What the back-up benchmarks back up: 1.5 GB in 12 tables and two buckets, the same bytes in every run.

`scale` multiplies rows and objects (0.02 for tests).
"""

import base64
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from benchmarks.backup_tables import TABLES, WORDS, load_tables, load_wide_rows

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = [
    "TABLES",
    "changed_objects",
    "large_objects",
    "load_tables",
    "load_wide_rows",
    "small_objects",
    "upload_objects",
    "write_objects",
    "write_sparse_object",
]

SMALL_OBJECTS = 5_000
LARGE_OBJECTS = 200

_LARGE_BYTES = 2 * 1024 * 1024
_SEED = "backup benchmark"
_UPLOADS_AT_ONCE = 16


def small_objects(scale: float = 1.0) -> Iterator[tuple[str, bytes]]:
    """Yield key and content of the small objects: programs of 1 to 6 KB."""
    for number in range(max(1, round(SMALL_OBJECTS * scale))):
        yield f"agents/{number % 50:02d}/agent_{number:05d}.py", _program(number, edition=0)


def large_objects(scale: float = 1.0) -> Iterator[tuple[str, bytes]]:
    """Yield key and content of the large objects: JSON of 2 MB that holds weights in base64."""
    for number in range(max(1, round(LARGE_OBJECTS * scale))):
        yield f"checkpoints/generation_{number * 10:06d}.json", _checkpoint(number, edition=0)


def changed_objects(edition: int, scale: float = 1.0, share: float = 0.01) -> Iterator[tuple[bool, str, bytes]]:
    """Yield what is different a day later: whether it is a small one, its key, and its new content.

    `edition` (1, 2, ...) is the day: another one changes other objects.
    """
    random = Random(f"{_SEED} {edition}")
    for small, every, make in ((True, small_objects, _program), (False, large_objects, _checkpoint)):
        total = max(1, round((SMALL_OBJECTS if small else LARGE_OBJECTS) * scale))
        chosen = set(random.sample(range(total), max(1, round(total * share))))
        for number, (key, _) in enumerate(every(scale)):
            if number in chosen:
                yield small, key, make(number, edition)


def write_objects(folder: Path, objects: Iterable[tuple[str, bytes]]) -> None:
    """Write objects as files below a bucket's folder of an object store that does not run yet (it caches listings)."""
    for key, content in objects:
        file = folder / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def write_sparse_object(folder: Path, key: str, size: int) -> None:
    """Write one object of zeros that takes no room on the disk, below a bucket's folder."""
    file = folder / key
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as output:
        output.truncate(size)


def upload_objects(client: "S3Client", bucket: str, objects: Iterable[tuple[str, bytes]]) -> None:
    """Store objects over S3."""
    with ThreadPoolExecutor(_UPLOADS_AT_ONCE) as pool:
        for done in [pool.submit(client.put_object, Bucket=bucket, Key=key, Body=content) for key, content in objects]:
            done.result()


def _program(number: int, edition: int) -> bytes:
    random = Random(f"{_SEED} program {number} {edition}")
    size, lines = random.randint(1_000, 6_000), [f'"""Agent {number}, edition {edition}."""']
    length = 0
    while length < size:
        lines.append(f"    {random.choice(WORDS)}_{random.randint(0, 999)} = {' '.join(random.choices(WORDS, k=6))}")
        length += len(lines[-1]) + 1
    return "\n".join(lines).encode()[:size]


def _checkpoint(number: int, edition: int) -> bytes:
    random = Random(f"{_SEED} checkpoint {number} {edition}")
    head, tail = f'{{"generation": {number * 10}, "edition": {edition}, "weights": "'.encode(), b'"}'
    room = (_LARGE_BYTES - len(head) - len(tail)) // 4 * 3
    return head + base64.b64encode(random.randbytes(room)) + tail
