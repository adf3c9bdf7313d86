"""Packs: any key has a member name that tar can unpack anywhere, below the folder where it unpacks."""

import io
import subprocess
import tarfile
from datetime import UTC, datetime

import pytest

from tdev_operators.core.backup.buckets.packs import ODD_KEYS, Pack, Shadows, member_name
from tests.backup_sets import NINE_PM

ODD = [
    *("", "/", "/leading", "trailing/", "two//slashes", ".", "..", "a/../b", "a/./b", "./a", "../a", "/../a", "nul\0"),
    *("n" * 252, "ü" * 126, f"{ODD_KEYS}x", "lone \ud800"),
]
PLAIN = [
    "a",
    "a/b",
    "...",
    "..a/b",
    "a b",
    "n" * 251,
    "ü" * 125,
    "-rf",
    "--checkpoint=1",
    "tab\there",
    "line\nbreak",
    "😀",
]


@pytest.mark.parametrize("key", ODD)
def test_a_key_that_is_no_safe_file_name_stands_under_its_digest(key):
    name = member_name(key)
    assert name.startswith(ODD_KEYS)
    assert len(name) == len(ODD_KEYS) + 64
    assert len({member_name(other) for other in ODD}) == len(ODD)


@pytest.mark.parametrize("key", PLAIN)
def test_other_keys_stand_under_their_own_name(key):
    assert member_name(key) == key


@pytest.mark.parametrize("suffix", ["", ".age"])
def test_tar_unpacks_what_we_pack_and_offsets_are_right(tmp_path, suffix):
    pack = Pack(1 << 20)
    contents = {key: f"of {key!r}".encode() for key in (*ODD, *PLAIN)}
    contents.pop("a")  # "a/b" needs the folder
    offsets = {key: pack.add(key, body, modified=NINE_PM, suffix=suffix) for key, body in contents.items()}
    _, whole = pack.close()
    assert all(whole[offset : offset + len(contents[key])] == contents[key] for key, offset in offsets.items())
    subprocess.run(["tar", "xf", "-"], input=whole, check=True, cwd=tmp_path)
    files = {str(path.relative_to(tmp_path)): path for path in tmp_path.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in files.items()} == {
        member_name(key) + suffix: body for key, body in contents.items()
    }
    assert datetime.fromtimestamp(files[f"a/b{suffix}"].stat().st_mtime, UTC) == NINE_PM
    with tarfile.open(fileobj=io.BytesIO(whole)) as unpacked:
        comments = {member.name: member.pax_headers.get("comment") for member in unpacked}
    assert comments[member_name("a/../b") + suffix] == "a/../b"


def test_the_same_members_are_the_same_bytes():
    def made():
        pack = Pack(1 << 20)
        pack.add("a", b"1", modified=NINE_PM)
        pack.add("b", b"2", modified=NINE_PM)
        return pack.close()

    assert made() == made()


def test_times_that_tar_cannot_say_are_bent():
    pack = Pack(1 << 20)
    for year in (1, 1960, 9999):
        pack.add(str(year), b"x", modified=datetime(year, 6, 1, tzinfo=UTC))
    with tarfile.open(fileobj=io.BytesIO(pack.close()[1])) as unpacked:
        members = unpacked.getmembers()
    assert [member.mtime for member in members][:2] == [0, 0]
    assert members[2].mtime == 8**11 - 1


def test_a_member_that_is_larger_than_the_limit_has_a_pack_of_its_own():
    pack = Pack(4096)
    assert pack.fits(1 << 20)
    pack.add("a", b"x", modified=NINE_PM)
    assert not pack.fits(4096)


@pytest.mark.parametrize(
    ("keys", "suffix", "shadowed"),
    [
        (["a", "a-b", "a/b", "a/b/c", "ab/c", "b"], "", ["a/b", "a/b/c"]),
        (["a/b", "a/c", "a0"], "", []),
        (["a", "a/b"], ".age", []),
        (["a", "a.age", "a.age/b", "a/b"], ".age", ["a.age/b"]),
        (["x", "x/", "x//y"], "", ["x/", "x//y"]),
    ],
)
def test_a_folder_that_is_a_file_as_well_is_seen(keys, suffix, shadowed):
    shadows = Shadows(suffix)
    assert keys == sorted(keys)
    assert [key for key in keys if shadows.over(key)] == shadowed
