"""The pages of back-up sets over a real ledger: what the index keeps is shown, and nothing in it runs."""

from datetime import timedelta

import pytest
from fastapi import Depends

from tdev_operators.core.backup.manifest import State
from tdev_operators.core.backup.set_index import SetLine
from tdev_operators.hooks.ledger import PostgresLedger
from tdev_operators.hooks.ledger_schema import migrate
from tdev_operators.hooks.ledger_views import LedgerViews
from tdev_operators.ui.page import build_page
from tests.records import NOON, facts_of
from tests.ui.test_page import BROWSER, POLICY, Parts, TestClient, needs_key


def line(sequence: int, state: State = State.PROVEN, **changes) -> SetLine:
    known = {
        "set_id": f"{sequence:06d}-20261123T210000Z-abcdef",
        "sequence": sequence,
        "state": state,
        "recovery_point": NOON + timedelta(days=sequence),
        "seconds": 30.0 + sequence,
        "database_bytes": 5_000_000,
        "stored_bytes": 1_200_000,
        "tables": 12,
        "rows": 34_567,
        "objects": 2_080,
        "bucket_bytes": 9_000_000,
        "encryption": "none",
        "restore_seconds": 4.0,
        "place": "s3://backups/t-developer/x/",
    }
    return SetLine(**(known | changes))


@pytest.fixture
def ledger(database):
    migrate(facts_of(database))
    return PostgresLedger(facts_of(database))


@pytest.fixture
def client(database, ledger):
    app = build_page(lambda: LedgerViews(facts_of(database)), [Depends(needs_key)])
    return TestClient(app, headers={"authorization": "Bearer key", **BROWSER}, raise_server_exceptions=False)


def test_without_a_login_there_is_nothing_to_see(client, ledger):
    ledger.index_sets("t-developer", [line(1)])
    for path in ("/backups", f"/backups/{line(1).set_id}"):
        answer = client.get(path, headers={"authorization": ""})
        assert answer.status_code == 401
        assert "34,567" not in answer.text
        assert "PROVEN" not in answer.text


def test_without_a_set_the_page_says_when_there_will_be_one(client):
    assert "There is no set yet." in client.get("/backups").text


def test_sets_are_listed_newest_first_with_the_newest_proven_on_top(client, ledger):
    ledger.index_sets("t-developer", [line(1), line(2), line(3, State.COMPLETE, restore_seconds=0.0)])
    answer = client.get("/backups")
    assert answer.headers["content-security-policy"] == POLICY
    page = answer.text
    assert f'The newest proven set, <a href="/backups/{line(2).set_id}">' in page
    rows = page[page.index("<table") :]
    assert rows.index("000003") < rows.index("000002") < rows.index("000001")
    assert page.count("<rect") == 6, "a bar for each set in both plots"


def test_nothing_proven_is_said_in_red(client, ledger):
    ledger.index_sets("t-developer", [line(1, State.READABLE)])
    assert "Nothing is proven" in client.get("/backups").text


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (State.PROVEN, "found equal to its source"),
        (State.READABLE, "it has not been restored yet"),
        (State.COMPLETE, "do not count on it"),
        (State.STAGED, "It is no back-up"),
    ],
)
def test_a_set_says_what_it_is_worth(client, ledger, state, says):
    ledger.index_sets("t-developer", [line(1, state)])
    page = client.get(f"/backups/{line(1).set_id}").text
    assert says in page
    assert "34,567 rows" in page
    assert "s3://backups/t-developer/x/" in page


def test_a_set_that_is_gone_is_one_sentence(client, ledger):
    ledger.index_sets("t-developer", [line(1), line(2)])
    ledger.index_sets("t-developer", [line(2)])
    answer = client.get(f"/backups/{line(1).set_id}")
    assert answer.status_code == 404
    assert "There is no such back-up set" in answer.text


def test_what_a_stranger_wrote_into_the_bucket_is_inert(client, ledger):
    ledger.index_sets("t-developer", [line(1, State.COMPLETE, remarks="<script>alert(1)</script>")])
    page = client.get(f"/backups/{line(1).set_id}").text
    assert "script" not in Parts(page).tags
    assert "&lt;script&gt;" in page


def test_systems_do_not_see_each_other(ledger):
    ledger.index_sets("one", [line(1), line(2)])
    ledger.index_sets("two", [line(1)])
    ledger.index_sets("one", [line(2)])
    assert (ledger.known_sets("one"), ledger.known_sets("two"), ledger.known_sets("three")) == (1, 1, 0)


def test_the_index_follows_a_set_on_its_way(database, ledger):
    ledger.index_sets("t-developer", [line(1, State.COMPLETE)])
    ledger.index_sets("t-developer", [line(1)])
    assert LedgerViews(facts_of(database)).sets() == {"t-developer": [line(1)]}
