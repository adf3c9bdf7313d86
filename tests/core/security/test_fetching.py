"""Targets from a tar in the store and from git: as data, bounded, and with their revision."""

import gzip
import io
import os
import subprocess
import tarfile

import pytest

from tdev_operators.core.errors import CommandFailedError, GarbledAnswerError, InputError
from tdev_operators.core.security.fetching import Sources, fetch
from tdev_operators.core.security.settings import ScanTarget
from tdev_operators.hooks.hosts.local import LocalHost
from tests.backup_sets import open_store


@pytest.fixture
def store(s3_server):
    with open_store(s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key) as store:
        yield store


@pytest.fixture
def get(store, bucket, tmp_path):
    hosts = {"here": LocalHost("here")}

    def get(body=None, *, target_mb=10, **wanted):
        if body is not None:
            store.put(bucket, "target.tar", body)
            wanted |= {"archive": f"s3://{bucket}/target.tar"}
        root = tmp_path / f"root-{len(list(tmp_path.glob('root-*')))}"
        root.mkdir()
        target = ScanTarget(**{"name": "shop", "kind": "source", **wanted})
        return fetch(target, root, Sources(store, hosts), timeout_seconds=30, target_mb=target_mb)

    return get


def tar(*members, mode="w:gz"):
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode=mode) as made:
        for name, body in members:
            info = tarfile.TarInfo(name)
            if isinstance(body, bytes):
                info.size = len(body)
                made.addfile(info, io.BytesIO(body))
            else:
                info.type, info.linkname = body
                made.addfile(info)
    return into.getvalue()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_tree_comes_out_of_its_archive(get, mode):
    target = get(tar(("app/main.py", b"x = 1\n"), mode=mode))
    assert (target.path / "app" / "main.py").read_text() == "x = 1\n"
    assert target.revision.startswith("sha256:")


def test_what_points_out_of_the_folder_is_refused_and_links_are_not_made(get):
    with pytest.raises(GarbledAnswerError, match="cannot be unpacked"):
        get(tar(("../evil.py", b"x")))
    target = get(tar(("link", (tarfile.SYMTYPE, "/etc/passwd")), ("pipe", (tarfile.FIFOTYPE, "")), ("a.py", b"")))
    assert [path.name for path in target.path.iterdir()] == ["a.py"]
    assert target.skipped == {"pipe": "it is no file", "link": "it is a link to what is not in the tree"}


def test_a_link_within_the_tree_becomes_what_it_points_to(get):
    target = get(
        tar(
            ("r/prod.txt", b"flask==1.0\n"),
            ("requirements.txt", (tarfile.SYMTYPE, "r/prod.txt")),
            ("app/evil.py", (tarfile.LNKTYPE, "r/prod.txt")),
            ("all", (tarfile.SYMTYPE, "r")),
        )
    )
    for name in ("requirements.txt", "app/evil.py"):
        assert (target.path / name).read_bytes() == b"flask==1.0\n"
        assert not (target.path / name).is_symlink()
    assert target.skipped == {}


WHOLE = tar(*((name, b"x" * 700) for name in ("a.py", "b.py", "c.py", "d.py")), mode="w")


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    "cut",
    [
        WHOLE[: 3 * 1536],
        WHOLE[: 3 * 1536 + 100],
        WHOLE[:1000],
        WHOLE[: 4 * 1536 + 512],
        WHOLE[: 2 * 1536] + b"\xff" * 512 + WHOLE[2 * 1536 + 512 :],
        WHOLE + b"more",
    ],
)
def test_an_archive_that_is_cut_or_damaged_anywhere_is_not_taken_for_a_small_tree(get, cut, zipped):
    with pytest.raises(GarbledAnswerError, match="cannot be unpacked"):
        get(gzip.compress(cut) if zipped else cut)


