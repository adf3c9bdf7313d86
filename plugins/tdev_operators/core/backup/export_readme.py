"""README.txt of an exported set: what the archive holds, and the commands that bring it back without this package."""

import json
import shlex
from collections.abc import Iterable, Iterator

from tdev_operators.core.backup.buckets.packs import ODD_KEYS
from tdev_operators.core.backup.manifest import DatabaseDump, Manifest, State
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.reporting.wording import counted, moment


def readme(
    manifest: Manifest, state: State, odd_keys: Iterable[tuple[str, str]], *, unverified_objects: int
) -> Iterator[bytes]:
    """Yield the text in pieces. `odd_keys` are pairs of a name in the archive and the key that it stands for."""
    yield _beginning(manifest, state).encode()
    for dump in manifest.databases:
        yield _database(dump).encode()
    yield _buckets(manifest, unverified_objects).encode()
    begun = False
    for name, key in odd_keys:
        if not begun:
            yield _ODD.encode()
        begun = True
        yield f"{name}\t{json.dumps(key)}\n".encode()


def _beginning(manifest: Manifest, state: State) -> str:
    warning = (
        ""
        if state is State.PROVEN
        else "\nATTENTION: nobody has restored this set yet. It was exported all the same, as was asked for.\n"
    )
    return f"""\
Back-up set {manifest.set_id} of the system {one_line(manifest.system)}
State when it was exported: {state}
Recovery point of the database: {moment(manifest.recovery_point)}
Written by tdev-maintenance {one_line(manifest.product_version)}
{warning}
This archive is not encrypted, whatever the set was. It may hold password hashes of roles; keep it as you keep those.

manifest.json         what the set says of itself
globals.sql           roles, memberships and tablespaces of the maintained server
database/NAME/        a folder in pg_dump's directory format; its data files are compressed by zstd
database/NAME.proof.json.zst  counts and digests of the tables at the moment of the back-up
buckets/NAME/         the objects of a bucket, each a file of its key's name, with its time of modification


DATABASES

First the roles, once for each server; complaints about roles that exist already are harmless:

  psql --dbname=postgres --file=globals.sql
"""


def _database(dump: DatabaseDump) -> str:
    name = shlex.quote(dump.name)
    folder = shlex.quote(f"database/{dump.name}")
    major = dump.major
    roles = f"Its server's roles are in globals-{one_line(dump.name)}.sql.\n" if dump.globals is not None else ""
    return f"""
{one_line(dump.name)} ({dump.role}; PostgreSQL {major}; {counted(dump.tables, "table")}, {dump.rows:,} rows)
{roles}
Restore into a server of version {max(major, 16)} or later, by the pg_restore of that server's version. When that knows
zstd (PGDG's and Debian's do):

  createdb --template=template0 {name}
  pg_restore --jobs=4 --dbname={name} {folder}

When it does not ("not built with zstd support"), first:

  find {folder} -name '*.zst' -exec zstd -d --rm -q {{}} +

`pg_restore --create --dbname=postgres {folder}` makes the database with its own encoding, locale and settings.
"""


def _buckets(manifest: Manifest, unverified_objects: int) -> str:
    lines = ["\n\nBUCKETS\n"]
    for snapshot in manifest.buckets:
        folder, target = shlex.quote(f"buckets/{snapshot.name}/"), shlex.quote(f"s3://{snapshot.bucket}/")
        objects = f"{one_line(snapshot.name)}: {counted(snapshot.objects, 'object')}, {snapshot.bytes:,} bytes"
        lines.append(f"{objects}\n\n  aws s3 sync {folder} {target} --exclude '{ODD_KEYS}*'\n")
    lines.append("Content types and user metadata of objects are not in this archive.")
    if unverified_objects:
        lines.append(
            f"Of {counted(unverified_objects, 'object')} no checksum was known when this was exported: only their size "
            "was compared."
        )
    return "\n".join(lines) + "\n"


_ODD = f"""

ODD KEYS

These keys are no names that a file can safely have, or another object has one of their folders as its name. They
stand below {ODD_KEYS} here. Each line has the name in this archive, a tab, and the key as a JSON string. One by one:

  aws s3api put-object --bucket BUCKET --key KEY --body NAME

"""
