"""The agents' care in a real Airflow: what is near its limit becomes smaller, and the report says how it was proven."""

import pytest

from tdev_operators.core.verdicts import Verdict
from tests.airflow.test_analysis import run


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_agents_near_their_limit_become_smaller(house):
    with house.system.database() as database:
        [(before,)] = database.execute("SELECT count(*) FROM agents WHERE size_kb > 6.0").fetchall()
    state, found, page = run(house, "tdev_weekly", "agent_optimization")
    bad = {name: one["summary"] for name, one in found.items() if one["verdict"] != Verdict.OK}
    assert (state, bad) == ("success", {})
    assert set(found) == {"agents.confinement", "agents.optimiser"}
    assert f"{before} of {before} agents above 6 KB became smaller" in found["agents.optimiser"]["summary"]
    assert "answers the same over" in page
    with house.system.database() as database:
        assert database.execute("SELECT count(*) FROM agents WHERE size_kb > 6.0").fetchone() == (0,)
        assert database.execute("SELECT running FROM evolution_state").fetchone() == (True,)
