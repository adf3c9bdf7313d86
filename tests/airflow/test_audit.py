"""The weekly audit in a real Airflow: of its own house, too; until somebody accepts what is there."""

import argparse
import io

import pytest

from tdev_operators.cli.audit import audit
from tdev_operators.core.settings import load_settings
from tdev_operators.core.verdicts import Verdict
from tests.airflow.test_analysis import run


@pytest.mark.timeout(900)
def test_nobody_has_accepted_it_then_somebody_does(house):
    def asked(**words):
        out = io.StringIO()
        settings = load_settings(house.system.settings_file)
        args = argparse.Namespace(**{"accept": "", "by": "lead", "state": "", **words})
        return audit(args, environment=house.system.environment, settings=settings, out=out), out.getvalue()

    state, found, page = run(house, "tdev_weekly", "security_audit")
    bad = {name: one["summary"] for name, one in found.items() if one["verdict"] not in {Verdict.OK, Verdict.WARNING}}
    assert (state, bad) == ("success", {})
    accepted = ["audit.airflow", "audit.database_access", "audit.database_roles", "audit.open_ports"]
    assert [name for name, one in found.items() if "Nobody has accepted" in one["summary"]] == accepted
    assert "role team_lead: can_edit on HITL Detail" in page
    assert found["audit.software"]["verdict"] == Verdict.OK
    assert found["audit.readable_secrets"]["coverage"]["canary_found"]
    assert {"scan.trivy_image", "findings.open"} < set(found)

    status, told = asked()
    assert (status, "audit.airflow: nobody has accepted its" in told) == (1, True)
    for name in accepted:
        assert asked(accept=name)[0] == 0
    with house.system.database() as database:
        database.execute("CREATE ROLE stowaway LOGIN")
    try:
        _, found, _ = run(house, "tdev_weekly", "security_audit")
    finally:
        with house.system.database() as database:
            database.execute("DROP ROLE stowaway")
    changed = {name: one["details"] for name, one in found.items() if one["verdict"] == Verdict.WARNING}
    assert changed.pop("audit.database_roles") == ["+ role stowaway: may log in"]
    changed.pop("audit.open_ports", None)  # other tests open some on this machine
    assert changed == {}