def test_a_zipped_archive_that_is_cut_is_not_taken_for_a_small_tree(get):
    whole = tar(*((f"{n}.py", os.urandom(700)) for n in range(50)))
    for at in (len(whole) - 1, len(whole) // 2, 30):
        with pytest.raises(GarbledAnswerError):
            get(whole[:at])


def test_what_would_break_the_unpacking_is_refused(get):
    with pytest.raises(InputError, match="folders more than 64 deep"):
        get(tar(("d/" * 1200 + "a.py", b"")))
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w", format=tarfile.PAX_FORMAT) as made:
        info = tarfile.TarInfo("a.py")
        info.pax_headers = {"mtime": "1e30"}
        made.addfile(info, io.BytesIO())
    with pytest.raises(GarbledAnswerError):
        get(into.getvalue())
    with pytest.raises(GarbledAnswerError):
        get(tar(("x" * 3_000_000, b"")))


def test_history_in_an_archive_is_left_out_and_a_tree_without_a_file_refused(get):
    target = get(tar((".git/config", b"x"), ("x/.git/hidden.py", b"x"), ("a.py", b"x")))
    assert [path.name for path in target.path.rglob("*") if path.is_file()] == ["a.py"]
    with pytest.raises(InputError, match="shop has no file in it"):
        get(tar((".git/config", b"x"), ("empty", (tarfile.DIRTYPE, ""))))


@pytest.mark.parametrize("body", [b"", b"no tar at all" * 200, tar(("a.py", b"x" * 10_000), mode="w")[:600]])
def test_a_broken_archive_is_not_taken_for_an_empty_tree(get, body):
    with pytest.raises(GarbledAnswerError):
        get(body)


def test_a_bomb_is_refused(get):
    with pytest.raises(InputError, match=r"unpacks to more than security\.target_mb"):
        get(tar(("zeros", bytes(3_000_000))), target_mb=1)
    with pytest.raises(InputError, match=r"more than security\.target_mb"):
        get(tar(("zeros", bytes(3_000_000)), mode="w"), target_mb=1)


def test_an_image_is_kept_as_it_is(get):
    target = get(b"a tar", kind="image")
    assert (target.path / "image.tar").read_bytes() == b"a tar"


def test_an_archive_that_is_not_there_says_so(get):
    with pytest.raises(InputError):
        get(archive="s3://no-such-bucket-here/none.tar")


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"

    def git(*argv):
        argv = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.invalid", *argv]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    folder.mkdir()
    git("init", "--quiet", "--initial-branch", "main")
    (folder / "main.py").write_text("x = 1\n")
    (folder / "link").symlink_to("/etc/passwd")
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    git("tag", "v1")
    (folder / "main.py").write_text("x = 2\n")
    git("commit", "--quiet", "-am", "second")
    return folder, git


def test_a_revision_comes_out_of_git_without_history_and_links(get, repository):
    folder, git = repository
    for ref, text in (("HEAD", "x = 2\n"), ("main", "x = 2\n"), ("v1", "x = 1\n")):
        target = get(git=f"file://{folder}", ref=ref)
        assert (target.path / "main.py").read_text() == text
        assert target.revision == git("rev-parse", f"{ref}^{{commit}}")
        assert not (target.path / ".git").exists()
        assert not (target.path / "link").exists()
        assert target.skipped == {"link": "it is a link to what is not in the tree"}


def test_links_submodules_and_large_files_of_a_repository(get, repository, tmp_path):
    folder, git = repository
    (folder / "same").symlink_to("main.py")
    (folder / "big.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    git("add", ".")
    git("update-index", "--add", "--cacheinfo", f"160000,{git('rev-parse', 'HEAD')},module")
    git("commit", "--quiet", "-m", "third")
    target = get(git=f"file://{folder}")
    assert (target.path / "same").read_text() == "x = 2\n"
    assert set(target.skipped) == {"link", "module", "big.bin"}


@pytest.mark.parametrize("ref", ["no-such-branch", "0" * 40])
def test_a_revision_that_is_not_there_says_so(get, repository, ref):
    with pytest.raises(CommandFailedError, match="git fetch of shop ended badly"):
        get(git=f"file://{repository[0]}", ref=ref)


def test_no_odd_transport_is_opened(get, tmp_path):
    with pytest.raises(CommandFailedError, match="not allowed"):
        get(git=f"ext::touch {tmp_path}/owned")
    assert not (tmp_path / "owned").exists()


def test_a_revision_that_is_too_large_is_not_fetched_to_its_end(get, repository, tmp_path):
    folder, git = repository
    (folder / "big.bin").write_bytes(os.urandom(3_000_000))
    git("add", ".")
    git("commit", "--quiet", "-m", "big")
    assert get(git=f"file://{folder}", target_mb=10).revision == git("rev-parse", "HEAD")
    with pytest.raises(InputError, match=r"shop has more than security\.target_mb \(1 MB\); raise that\."):
        get(git=f"file://{folder}", target_mb=1)
    unfinished = tmp_path / "root-1"
    assert sum(path.stat().st_size for path in unfinished.rglob("*") if path.is_file()) < 1_100_000


@pytest.fixture
def tree(tmp_path):
    tree = tmp_path / "app" / "src"
    (tree / "inner").mkdir(parents=True)
    (tree / "main.py").write_text("x = 1\n")
    (tree / "inner" / "more.py").write_text("y = 2\n")
    (tree / ".git").mkdir()
    (tree / ".git" / "config").write_text("[core]")
    (tree / "link.py").symlink_to("main.py")
    (tree / "passwd").symlink_to("/etc/passwd")
    return tree


def test_a_folder_of_a_host_is_streamed_and_known_by_its_content(get, tree):
    target = get(host="here", folder=str(tree))
    assert sorted(str(path.relative_to(target.path)) for path in target.path.rglob("*") if path.is_file()) == [
        "inner/more.py",
        "link.py",
        "main.py",
    ]
    assert target.skipped == {"passwd": "it is a link to what is not in the tree"}
    os.utime(tree / "main.py", (1, 1))
    assert get(host="here", folder=str(tree)).revision == target.revision
    (tree / "main.py").write_text("x = 2\n")
    assert get(host="here", folder=str(tree)).revision != target.revision


def test_a_folder_of_a_host_that_is_missing_empty_or_too_large_is_no_target(get, tree, tmp_path):
    with pytest.raises(CommandFailedError, match="The command tar ended with status 2"):
        get(host="here", folder=str(tree / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no file in it"):
        get(host="here", folder=str(tmp_path / "empty"))
    (tree / "big").write_bytes(bytes(3_000_000))
    with pytest.raises(InputError, match=r"more than security\.target_mb"):
        get(host="here", folder=str(tree), target_mb=1)
    with pytest.raises(InputError, match="no way to reach host elsewhere"):
        get(host="elsewhere", folder="/app")
