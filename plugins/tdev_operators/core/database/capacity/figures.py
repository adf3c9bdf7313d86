"""From the samples in the ledger to the figures that are foretold. Pure."""

from collections.abc import Callable, Iterator, Sequence

from tdev_operators.core.database.capacity.outlook import Figure, daily, in_bytes, rates
from tdev_operators.core.database.capacity.settings import CapacitySettings
from tdev_operators.core.ledger import Sample
from tdev_operators.core.series import Point

_GB, _MB = 1e9, 1e6


def database(samples: Sequence[Sample], settings: CapacitySettings) -> Iterator[Figure]:
    """Yield the size of the database."""
    limit = settings.database_gb
    name = samples[-1].facts["database"] if samples else "the database"
    yield in_bytes(
        f"size of {name}",
        _points(samples, lambda facts: facts["database_bytes"]),
        None if limit is None else limit * _GB,
    )


def tables(samples: Sequence[Sample], settings: CapacitySettings) -> Iterator[Figure]:
    """Yield the largest tables with their indexes, the largest first."""
    newest = samples[-1].facts["tables"] if samples else {}
    large = {name: sum(sizes) for name, sizes in newest.items() if sum(sizes) >= settings.table_minimum_mb * _MB}
    for name in sorted(large, key=lambda name: -large[name])[: settings.tables]:
        sizes = _points(samples, lambda facts, name=name: _total(facts["tables"].get(name)))
        yield in_bytes(f"table {name}", sizes)


def buckets(samples: Sequence[Sample], settings: CapacitySettings) -> Iterator[Figure]:
    """Yield bytes and objects of each bucket of the newest sample."""
    limit = None if settings.bucket_gb is None else settings.bucket_gb * _GB
    for name in samples[-1].facts if samples else ():
        size = _points(samples, lambda facts, name=name: facts.get(name, {}).get("bytes"))
        yield in_bytes(f"bucket {name}", size, limit)
        objects = _points(samples, lambda facts, name=name: facts.get(name, {}).get("objects"))
        yield Figure(f"objects in {name}", "objects", objects)


def wal(samples: Sequence[Sample], settings: CapacitySettings) -> Iterator[Figure]:
    """Yield how much WAL a day writes."""
    limit = settings.wal_gb_per_day
    written = rates(_points(samples, lambda facts: facts.get("wal_bytes")))
    yield in_bytes("WAL", written, None if limit is None else limit * _GB, per=" a day")


def connections(samples: Sequence[Sample], settings: CapacitySettings) -> Iterator[Figure]:
    """Yield the share of connections that is in use when a sample is taken."""
    used = _points(samples, lambda facts: 100 * facts["connections"] / max(facts["connections_usable"], 1))
    yield Figure("connections in use", "%", used, settings.connections_used_percent)


def disk(samples: Sequence[Sample], settings: CapacitySettings) -> Iterator[Figure]:
    """Yield the used share of each disk of the database's host."""
    for mount in samples[-1].facts if samples else ():
        used = _points(samples, lambda facts, mount=mount: facts.get(mount))
        yield Figure(f"disk {mount}", "%", used, settings.disk_used_percent)


def _points(samples: Sequence[Sample], value: Callable[..., float | None]) -> tuple[Point, ...]:
    found = ((sample.taken_at, value(sample.facts)) for sample in samples)
    return daily([Point(when, float(figure)) for when, figure in found if figure is not None])


def _total(sizes: Sequence[float] | None) -> float | None:
    return None if sizes is None else sum(sizes)
