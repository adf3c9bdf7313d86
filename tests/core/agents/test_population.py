"""A population with every trick in it: what became smaller is held against the original by other means than ours."""

import random
import time
from collections import Counter

import pytest

from sandbox.agent_sources import agent_source
from tdev_operators.core.agents.judging import reasons
from tdev_operators.core.agents.workers import Workers
from tests.core.agents.conftest import EVERY_PASS, rules_with
from tests.core.agents.test_ladder import HOSTILE, TRICKS

_INPUTS = [[random.Random(seed).uniform(-9, 99) for _ in range(seed % 23)] for seed in range(200)]


def population(count):
    """Return agents of the sandbox, each third with a trick of the tests, each tenth hostile."""
    tricks = [source for source, _ in TRICKS.values()]
    hostile = [source for source, _ in HOSTILE.values()]
    found = {}
    for number in range(count):
        if number % 10 == 0:
            found[f"{number} hostile"] = hostile[number // 10 % len(hostile)]
        elif number % 3 == 0:
            found[f"{number} trick"] = tricks[number // 3 % len(tricks)]
        else:
            found[f"{number} plain"] = agent_source(
                "population", number, random.Random(number).randint(2_000, 6_600)
            ).source
    return found


def answers(source):
    """Return what the agent of a source says to many inputs: this code is ours, so it runs here."""
    import sys
    import types

    module = types.ModuleType("population_agent")
    sys.modules["population_agent"] = module
    exec(compile(source, "<population>", "exec"), vars(module))
    agent = module.create_agent()
    told = []
    for values in _INPUTS:
        try:
            told.append(repr(agent(list(values))))
        except Exception as error:  # noqa: BLE001  that is its answer
            told.append(repr(error))
    return told


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("measure", ["source", "footprint"])
def test_nothing_wrong_comes_out_of_a_population_of_tricks(record, measure):
    sources = population(270)
    rules = rules_with(measure=measure, at_once=2)
    with Workers(rules, EVERY_PASS) as workers:
        done = dict(workers.each(sources, until=time.monotonic() + 800))
    assert done.keys() == sources.keys()
    smaller = {name: one for name, one in done.items() if one.source is not None}
    wrong = [name for name, one in smaller.items() if answers(sources[name]) != answers(one.source)]
    assert wrong == []
    assert not any(name.endswith("hostile") for name in smaller)
    kinds = Counter(name.rpartition(" ")[2] for name in smaller)
    assert kinds["plain"] > 100 if measure == "source" else kinds["plain"] > 50
    refused = reasons({name: one.refusal for name, one in done.items() if one.source is None})
    record(
        "a population of tricks", measure, f"{len(smaller)} of {len(done)} smaller, none wrong; the others: {refused}"
    )
