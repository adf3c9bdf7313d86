"""Globals by the real pg_dumpall."""

import io
import secrets

import psycopg
import pytest
import zstandard

from tdev_operators.core.backup.cipher import Plain
from tdev_operators.core.backup.database.globals import dump_globals
from tdev_operators.core.errors import BusyError, GarbledAnswerError, TargetTimeoutError


def _text(store, bucket, stored):
    body = b"".join(store.read(bucket, f"sys/set/{stored.key}"))
    assert len(body) == stored.size_bytes
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body)).read().decode()


@pytest.fixture
def role(cluster):
    name = f"globals_{secrets.token_hex(4)}"
    cluster.create_role(name)
    yield name
    with cluster.connect() as connection:
        connection.execute(f"DROP ROLE {name}")


def test_roles_are_stored_without_password_hashes_unless_asked(
    cluster, role, database, store, bucket, settings, helpers
):
    source = helpers.source_of(database)
    stored = dump_globals(source, store, bucket, "sys/set/", settings, Plain(), major=18)
    text = _text(store, bucket, stored)
    assert f"CREATE ROLE {role}" in text
    assert "SCRAM" not in text
    asked = settings.model_copy(update={"role_passwords": True})
    assert "SCRAM" in _text(store, bucket, dump_globals(source, store, bucket, "sys/set/", asked, Plain(), major=18))


def test_a_database_with_an_odd_name_serves(cluster, store, bucket, settings, helpers):
    name = "o'dd= na\\me"
    with cluster.connect() as connection:
        connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
    try:
        source = helpers.source_of(cluster.conninfo(name))
        stored = dump_globals(source, store, bucket, "sys/set/", settings, Plain(), major=18)
        assert "CREATE ROLE" in _text(store, bucket, stored)
    finally:
        cluster.drop_database(name)


def _fake(tmp_path, script):
    program = tmp_path / "pg_dumpall"
    program.write_text(
        f"#!/bin/sh\n[ \"$1\" = --version ] && {{ echo 'pg_dumpall (PostgreSQL) 18.4'; exit; }}\n{script}\n"
    )
    program.chmod(0o755)
    return {"client_tools": str(tmp_path)}


def test_output_without_its_trailer_is_refused_and_nothing_stored(tmp_path, database, store, bucket, settings, helpers):
    fake = settings.model_copy(update=_fake(tmp_path, "echo 'CREATE ROLE x;'"))
    with pytest.raises(GarbledAnswerError, match="in the middle"):
        dump_globals(helpers.source_of(database), store, bucket, "sys/set/", fake, Plain(), major=18)
    assert list(store.list(bucket)) == []


def test_a_hanging_program_and_a_lost_lease_end_it(tmp_path, database, store, bucket, settings, helpers):
    fake = settings.model_copy(update=_fake(tmp_path, "sleep 600"))
    source = helpers.source_of(database)
    with pytest.raises(TargetTimeoutError, match=r"did not end within 0\.5 s"):
        dump_globals(source, store, bucket, "sys/set/", fake, Plain(), major=18, timeout_seconds=0.5)

    def lost():
        raise BusyError("the lease is lost")

    with pytest.raises(BusyError):
        dump_globals(source, store, bucket, "sys/set/", fake, Plain(), major=18, check=lost)
    assert list(store.list(bucket)) == []
