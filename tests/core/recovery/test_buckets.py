"""A bucket is restored from its snapshot: what is missing or changed, and nothing else unless it was asked for."""

import itertools
import os

import pytest

from tdev_operators.core.backup.buckets.stored import Place
from tdev_operators.core.errors import InputError
from tdev_operators.core.recovery.buckets import Difference, Target, plan_bucket, restore_bucket

_NUMBERS = itertools.count(1)
LARGE = "large one/ä.bin"


@pytest.fixture
def bucket(day):
    """The live agents as they were when the set was taken, in a bucket of this test's own."""
    client, name = day.house.client, f"live-{next(_NUMBERS)}"
    client.create_bucket(Bucket=name)
    return name


@pytest.fixture
def agents(day, bucket):
    """Plan or carry out a restore of the agents into that bucket."""

    def go(work, name="agents", **asked):
        (found,) = [one for one in day.house.sets() if one.manifest]
        with day.ports() as ports:
            place = Place(day.settings.buckets.backups, f"{day.house.name}/")
            return work(ports, place, found.manifest, name, Target(bucket, **asked))

    return go


def keys(day, bucket, prefix=""):
    pages = day.house.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {entry["Key"]: entry["ETag"] for page in pages for entry in page.get("Contents", [])}


def test_an_empty_bucket_gets_everything_and_then_nothing(day, bucket, agents):
    source = day.settings.buckets.agents
    plan = agents(plan_bucket)
    assert plan.to_write == plan.counts[Difference.MISSING] == len(keys(day, source))
    done = agents(restore_bucket)
    assert (done.written, done.damaged) == (plan.to_write, [])
    assert done.written_bytes == plan.bytes_to_write
    assert keys(day, bucket) == keys(day, source)
    again = agents(plan_bucket)
    assert (again.to_write, again.same) == (0, done.written)
    assert agents(restore_bucket).written == 0


def test_large_objects_come_back_too(day, bucket, agents):
    done = agents(restore_bucket, "checkpoints")
    assert done.written > 0
    assert keys(day, bucket) == keys(day, day.settings.buckets.checkpoints)


@pytest.mark.faults
def test_newer_and_surplus_stay_unless_asked(day, bucket, agents):
    agents(restore_bucket)
    client, (first, second, *_) = day.house.client, keys(day, bucket)
    client.put_object(Bucket=bucket, Key=first, Body=b"newer")
    client.put_object(Bucket=bucket, Key="surplus/x", Body=b"mine")
    client.delete_object(Bucket=bucket, Key=second)
    plan = agents(plan_bucket)
    assert (plan.counts[Difference.NEWER], plan.counts[Difference.SURPLUS], plan.to_write) == (1, 1, 1)
    assert "1 newer: kept" in plan.to_text()
    done = agents(restore_bucket)
    assert (done.written, done.removed, done.kept) == (1, 0, 2)
    assert {first, second, "surplus/x"} <= keys(day, bucket).keys()

    plan = agents(plan_bucket, overwrite_newer=True, remove_surplus=True)
    assert (plan.to_write, plan.to_remove) == (1, 1)
    assert "1 surplus: removed ('surplus/x')" in plan.to_text()
    done = agents(restore_bucket, overwrite_newer=True, remove_surplus=True)
    assert (done.written, done.removed, done.kept) == (1, 1, 0)
    assert keys(day, bucket) == keys(day, day.settings.buckets.agents)


def test_a_scratch_prefix_leaves_its_neighbours_alone(day, bucket, agents):
    day.house.client.put_object(Bucket=bucket, Key="there/0", Body=b"neighbour")
    done = agents(restore_bucket, prefix="there/")
    assert done.written
    assert done.kept == 1
    assert {key.removeprefix("there/") for key in keys(day, bucket, "there/")} == {
        "0",
        *keys(day, day.settings.buckets.agents),
    }


def test_damaged_bytes_are_left_out_and_named(day, bucket, agents):
    pack = next(key for key in list(day.house.keys()) if "/agents/packs/" in key)
    whole = day.house.read(pack)
    place = whole.index(b"def ")
    day.house.write(pack, whole[:place] + b"fed " + whole[place + 4 :])
    try:
        done = agents(restore_bucket)
    finally:
        day.house.write(pack, whole)
    assert len(done.damaged) == 1
    assert "are not those that were written" in done.damaged[0]
    assert done.written == len(keys(day, day.settings.buckets.agents)) - 1 == len(keys(day, bucket))


def test_a_bucket_that_is_gone_and_a_snapshot_that_never_was_are_refused(day, agents, bucket):
    day.house.client.delete_bucket(Bucket=bucket)
    with pytest.raises(InputError, match=bucket):
        agents(plan_bucket)
    with pytest.raises(InputError, match="has no bucket 'agentz'; choose from: agents"):
        agents(plan_bucket, "agentz")


@pytest.mark.faults
def test_an_object_uploaded_in_parts_is_the_same_when_it_comes_back_in_one(day, bucket):
    content = os.urandom(6 * 1024 * 1024)
    client = day.house.client
    source = day.settings.buckets.checkpoints
    upload = client.create_multipart_upload(Bucket=source, Key=LARGE)["UploadId"]
    pieces = [content[: 5 * 1024 * 1024], content[5 * 1024 * 1024 :]]
    parts = [
        {
            "PartNumber": number,
            "ETag": client.upload_part(Bucket=source, Key=LARGE, UploadId=upload, PartNumber=number, Body=piece)[
                "ETag"
            ],
        }
        for number, piece in enumerate(pieces, 1)
    ]
    client.complete_multipart_upload(Bucket=source, Key=LARGE, UploadId=upload, MultipartUpload={"Parts": parts})
    try:
        taken = day.house.take("parts", buckets=("checkpoints",)).manifest
        with day.ports() as ports:
            place, target = Place(day.settings.buckets.backups, f"{day.house.name}/"), Target(bucket)
            assert restore_bucket(ports, place, taken, "checkpoints", target).damaged == []
            assert client.get_object(Bucket=bucket, Key=LARGE)["Body"].read() == content
            assert plan_bucket(ports, place, taken, "checkpoints", target).to_write == 0
    finally:
        client.delete_object(Bucket=source, Key=LARGE)
        for key in day.house.keys(taken.set_id):
            client.delete_object(Bucket=day.settings.buckets.backups, Key=key)
