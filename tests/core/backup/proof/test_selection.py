"""Parts of a dump: some tables' rows, and the roles that are missing."""

import pytest

from tdev_operators.core.backup.proof.selection import selected, without_roles
from tdev_operators.core.errors import InputError

LISTING = """\
;
; Archive created at 2026-11-25 21:00:00 UTC
;
215; 1259 16385 TABLE public agents t_developer
3406; 0 16385 TABLE DATA public agents t_developer
3407; 0 16390 TABLE DATA public agents_old t_developer
3408; 0 16395 TABLE DATA odd name two  words t_developer
3409; 0 0 MATERIALIZED VIEW DATA public summary t_developer
3410; 2613 16592 BLOB METADATA - 16592 t_developer
3411; 0 0 BLOBS - 16592 t_developer
3412; 0 0 ACL - LARGE OBJECT 16592 t_developer
3260; 2606 16400 CONSTRAINT public agents agents_pkey t_developer
3261; 2606 16401 FK CONSTRAINT public agents_old agents_old_fkey t_developer
3500; 0 0 SEQUENCE SET public metrics_id_seq t_developer
"""
GLOBALS = '''\
CREATE ROLE kept;
ALTER ROLE kept WITH NOSUPERUSER INHERIT;
ALTER ROLE kept SET work_mem TO '1MB';
COMMENT ON ROLE kept IS 'it''s a role
CREATE ROLE of_a_comment;
of ours';
CREATE ROLE "odd ""role""";
ALTER ROLE "odd ""role""" WITH LOGIN;
CREATE ROLE missing;
GRANT missing TO kept WITH INHERIT TRUE GRANTED BY postgres;
GRANT kept TO missing WITH INHERIT TRUE GRANTED BY postgres;
GRANT "odd ""role""" TO "odd ""role""" GRANTED BY postgres;
'''
_MEMBER = "GRANT kept TO missing WITH INHERIT TRUE GRANTED BY postgres;\n"


def test_only_the_rows_of_the_tables_and_everybodys_definitions_stay():
    chosen = selected(LISTING, {("public", "agents"), ("odd name", "two  words")})
    assert [line.partition("; ")[0] for line in chosen.listing.splitlines()] == ["215", "3406", "3408", "3260", "3500"]
    assert chosen.files == {"3406.dat", "3408.dat"}


def test_a_table_without_rows_in_the_dump_is_named():
    with pytest.raises(InputError, match="no rows of public nothing"):
        selected(LISTING, {("public", "nothing"), ("public", "agents")})


@pytest.mark.parametrize(
    ("kept", "left"),
    [
        ((), GLOBALS),
        (
            ("kept", 'odd "role"'),
            f"CREATE ROLE missing;\n{_MEMBER}",
        ),
        (("missing",), GLOBALS.replace("CREATE ROLE missing;\n", "").replace(_MEMBER, "")),
    ],
    ids=["none", "two", "another"],
)
def test_what_globals_say_of_roles_that_exist_is_left_out(kept, left):
    assert "".join(without_roles(GLOBALS.splitlines(keepends=True), kept)) == left
