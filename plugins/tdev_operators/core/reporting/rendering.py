"""A report or a message as people read it: Markdown, plain text, an HTML page, a mail.

Templates see values, never markup: HTML is escaped by Jinja2's autoescape, Markdown and plain text by the filters here.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tdev_operators.core.reporting import escaping, plots, wording
from tdev_operators.core.reporting.messages import notice_age, notice_line

if TYPE_CHECKING:
    from jinja2 import Environment

    from tdev_operators.core.reporting.messages import AlertMessage
    from tdev_operators.core.reporting.report import Report

TEMPLATES = Path(__file__).parent / "templates"


def render_markdown(report: Report) -> str:
    """Return the report as Markdown (CommonMark with tables left out)."""
    return _render("report.md.j2", report=report)


def render_text(report: Report) -> str:
    """Return the report as plain text of short lines."""
    return _render("report.txt.j2", report=report)


def render_mail(message: AlertMessage) -> tuple[str, str]:
    """Return a message as (plain text, HTML page): the news first, then the report they come from."""
    return _render("mail.txt.j2", message=message), _render("mail.html.j2", message=message)


def environment(*folders: Path) -> Environment:
    """Return a Jinja2 environment over these folders and the report's own: `.html.j2` is escaped.

    A value that is missing is an error. Filters for every syntax: `line` (one visible line), `md`, `moment`, `span`,
    `figures`, `coverage`, `series_line`; and `plot`, which draws a series in HTML.
    """
    from jinja2 import (  # noqa: PLC0415 - only who renders pays for it
        Environment,
        FileSystemLoader,
        StrictUndefined,
        select_autoescape,
    )
    from markupsafe import Markup  # noqa: PLC0415

    made = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "line": escaping.one_line,
        "md": escaping.markdown,
        "moment": wording.moment,
        "span": wording.span,
        "figures": wording.figures,
        "coverage": wording.coverage,
        "notice_line": notice_line,
        "notice_age": notice_age,
        "counted": wording.counted,
        "series_line": plots.sentence,
        "plot": lambda series, now: Markup(plots.svg(series, now)),  # noqa: S704  it escapes what it is given
    }
    return made


@cache
def _own_environment() -> Environment:
    return environment()


def _render(template: str, **values: Any) -> str:
    return _own_environment().get_template(template).render(**values)
