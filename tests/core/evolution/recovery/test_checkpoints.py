"""The newest checkpoint that is whole and no stranger; the others are said to be what they are."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tdev_operators.core.errors import InputError
from tdev_operators.core.evolution.recovery.checkpoints import (
    fault_of_body,
    fault_of_facts,
    look_at_checkpoints,
    usable,
)
from tdev_operators.core.ports import ObjectInfo
from tdev_operators.core.settings import load_settings
from tdev_operators.core.sql import include_dir

RULES = load_settings(include_dir() / "tdev.toml").evolution.recovery
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
WHOLE = {"generation": 40, "population": [{"fitness": 0.5}], "best_genome": {"fitness": 0.5}}


class Store:
    """Objects by key."""

    def __init__(self, bodies):
        self.bodies, self.read_keys = bodies, []

    def list(self, _bucket, prefix=""):
        return iter([info(key, body) for key, body in sorted(self.bodies.items()) if key.startswith(prefix)])

    def read(self, _bucket, key, *, max_bytes):
        self.read_keys.append(key)
        if self.bodies[key] == b"unreadable":
            raise InputError(f"{key} cannot be read; look.")
        assert len(self.bodies[key]) <= max_bytes
        return self.bodies[key]

    def server_time(self):
        return NOON


def info(key, body=b"x", modified=NOON - timedelta(hours=1)):
    return ObjectInfo(key, len(body), "etag", modified)


def body(**changes):
    return json.dumps({**WHOLE, **changes}).encode()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (body(), ""),
        (body()[:-9], "it is no JSON: truncated, or overwritten"),
        (b"\xff\xfe{}", "it is no JSON: truncated, or overwritten"),
        (b"[" * 100_000, "it is no JSON: truncated, or overwritten"),
        (b"[1, 2]", "it is a JSON list and no object"),
        (b"null", "it is a JSON NoneType and no object"),
        (body(generation="40"), "it says no generation"),
        (body(generation=True), "it says no generation"),
        (body(generation=41), "its key says generation 40 and its content 41"),
        (body(population=[]), "it has no population"),
        (body(population=[], best_genome=None), "it has no population, best_genome"),
    ],
)
def test_what_a_checkpoint_holds(content, fault):
    assert fault_of_body(RULES, 40, content) == fault


@pytest.mark.parametrize(
    ("found", "number", "highest", "fault"),
    [
        (info("a"), 40, 40, ""),
        (info("a"), 41, 40, ""),  # it is written just before its generation is committed
        (info("a"), 42, 40, "it is from the future: the database's highest generation is 40"),
        (info("a"), 4000, None, ""),  # what it holds is told all the same
        (info("a", b""), 40, 40, "it is empty"),
        (info("a", b"x" * 10_000_001), 40, 40, "it has more than 10 MB"),
        (info("a", modified=NOON + timedelta(hours=1)), 40, 40, "it is from the future: written 2026-11-23 13:00 UTC"),
    ],
)
def test_what_is_wrong_before_it_is_read(found, number, highest, fault):
    said = fault_of_facts(RULES, number, found, highest, NOON)
    assert said.startswith(fault) if fault else said == ""


def test_the_newest_by_number_come_first_and_only_so_many_are_read():
    store = Store({f"checkpoint_gen{number:04}.json": body(generation=number) for number in range(10, 20_000, 990)})
    store.bodies["checkpoint_gen0010.json.bak"] = store.bodies["readme.txt"] = b"{}"
    rules = RULES.model_copy(update={"checkpoints_read": 3})
    found = look_at_checkpoints(store, "b", rules, 30_000)
    assert [one.generation for one in found] == [19_810, 18_820, 17_830], "by number, not by text"
    assert sorted(store.read_keys) == sorted(one.key for one in found)


def test_what_cannot_be_read_has_that_as_its_fault_and_what_is_too_large_is_never_read():
    store = Store(
        {
            "checkpoint_gen0030.json": b"unreadable",
            "checkpoint_gen0020.json": b"x" * 10_000_001,
            "checkpoint_gen0010.json": body(generation=10),
        }
    )
    found = look_at_checkpoints(store, "b", RULES, 30)
    assert found[0].fault == "it could not be read: checkpoint_gen0030.json cannot be read; look."
    assert "checkpoint_gen0020.json" not in store.read_keys
    assert [one.key for one in usable(found)] == ["checkpoint_gen0010.json"]


def test_where_nobody_knows_the_highest_generation_none_can_be_used_and_each_is_read():
    store = Store({"checkpoint_gen0020.json": b"{", "checkpoint_gen0010.json": body(generation=10)})
    found = look_at_checkpoints(store, "b", RULES, None)
    faults = ["it is no JSON: truncated, or overwritten", "nobody knows the database's highest generation"]
    assert [one.fault for one in found] == faults
    assert usable(found) == []


def test_without_any_there_is_none():
    assert look_at_checkpoints(Store({}), "b", RULES, 30) == []
