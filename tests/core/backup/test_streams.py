"""Compression and encryption as streams: round trips, damage, wrong keys, and readers that lose interest."""

import itertools
import threading
import time

import pyrage
import pytest

from tdev_operators.core.backup.cipher import Age, Plain, cipher_of
from tdev_operators.core.backup.streams import Digest, compressed, decompressed
from tdev_operators.core.errors import AccessDeniedError, GarbledAnswerError, InputError, SettingsError

CHUNKS = [b"", b"one", b"two" * 100_000, b"\x00" * 1_000_000, b"end"]


@pytest.fixture
def identity():
    return pyrage.x25519.Identity.generate()


def test_zstd_comes_back_also_from_several_frames():
    frame = b"".join(compressed(CHUNKS, 1))
    assert b"".join(decompressed([frame])) == b"".join(CHUNKS)
    pieces = [bytes([byte]) for byte in frame[:50]] + [frame[50:] + frame]
    assert b"".join(decompressed(pieces)) == b"".join(CHUNKS) * 2
    assert list(decompressed([])) == []


@pytest.mark.parametrize("damage", [lambda f: f[:-3], lambda f: f[:40] + bytes([f[40] ^ 1]) + f[41:], lambda _: b"PK"])
def test_damaged_zstd_is_never_taken_for_whole(damage):
    frame = b"".join(compressed([bytes(range(256)) * 1000], 3))
    with pytest.raises(GarbledAnswerError):
        list(decompressed([damage(frame)]))


def test_age_comes_back_and_hides_the_content(identity):
    cipher = cipher_of([str(identity.to_public())], f"# made for a test\n{identity}\n")
    sealed = list(cipher.seal(CHUNKS))
    assert b"two" * 4 not in b"".join(sealed)
    assert b"".join(cipher.open(sealed)) == b"".join(CHUNKS)
    assert cipher.suffix == ".age"
    assert isinstance(cipher_of([]), Plain)
    assert str(identity) not in repr(cipher)


def test_age_refuses_other_keys_damage_and_none(identity):
    recipient = str(identity.to_public())
    sealed = b"".join(Age([recipient]).seal([b"x" * 200_000]))
    stranger = Age(identities=str(pyrage.x25519.Identity.generate()))
    with pytest.raises(AccessDeniedError, match="cannot be decrypted"):
        list(stranger.open([sealed]))
    with pytest.raises(AccessDeniedError, match="no age identity"):
        list(Age([recipient]).open([sealed]))
    ours = Age(identities=str(identity))
    for broken in (sealed[:-10], sealed[:100_000] + b"!" + sealed[100_001:]):
        with pytest.raises(AccessDeniedError):
            list(ours.open([broken]))


def test_keys_that_are_none_are_refused_without_quoting_them(identity):
    with pytest.raises(SettingsError, match=r"backup\.age_recipients"):
        Age(["age1nonsense"])
    with pytest.raises(InputError) as refused:
        Age(identities=str(identity)[:-1])
    assert str(identity)[:-1] not in str(refused.value)


def test_a_source_that_fails_fails_the_stream_and_a_reader_that_stops_ends_the_thread(identity):
    cipher = Age([str(identity.to_public())])

    def breaking():
        yield b"x" * 100_000
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(cipher.seal(breaking()))
    stream = cipher.seal(itertools.repeat(b"x" * 65_536))
    next(stream)
    stream.close()
    deadline = time.monotonic() + 5
    while any(thread.name == "tdev-age" for thread in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [thread for thread in threading.enumerate() if thread.name == "tdev-age"]


def test_a_digest_lets_everything_pass():
    digest = Digest()
    assert list(digest.of(CHUNKS)) == CHUNKS
    assert digest.size_bytes == len(b"".join(CHUNKS))
    assert len(digest.sha256) == 64
