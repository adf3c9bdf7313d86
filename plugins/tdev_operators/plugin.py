"""What the package adds to Airflow itself. Registered by the entry point in pyproject.toml, and nowhere else."""

from typing import TYPE_CHECKING

from airflow.plugins_manager import AirflowPlugin

from tdev_operators.operators.schedule import CalendarTimetable, ItemQueuedDeadline

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

# A wrench, drawn with the page's text colour; external views take an image only.
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' "
    "stroke='{stroke}' stroke-width='2' stroke-linecap='round' stroke-linejoin='round'%3E%3Cpath d='M14.7 6.3a1 1 0 0 "
    "0 0 1.4l1.6 1.6a1 1 0 0 0 1.4 0l3.77-3.77a6 6 0 0 1-7.94 7.94l-6.91 6.91a2.12 2.12 0 0 1-3-3l6.91-6.91a6 6 0 0 1 "
    "7.94-7.94l-3.76 3.76z'/%3E%3C/svg%3E"
)


class Page:
    """The page, made at its first request: this module is also imported by every task, which should not pay for it."""

    def __init__(self) -> None:
        self._app: ASGIApp | None = None

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Serve one request."""
        if self._app is None:
            self._app = _guarded_page()
        await self._app(scope, receive, send)


class TdevPlugin(AirflowPlugin):
    """The menu entry "Maintenance" with its page, and what the scheduler must know to read our DAGs."""

    name = "tdev"
    timetables = [CalendarTimetable]  # noqa: RUF012 - Airflow's own form
    deadline_references = [ItemQueuedDeadline]  # noqa: RUF012 - the same
    fastapi_apps = [{"app": Page(), "url_prefix": "/tdev", "name": "Maintenance"}]  # noqa: RUF012 - Airflow's own form
    external_views = [  # noqa: RUF012 - the same
        {
            "name": "Maintenance",
            "href": "/tdev/",
            "destination": "nav",
            "url_route": "maintenance",
            "nav_top_level": True,
            "icon": _ICON.format(stroke="%231c2430"),
            "icon_dark_mode": _ICON.format(stroke="%23e4e8ee"),
        }
    ]


def _guarded_page() -> "ASGIApp":
    from airflow.api_fastapi.auth.managers.models.resource_details import AccessView  # noqa: PLC0415
    from airflow.api_fastapi.core_api.security import requires_access_view  # noqa: PLC0415
    from fastapi import Depends  # noqa: PLC0415

    from tdev_operators.hooks.connections import AirflowConnections  # noqa: PLC0415
    from tdev_operators.hooks.ledger_database import CONNECTION  # noqa: PLC0415
    from tdev_operators.hooks.ledger_views import LedgerViews  # noqa: PLC0415
    from tdev_operators.ui.page import build_page  # noqa: PLC0415

    # Airflow leaves a plugin's routes open to everybody: this asks for a login and the right to see its pages.
    guard = Depends(requires_access_view(AccessView.WEBSITE))
    return build_page(lambda: LedgerViews(AirflowConnections().get(CONNECTION)), [guard])
