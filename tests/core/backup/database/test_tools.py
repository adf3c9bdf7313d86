"""PostgreSQL's programs: the right major version or none."""

import pytest

from tdev_operators.core.backup.database.tools import tool, version_of
from tdev_operators.core.errors import SetupMissingError


@pytest.mark.parametrize("major", [16, 18])
@pytest.mark.parametrize("name", ["pg_dump", "pg_restore", "pg_dumpall", "initdb", "postgres"])
def test_embedded_programs_are_of_the_version_that_was_asked_for(name, major):
    assert version_of(tool(name, major, "embedded")).split(".")[0] == str(major)


def test_a_version_that_the_wheel_lacks_names_the_package():
    with pytest.raises(SetupMissingError, match=r"apt-get install postgresql-client-17 and set client_tools"):
        tool("pg_dump", 17, "embedded")
    with pytest.raises(SetupMissingError, match=r"apt-get install postgresql-17 "):
        tool("initdb", 17, "embedded")


def test_a_folder_is_filled_in_and_a_missing_program_named(tmp_path):
    (tmp_path / "18").mkdir()
    (tmp_path / "18" / "pg_dump").symlink_to(tool("pg_dump", 18, "embedded"))
    pattern = f"{tmp_path}/{{major}}"
    assert tool("pg_dump", 18, pattern) == tmp_path / "18" / "pg_dump"
    with pytest.raises(SetupMissingError, match=r"There is no pg_restore for PostgreSQL 18 at .*postgresql-client-18"):
        tool("pg_restore", 18, pattern)


def test_another_major_version_than_the_folder_says_is_refused(tmp_path):
    (tmp_path / "18").mkdir()
    (tmp_path / "18" / "pg_dump").symlink_to(tool("pg_dump", 16, "embedded"))
    with pytest.raises(SetupMissingError, match=r"of version 16\.\d+ and the server is PostgreSQL 18.*client-18"):
        tool("pg_dump", 18, f"{tmp_path}/{{major}}")


@pytest.mark.parametrize(
    ("answer", "version"),
    [("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "15.18"), ("pg_dump (PostgreSQL) 19beta1", "19beta1")],
)
def test_versions_of_packages_and_betas_are_read(tmp_path, answer, version):
    program = tmp_path / "pg_dump"
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o755)
    assert version_of(program) == version
    assert tool("pg_dump", int(version[:2]), str(tmp_path)) == program


@pytest.mark.parametrize("script", ["echo something else", "echo 'pg_dump (PostgreSQL) 18.1'; exit 1"])
def test_what_tells_no_version_is_refused(tmp_path, script):
    program = tmp_path / "pg_dump"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    with pytest.raises(SetupMissingError, match="does not tell its version"):
        tool("pg_dump", 18, str(tmp_path))
