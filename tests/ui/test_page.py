"""The page over a real ledger: who may see it, what it shows, and that nothing in it runs."""

import warnings
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from fastapi import Depends, HTTPException, Request

from tdev_operators.core.errors import SetupMissingError
from tdev_operators.core.items import ItemRef
from tdev_operators.core.reporting.report import Report
from tdev_operators.core.reporting.runs import report_item
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.ledger import PostgresLedger
from tdev_operators.hooks.ledger_schema import migrate
from tdev_operators.hooks.ledger_views import LedgerViews
from tdev_operators.hooks.resilient_ledger import ResilientLedger
from tdev_operators.hooks.spool import Spool
from tdev_operators.ui.page import build_page
from tests.records import HOSTILE, NOON, facts_of, full_outcome, outcome, result, settings

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
BROWSER = {"accept": "text/html,application/xhtml+xml"}

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette would rather have a successor of httpx that nothing else here uses
    from fastapi.testclient import TestClient


def needs_key(request: Request) -> None:
    if request.headers.get("authorization") != "Bearer key":
        raise HTTPException(401, "Not authenticated")


class EmptyStore:
    def list(self, bucket, prefix=""):
        return iter(())


@pytest.fixture
def facts(database):
    facts = facts_of(database)
    migrate(facts)
    return facts


@pytest.fixture
def write(facts):
    """Let an item run and be reported; returns the report's id."""

    def work(found, *, item="health_check", tier="daily", run="run-1") -> str:
        ledger = ResilientLedger(PostgresLedger(facts), Spool(EmptyStore(), "backups", "t-developer"))
        ref = ItemRef(tier, f"tdev_{tier}", run, item)
        ledger.open_item(ref, found.started_at)
        ledger.close_item(ref, found)
        return report_item(ledger, [], settings(), ref, now=found.ended_at + timedelta(seconds=1))["report_id"]

    return work


@pytest.fixture
def client(facts):
    app = build_page(lambda: LedgerViews(facts), [Depends(needs_key)])
    return TestClient(app, headers={"authorization": "Bearer key", **BROWSER}, raise_server_exceptions=False)


