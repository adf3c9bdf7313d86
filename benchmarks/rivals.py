"""What people use today, as the commands that they type; `python -m benchmarks.rivals` measures each once.

The programs are those of the environment: `aws` and `rclone` beside this Python, `pg_dump` and `psql` of the server's
major version, `zstd` and `tar` of the machine.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import psycopg
from psycopg import sql

from benchmarks.backup_ground import Ground, ground
from benchmarks.measuring import Measured, measure

_LONGEST_SECONDS = 3_600
_SCRATCH_DATABASE = "restored"
_PYTHON_ZSTD = (
    "import sys, zstandard; zstandard.ZstdCompressor(level=1).copy_stream(sys.stdin.buffer, sys.stdout.buffer)"
)

# The maintenance guide's daily backup script, whole; only the folder and the names stand in variables.
_GUIDE = """
BACKUP_DIR="$FOLDER/backups/$(date +%Y%m%d)"
mkdir -p $BACKUP_DIR

# Database backup
pg_dump $DATABASE > $BACKUP_DIR/database.sql

# Agent code backup
aws s3 sync s3://$AGENTS $BACKUP_DIR/agents/

# Evolution checkpoints
aws s3 sync s3://$CHECKPOINTS $BACKUP_DIR/checkpoints/

# Compress backup
tar -czf $BACKUP_DIR.tar.gz $BACKUP_DIR

# Upload to backup storage
aws s3 cp $BACKUP_DIR.tar.gz s3://$BACKUPS/

# Verify backup
if aws s3 ls s3://$BACKUPS/$(basename $BACKUP_DIR.tar.gz); then
    echo "Backup successful"
else
    echo "Backup failed" >&2
    exit 1
fi
"""


def guide_script(on: Ground) -> Measured:
    """Run the guide's whole script: database, both buckets, one tar.gz, uploaded."""
    return _measured(on, _GUIDE)


# The guide's restore script, whole, but for the names; objects go below a prefix, so that nothing is there already.
_GUIDE_RESTORE = """
BACKUP_DATE=$(date +%Y%m%d)
aws s3 cp s3://$BACKUPS/$BACKUP_DATE.tar.gz $FOLDER/
tar -xzf $FOLDER/$BACKUP_DATE.tar.gz -C $FOLDER
FOUND=$(dirname $(find $FOLDER -name database.sql))
psql -q $RESTORED < $FOUND/database.sql
aws s3 sync $FOUND/agents/ s3://$BACKUPS/rivals/restored/agents/
aws s3 sync $FOUND/checkpoints/ s3://$BACKUPS/rivals/restored/checkpoints/
"""


def guide_restore(on: Ground) -> Measured:
    """Run the guide's restore script on the archive that its back-up script made today; it proves nothing."""
    return _into_scratch(on, _GUIDE_RESTORE)


def prepare_directory_dump(on: Ground, folder: Path) -> Path:
    """Write the dump that `pg_restore` reads, as stock `pg_dump -Fd` writes it; nobody measures that."""
    made = folder / "directory"
    _run(on, f'pg_dump -Fd -j2 -f "{made}" $DATABASE')
    return made


def pg_restore(on: Ground, dump: Path) -> Measured:
    """Restore it with two jobs from local disk and analyse; nothing is fetched and nothing proven."""
    return _into_scratch(on, f'pg_restore -j2 -d $RESTORED "{dump}"\npsql -X -q -c ANALYZE $RESTORED')


def dump_gzip(on: Ground) -> Measured:
    """Dump in custom format as people run it (gzip by pg_dump), piped into S3."""
    return _measured(on, "pg_dump -Fc $DATABASE | aws s3 cp - s3://$BACKUPS/rivals/gzip.dump")


def dump_zstd(on: Ground) -> Measured:
    """Dump in custom format without compression, piped through `zstd -1` into S3."""
    compress, note = "zstd -1 -c", "zstd of the machine"
    if shutil.which("zstd") is None:
        compress, note = f'{sys.executable} -c "{_PYTHON_ZSTD}"', "python zstandard, for there is no zstd"
    return _measured(on, f"pg_dump -Fc -Z0 $DATABASE | {compress} | aws s3 cp - s3://$BACKUPS/rivals/zstd.dump", note)


def dump_directory(on: Ground) -> Measured:
    """Dump in directory format with two jobs to local disk: no compression, no upload."""
    return _measured(on, 'pg_dump -Fd -j2 -Z0 -f "$FOLDER/directory" $DATABASE')


def aws_sync_first(on: Ground) -> Measured:
    """Copy both buckets by `aws s3 sync` below an empty prefix."""
    on.empty(on.backups, "rivals/aws/")
    return aws_sync_unchanged(on)


def aws_sync_unchanged(on: Ground) -> Measured:
    """Do the same again."""
    return _measured(
        on,
        "aws s3 sync --only-show-errors s3://$AGENTS s3://$BACKUPS/rivals/aws/agents\n"
        "aws s3 sync --only-show-errors s3://$CHECKPOINTS s3://$BACKUPS/rivals/aws/checkpoints",
    )


def rclone_sync_first(on: Ground) -> Measured:
    """Copy both buckets by `rclone sync --transfers 64` below an empty prefix."""
    on.empty(on.backups, "rivals/rclone/")
    return _rclone(on, "--transfers 64")


