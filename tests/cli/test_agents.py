"""`tdev agents` without a ledger: who only looks may, and who would write is refused."""

import argparse
import io
from contextlib import nullcontext

import pytest

from tdev_operators.cli.agents import add_arguments, agents
from tdev_operators.core.agents import run
from tdev_operators.core.errors import SetupMissingError
from tdev_operators.hooks import agent_assembly


@pytest.mark.parametrize("action", [["optimise"], ["undo", "somebody"]])
def test_nothing_is_written_without_a_lease(monkeypatch, action):
    asked = []
    monkeypatch.setattr(agent_assembly, "agent_ports", lambda *_: nullcontext())
    monkeypatch.setattr(run, "optimise_agents", lambda *_: asked.append("optimise") or ())
    monkeypatch.setattr(run, "take_back", lambda *_: asked.append("undo") or ({}, 1))
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SetupMissingError):
        agents(parser.parse_args([*action, "--run"]), environment={}, out=io.StringIO())
    assert asked == []
    assert agents(parser.parse_args(action), environment={}, out=io.StringIO()) == 0
    assert asked == action[:1]
