"""What people read: everything that matters is there, and nothing that a stranger wrote does anything."""

import html
import json
import re
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdev_operators.core.items import ItemRef
from tdev_operators.core.reporting.alerts import Notice, NoticeKind
from tdev_operators.core.reporting.escaping import markdown, one_line, slack, storable
from tdev_operators.core.reporting.messages import AlertMessage
from tdev_operators.core.reporting.rendering import render_mail, render_markdown, render_text
from tdev_operators.core.reporting.report import Report, build_report
from tdev_operators.core.reporting.settings import Silence
from tdev_operators.core.verdicts import Verdict
from tests.records import HOSTILE, NOON, REF, full_outcome, outcome, result, settings

MARKDOWN_ESCAPE = r"\\([!-/:-@\[-`{-~])"
ALLOWED_TAGS = {"html", "head", "meta", "title", "style", "body", "main", "header", "section", "footer"}
ALLOWED_TAGS |= {"p", "h1", "h2", "span", "b", "br", "ul", "li", "ol", "div", "a"}
ALLOWED_TAGS |= {"figure", "figcaption", "svg", "desc", "path", "line", "text", "circle"}


def report_about(name: str = "agent-17", **more) -> Report:
    run_id = REF.run_id if name == "agent-17" else name.encode("utf-8", "replace").decode()
    ref = ItemRef(REF.tier, REF.dag_id, run_id, REF.item)
    since = {"database.dead_tuples": NOON - timedelta(days=3), "agents.size": NOON - timedelta(hours=5)}
    return build_report(
        ref,
        full_outcome(name),
        settings(),
        attempt=2,
        bad_since=since,
        problems=(f"The alert channel {name} is down.",),
        now=NOON + timedelta(seconds=2),
        **more,
    )


def message_about(name: str = "agent-17") -> AlertMessage:
    report = report_about(name)
    notices = (
        Notice(NoticeKind.OPENED, name, f"database.{name}", Verdict.CRITICAL, f"{name} broke", f"mend {name}", NOON, 2),
        Notice(NoticeKind.ENDED, name, f"api.{name}", Verdict.UNKNOWN, f"{name} is back", "", NOON),
    )
    return AlertMessage("7b0c8a3e-0000-4000-8000-000000000000", "t-developer", notices, NOON, report.url, report)


def page_of(report: Report) -> str:
    """Return the report as its readers get it by mail."""
    return render_mail(AlertMessage("id", report.system, (), report.created_at, report.url, report))[1]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.seen.append((tag, dict(attrs)))