def rclone_sync_unchanged(on: Ground) -> Measured:
    """Do the same again, told to compare checksums (without that it copies everything again)."""
    return _rclone(on, "--transfers 64 --checksum")


def prepare_plain_dump(on: Ground, folder: Path) -> Path:
    """Write the plain dump that `psql_restore` reads; nobody measures that."""
    file = folder / "plain.sql"
    _run(on, f'pg_dump -f "{file}" $DATABASE')
    return file


def psql_restore(on: Ground, plain_dump: Path) -> Measured:
    """Restore a plain dump into an empty database of the scratch server, and prove nothing."""
    return _into_scratch(on, f'psql -X -q -v ON_ERROR_STOP=1 $RESTORED < "{plain_dump}"')


def _into_scratch(on: Ground, script: str) -> Measured:
    """Measure a script that fills the empty database $RESTORED of the scratch server."""
    with psycopg.connect(**on.scratch, autocommit=True) as connection:
        name = sql.Identifier(_SCRATCH_DATABASE)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(name))

    def work() -> None:
        _run(on, script, {**_libpq(on.scratch), "RESTORED": _SCRATCH_DATABASE})

    try:
        return measure(work, on.scratch_servers, on.folder)
    finally:
        _clear(on)


def _rclone(on: Ground, options: str) -> Measured:
    return _measured(
        on,
        f"rclone sync {options} store:$AGENTS store:$BACKUPS/rivals/rclone/agents\n"
        f"rclone sync {options} store:$CHECKPOINTS store:$BACKUPS/rivals/rclone/checkpoints",
    )


def _measured(on: Ground, script: str, note: str = "") -> Measured:
    def work() -> str:
        _run(on, script)
        return note

    try:
        return measure(work, on.servers, on.folder)
    finally:
        _clear(on)


def _clear(on: Ground) -> None:
    for left in on.folder.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def _run(on: Ground, script: str, libpq: Mapping[str, str] | None = None) -> None:
    # -e and pipefail, so that a rival that failed is not measured; the guide's own script has neither.
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        env={**_environment(on), **(libpq or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=_LONGEST_SECONDS,
    )
    if done.returncode != 0:
        raise RuntimeError(f"A rival failed with status {done.returncode}: {done.stderr[-2_000:]}")


def _libpq(conninfo: Mapping[str, object]) -> dict[str, str]:
    return {
        "PGHOST": str(conninfo["host"]),
        "PGPORT": str(conninfo["port"]),
        "PGUSER": str(conninfo["user"]),
        "PGPASSWORD": str(conninfo["password"]),
    }


def _environment(on: Ground) -> dict[str, str]:
    configuration = on.folder.parent / "aws-config"
    configuration.write_text("[default]\ns3 =\n  addressing_style = path\n", encoding="utf-8")
    agents, checkpoints = on.sources
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(on.binaries), os.environ["PATH"]]),
        "HOME": str(on.folder.parent),
        "LC_ALL": "C.UTF-8",
        **_libpq(on.database),
        "AWS_CONFIG_FILE": str(configuration),
        "AWS_ENDPOINT_URL_S3": on.endpoint_url,
        "AWS_ACCESS_KEY_ID": on.access_key,
        "AWS_SECRET_ACCESS_KEY": on.secret_key,
        "AWS_DEFAULT_REGION": on.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "RCLONE_CONFIG": "",
        "RCLONE_CONFIG_STORE_TYPE": "s3",
        "RCLONE_CONFIG_STORE_PROVIDER": "Other",
        "RCLONE_CONFIG_STORE_ENDPOINT": on.endpoint_url,
        "RCLONE_CONFIG_STORE_ACCESS_KEY_ID": on.access_key,
        "RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY": on.secret_key,
        "RCLONE_CONFIG_STORE_REGION": on.region,
        "FOLDER": str(on.folder),
        "DATABASE": str(on.database["dbname"]),
        "AGENTS": agents,
        "CHECKPOINTS": checkpoints,
        "BACKUPS": on.backups,
    }


RIVALS: Mapping[str, Callable[[Ground], Measured]] = {
    "the guide's script": guide_script,
    "pg_dump -Fc | aws s3 cp -": dump_gzip,
    "pg_dump -Fc -Z0 | zstd -1 | aws s3 cp -": dump_zstd,
    "pg_dump -Fd -j2 -Z0 to local disk": dump_directory,
    "aws s3 sync, first": aws_sync_first,
    "aws s3 sync, unchanged": aws_sync_unchanged,
    "rclone sync --transfers 64, first": rclone_sync_first,
    "rclone sync --checksum, unchanged": rclone_sync_unchanged,
}


def _print_all() -> None:
    print("| rival | s | CPU s client/server/store | peak local disk MB | note |\n|---|---|---|---|---|")
    with ground() as on:
        plain = prepare_plain_dump(on, on.folder.parent)
        everybody: dict[str, Callable[[Ground], Measured]] = {
            **RIVALS,
            "psql < plain.sql": partial(psql_restore, plain_dump=plain),
        }
        for name, run in everybody.items():
            done = run(on)
            disk = done.peak_disk_bytes / 1e6
            print(f"| {name} | {done.seconds:.2f} | {done.cpu} | {disk:,.0f} | {done.note} |", flush=True)


if __name__ == "__main__":
    _print_all()
