"""The page: latest reports, one report whole, the same as JSON; back-up sets. It reads the ledger and writes nothing.

Reports hold text that strangers chose, and the page shares its origin with Airflow's API: everything is escaped, and
the content policy lets no script run, should an escape ever be forgotten.
"""

import uuid
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from tdev_operators.core.errors import TdevError
from tdev_operators.core.ports import utc_now
from tdev_operators.core.reporting.rendering import environment
from tdev_operators.hooks.ledger_views import LedgerViews

if TYPE_CHECKING:
    from starlette.middleware.base import RequestResponseEndpoint

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
}
PREFIX = "/tdev"
_MOST_REPORTS = 100


def build_page(views: Callable[[], LedgerViews], guards: Sequence[Any]) -> FastAPI:
    """Return the page as an application to mount at `/tdev`.

    Args:
        views: opens the ledger; called for every request, so that a changed connection counts at once.
        guards: FastAPI dependencies that every route has; they refuse whoever may not see the page.
    """
    app = FastAPI(title="Maintenance", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[*guards])

    @app.middleware("http")
    async def strict(request: Request, call_next: "RequestResponseEndpoint") -> Response:
        response = await call_next(request)
        response.headers.update(HEADERS)
        return response

    @app.exception_handler(StarletteHTTPException)
    def refused(request: Request, error: StarletteHTTPException) -> Response:
        if "text/html" not in request.headers.get("accept", "") or request.url.path.endswith(".json"):
            return JSONResponse({"detail": error.detail}, error.status_code, headers=error.headers)
        return _sentence(request, error.detail, error.status_code, sign_in=error.status_code == 401)  # noqa: PLR2004

    @app.exception_handler(TdevError)
    def ledger_failed(request: Request, error: TdevError) -> Response:
        return refused(request, HTTPException(503, f"The ledger cannot be read: {error}"))

    _add_reports(app, views)
    _add_backups(app, views)
    return app


def _add_reports(app: FastAPI, views: Callable[[], LedgerViews]) -> None:
    @app.get("/")
    def latest(request: Request, tier: str = "", item: str = "") -> Response:
        overview = views().overview(tier=tier, item=item, limit=_MOST_REPORTS)
        return _html(request, "list.html.j2", overview=overview, tier=tier, item=item, now=utc_now())

    @app.get("/reports/{identity}.json")
    def report_as_json(identity: str) -> Response:
        report = views().report(_known_form(identity))
        if report is None:
            _no_such_report()
        return JSONResponse(report.to_json())

    @app.get("/reports/{identity}")
    def whole_report(request: Request, identity: str) -> Response:
        report = views().report(_known_form(identity))
        if report is None:
            _no_such_report()
        return _html(request, "report_page.html.j2", report=report)


def _add_backups(app: FastAPI, views: Callable[[], LedgerViews]) -> None:
    @app.get("/backups")
    def backup_sets(request: Request) -> Response:
        return _html(request, "backups.html.j2", systems=views().sets(), now=utc_now())

    @app.get("/backups/{set_id}")
    def backup_set(request: Request, set_id: str) -> Response:
        found = next((one for sets in views().sets().values() for one in sets if one.set_id == set_id), None)
        if found is None:
            raise HTTPException(404, "There is no such back-up set, or retention has removed it.")
        return _html(request, "backup_set.html.j2", line=found, now=utc_now())


def _known_form(identity: str) -> str:
    try:
        return str(uuid.UUID(identity))
    except ValueError:
        _no_such_report()


def _no_such_report() -> NoReturn:
    raise HTTPException(404, "There is no such report. It may not have been written, or its link was cut.")


def _sentence(request: Request, sentence: str, status: int, *, sign_in: bool) -> HTMLResponse:
    base = request.scope.get("root_path", "").removesuffix(PREFIX)
    login = f"{base}/api/v2/auth/login?next={quote(str(request.url), safe='')}" if sign_in else ""
    return _html(request, "sentence.html.j2", status, sentence=sentence, login=login)


def _html(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    root = request.scope.get("root_path", "")
    return HTMLResponse(_environment().get_template(template).render(root=root, **values), status)


@cache
def _environment() -> Any:
    return environment(Path(__file__).parent / "templates")