def tags_of(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(page)
    return parser.seen


def test_a_report_can_be_judged_from_any_rendering():
    report = report_about()
    page = html.unescape(page_of(report))
    unescaped_markdown = html.unescape(re.sub(MARKDOWN_ESCAPE, r"\1", render_markdown(report)))
    for text in (page, render_text(report), unescaped_markdown):
        for fact in (
            "CRITICAL",
            "31 % of the rows of agent-17 are dead.",
            "2026-11-20 12:00 UTC (3 d)",
            "Run VACUUM on agent-17.",
            "dead rows of agent-17: 31.4 % (warning 10, critical 20)",
            "Follows from api.reachable",
            "disk of agent-17: 40 % (warning 80, critical 90)",
            "inodes: nan",
            "looked at 2 targets (t-developer-1, agent-17); data 90 s old; df 9.1; canary found",
            "skipped agent-17 (no way to agent-17)",
            "agent-17 has none",
            "Security",
            "took 12 ms",
            "size of agent-17: 40 MB of agent-17 on 2026-11-23 (38 MB of agent-17 on 2026-11-21)",
            "foreseen for 2026-11-26: 43 MB of agent-17 (40 to 46); limit 50 MB of agent-17",
            "The alert channel agent-17 is down.",
            "1 CRITICAL, 2 UNKNOWN, 1 WARNING, 1 OK",
            report.settings_digest,
            report.product_version,
            "attempt 2",
            REF.run_id,
        ):
            assert fact in text, fact
        order = [
            text.rindex(word) for word in ("are dead.", "did not answer.", "near its limit", "has room", "has none")
        ]
        assert order == sorted(order)
    assert report.url in render_text(report)


def test_the_headline_says_the_worst_and_how_much_more():
    assert report_about().headline == "database.dead_tuples: 31 % of the rows of agent-17 are dead. (2 more red)"
    calm = build_report(REF, outcome(result("a.b")), settings(), attempt=1, bad_since={}, now=NOON)
    assert (calm.headline, calm.bad_since) == ("All is well: 1 check passed.", None)


def test_json_is_the_whole_report_and_comes_back_equal():
    report = build_report(
        REF, outcome(result("a.b", Verdict.CRITICAL)), settings(), attempt=1, bad_since={"a.b": NOON}, now=NOON
    )
    again = Report.from_json(json.loads(json.dumps(report.to_json())))
    assert again == report
    text = json.dumps(message_about().to_json())  # as text, since the NaN in it equals nothing
    assert json.dumps(AlertMessage.from_json(json.loads(text)).to_json()) == text


def test_silences_in_force_are_listed_and_expired_ones_named():
    rules = settings(
        silences=(
            Silence(check="database.*", owner="Ada", reason="vacuum runs", until=NOON + timedelta(days=1)),
            Silence(check="agents.size", owner="Bob", reason="known", until=NOON - timedelta(days=1)),
            Silence(check="elsewhere.*", owner="Eve", reason="old", until=NOON - timedelta(days=1)),
        )
    )
    report = build_report(REF, full_outcome(), rules, attempt=1, bad_since={}, now=NOON)
    text = render_text(report)
    assert "Silenced by Ada until 2026-11-24 12:00: vacuum runs" in text
    assert "The silence of agents.size by Bob expired on 2026-11-22 12:00 and no longer holds" in text
    assert "Eve" not in text


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_inert_in_html(name: str):
    for page in (page_of(report_about(name)), render_mail(message_about(name))[1]):
        harmless = tags_of(page_of(report_about()) + render_mail(message_about())[1])
        tags = tags_of(page)
        assert {tag for tag, _ in tags} <= ALLOWED_TAGS
        attributes = {(tag, key) for tag, attrs in tags for key in attrs}
        assert attributes <= {(tag, key) for tag, attrs in harmless for key in attrs}
        assert all(attrs["href"].startswith("http://localhost:8080/tdev/") for tag, attrs in tags if "href" in attrs)
        assert not re.search(r"[\x00-\x08\x0b-\x1f\u200b\u2028\u202e\ud800]", page)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_adds_no_line_to_text_and_markdown(name: str):
    for render in (render_text, render_markdown):
        hostile, harmless = render(report_about(name)), render(report_about())
        assert len(hostile.splitlines()) == len(harmless.splitlines())
        assert not re.search(r"[\x00-\x08\x0b-\x1f\u200b\u2028\u202e\ud800]", hostile)
    assert len(message_about(name).subject.splitlines()) == 1


@given(st.text())
def test_markdown_shows_the_text_itself(text: str):
    escaped = markdown(text)
    assert "\n" not in escaped
    assert "<" not in escaped
    assert not re.search(r"(?<!\\)[\[\]()*_`#!|~]", escaped.replace("&#39;", "").replace("&", ""))
    plain = html.unescape(re.sub(MARKDOWN_ESCAPE, r"\1", escaped))
    assert plain == one_line(text)


@given(st.text())
def test_slack_text_begins_no_link_and_no_mention(text: str):
    assert not {"<", ">"} & set(slack(text))


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_what_is_storable_is_strict_json_without_nul(value):
    text = json.dumps(storable(value), allow_nan=False)
    assert "\\u0000" not in text.replace("\\\\", "")


def test_a_page_loads_nothing_and_runs_nothing():
    page = page_of(report_about())
    assert "<script" not in page
    assert "url(" not in page
    assert not re.search(r"<(link|img|iframe|object)\b", page)
    assert "prefers-color-scheme: dark" in page