class Parts(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.add(tag)
        self.attributes |= {(tag, key) for key, _ in attrs}
        self.links += [value or "" for key, value in attrs if key in ("href", "src")]


@pytest.mark.parametrize("path", ["/", "/reports/x", "/reports/x.json", "/?tier=daily"])
def test_without_a_login_there_is_nothing_to_see(client, write, path):
    identity = write(full_outcome())
    answer = client.get(path.replace("x", identity), headers={"authorization": ""})
    assert answer.status_code == 401
    assert "agent-17" not in answer.text
    assert answer.headers["content-security-policy"] == POLICY


def test_a_browser_without_a_login_is_shown_the_way_in(client):
    answer = client.get("/", headers={"authorization": ""})
    assert answer.status_code == 401
    assert "/api/v2/auth/login?next=http%3A%2F%2Ftestserver%2F" in answer.text
    assert client.get("/", headers={"authorization": "", "accept": "*/*"}).json() == {"detail": "Not authenticated"}


def test_every_answer_carries_the_policy(client, write):
    identity = write(full_outcome())
    for path in ("/", f"/reports/{identity}", f"/reports/{identity}.json", "/reports/none", "/docs", "/openapi.json"):
        headers = client.get(path).headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_the_list_is_newest_first_says_since_when_and_filters(client, write):
    write(outcome(result("a.b", Verdict.CRITICAL, "It broke.")))
    write(outcome(result("c.d"), ended_at=NOON + timedelta(hours=1)), item="backup", run="run-2")
    write(outcome(result("e.f"), ended_at=NOON + timedelta(hours=2)), item="full_backup", tier="weekly", run="run-3")
    page = client.get("/").text
    order = [page.index(f"<h3>{name}</h3>") for name in ("full backup", "backup", "health check")]
    assert order == sorted(order)
    assert "Red now (1)" in page
    assert "not well since 2026-11-23 12:00 UTC" in page
    assert "<h3>full backup</h3>" not in client.get("/?tier=daily").text
    assert "<h3>health check</h3>" not in client.get("/?tier=daily&item=backup").text
    assert "no report of this yet" in client.get("/?tier=monthly").text


def test_a_report_is_shown_whole_and_as_json(client, write):
    identity = write(full_outcome())
    page = client.get(f"/reports/{identity}").text
    assert "31 % of the rows of agent-17 are dead." in page
    assert "Since 2026-11-23 12:00 UTC" in page
    data = client.get(f"/reports/{identity}.json").json()
    assert Report.from_json(data).id == identity
    assert f'href="/reports/{identity}.json"' in page


@pytest.mark.parametrize(
    "identity", ["none", "00000000-0000-0000-0000-000000000000", "'; DROP TABLE x", "%00", "a.json"]
)
def test_a_report_that_is_not_there_is_one_sentence(client, identity):
    answer = client.get(f"/reports/{identity}")
    assert answer.status_code == 404
    assert "There is no such report." in answer.text


def test_hostile_text_is_inert_on_every_page(client, write):
    for number, name in enumerate(HOSTILE):
        item = name.encode("utf-8", "replace").decode().replace("\0", "")
        at = NOON + timedelta(minutes=number)
        identity = write(full_outcome(name, at), item=item, tier=item, run=f"run-{number}")
        for path in (f"/reports/{identity}", "/"):
            text = client.get(path).text
            assert text.count("<svg") == text.count('<svg class="series" ') == path.count("reports"), "ours alone"
            parts = Parts(text)
            assert not parts.tags & {"script", "img", "iframe", "object", "link", "base", "form"}
            assert not {key for _, key in parts.attributes if key.startswith("on") or key == "style"}
            assert all(link.startswith("/") and not link.startswith("//") for link in parts.links)
        answer = client.get("/", params={"tier": item, "item": item})
        assert answer.status_code == 200
        assert not Parts(answer.text).tags & {"script", "img", "svg"}


def test_behind_a_prefix_every_link_keeps_it(facts, write):
    identity = write(full_outcome())
    app = build_page(lambda: LedgerViews(facts), [])
    prefixed = TestClient(app, root_path="/airflow/tdev", headers=BROWSER)
    assert f'href="/airflow/tdev/reports/{identity}"' in prefixed.get("/").text


def test_with_the_ledger_down_the_page_says_so_in_one_sentence(facts):
    lost = replace(facts, port=1)
    client = TestClient(build_page(lambda: LedgerViews(lost), []), headers=BROWSER, raise_server_exceptions=False)
    answer = client.get("/")
    assert answer.status_code == 503
    assert "The ledger cannot be read: " in answer.text
    assert facts.password not in answer.text
    assert client.get("/reports/00000000-0000-0000-0000-000000000000.json").status_code == 503


def test_without_its_connection_the_page_says_so():
    def missing() -> LedgerViews:
        raise SetupMissingError("The connection tdev_ledger is missing; create it.")

    client = TestClient(build_page(missing, []), headers={"accept": "*/*"}, raise_server_exceptions=False)
    assert client.get("/").json() == {
        "detail": "The ledger cannot be read: The connection tdev_ledger is missing; create it."
    }


def test_the_plugin_has_one_page_and_one_menu_entry_and_costs_little():
    import subprocess
    import sys

    code = (
        "import sys; import tdev_operators.plugin as p; "
        "assert not {'fastapi', 'psycopg', 'jinja2', 'boto3'} & (set(sys.modules) - before), 'imported too much'; "
        "print(p.TdevPlugin.name, p.TdevPlugin.fastapi_apps[0]['url_prefix'], p.TdevPlugin.external_views[0]['name'])"
    )
    code = "import sys, airflow.plugins_manager; before = set(sys.modules); " + code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split()[-3:] == ["tdev", "/tdev", "Maintenance"], done.stderr
