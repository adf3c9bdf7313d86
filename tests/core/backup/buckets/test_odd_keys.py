"""Every legal key, on a server that takes them all."""

import secrets

import pytest

from sandbox.aws import ControlPlanes
from sandbox.web_hooks import WebHooks
from tdev_operators.core.backup.buckets.packs import member_name
from tests.backup_sets import open_store
from tests.core.backup.buckets.worlds import KIB, World

KEYS = [
    *("with blank", "plus+and%20", "question?hash#", "quote'\"<&>", "back\\slash", " leading and trailing ", "-rf"),
    *("/leading", "trailing/", "two//slashes", "..", ".", "a/../b", "a/./b", "tab\there", "\x7f", "//"),
    *("Case", "case", "CASE", "caf\u00e9", "cafe\u0301", "日本/😀", "\uffff", "😀"),
    *("file", "file/below", "file/below/deeper", "file-beside", "file.age", "file.age/x"),
    *("k" * 1024, "é" * 512, "/".join(["p" * 100] * 10)),
]


@pytest.fixture(scope="module")
def moto(supervisor):
    hooks = WebHooks(supervisor, "odd-keys-hooks").start()
    planes = ControlPlanes(supervisor, subscriber=hooks.sns_url, name="odd-keys-moto").start()
    yield planes
    planes.stop()
    hooks.stop()


@pytest.fixture
def world(moto):
    with open_store(moto.endpoint_url, "test", "test") as store:
        names = [f"odd-{secrets.token_hex(6)}" for _ in range(2)]
        for name in names:
            store._requests.client.create_bucket(Bucket=name)
        yield World(store, *names)


@pytest.mark.seeded
@pytest.mark.parametrize("size", [10, 9 * KIB], ids=["packed", "copied"])
def test_every_key_comes_back(world, size, tmp_path):
    contents = {key: key.encode().ljust(size, b".") for key in KEYS}
    world.put(contents)
    report = world.take()
    assert report.objects == report.packed + report.copied == len(KEYS)
    assert [entry.key for entry in world.entries()] == sorted(KEYS, key=str.encode)
    assert world.contents() == contents
    assert world.verify()["copies"] == report.copied
    assert world.sample().differences == ()
    if report.packed:
        files = world.extracted(tmp_path)
        shadowed = {"file/below", "file/below/deeper", "file.age/x"}
        assert files == {member_name(key, shadowed=key in shadowed): body for key, body in contents.items()}
    report = world.take()
    assert (report.unchanged, report.mismatches) == (len(KEYS), 0)
