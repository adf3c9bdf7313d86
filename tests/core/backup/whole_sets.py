"""A small T-Developer whose sets are taken and verified whole, each test under a system name of its own."""

import itertools
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from sandbox.system import Sandbox
from tdev_operators.core.backup.manifest import State
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.backup.take import Request, Taken, take_set
from tdev_operators.core.backup.verification import Verified, verify_newest
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.hooks.backup_assembly import backup_ports
from tdev_operators.hooks.connections import EnvironmentConnections

BACKUPS = "t-developer-backups"
_NUMBERS = itertools.count(1)


@dataclass
class House:
    """The sandbox, and a name under which nobody else takes sets."""

    system: Sandbox
    name: str = field(default_factory=lambda: f"system-{next(_NUMBERS)}")
    changes: dict = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        settings = load_settings(self.system.settings_file)
        backup = settings.backup.model_copy(update=self.changes)
        return settings.model_copy(
            update={"backup": backup, "system": settings.system.model_copy(update={"name": self.name})}
        )

    @contextmanager
    def ports(self, **changes):
        environment = {**self.system.environment, **changes.pop("environment", {})}
        with backup_ports(self.settings, EnvironmentConnections(environment)) as ports:
            yield replace(ports, **changes)

    def take(self, holder="evening", *, full=False, buckets=(), ports=None, **options) -> Taken:
        with self.ports(**(ports or {})) as opened:
            return take_set(opened, self.settings, Request(holder, full=full, buckets=buckets), **options)

    def verify(self, ports=None, **options) -> Verified:
        with self.ports(**(ports or {})) as opened:
            return verify_newest(opened, self.settings, **options)

    def sets(self):
        with self.ports() as ports:
            return Repository(ports.store, BACKUPS, self.name).sets()

    def states(self) -> list[State]:
        return [one.state for one in self.sets()]

    def keys(self, set_id=""):
        prefix = f"{self.name}/{set_id}"
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BACKUPS, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def read(self, key) -> bytes:
        return self.client.get_object(Bucket=BACKUPS, Key=key)["Body"].read()

    def write(self, key, body) -> None:
        self.client.put_object(Bucket=BACKUPS, Key=key, Body=body)

    def open_uploads(self):
        with self.ports() as ports:
            return list(ports.store.open_uploads(BACKUPS, f"{self.name}/"))

    def sessions(self) -> int:
        """How many sessions of back-ups the source has."""
        with self.system.database() as connection:
            ours = "select count(*) from pg_stat_activity where application_name in ('tdev-backup', 'pg_dump')"
            return connection.execute(ours).fetchone()[0]

    @property
    def client(self):
        return self.system.objects.client()


def verdicts(results):
    return {result.check: result.verdict.value for result in results}


def summary(results, check):
    return next(result.summary for result in results if result.check == check)
