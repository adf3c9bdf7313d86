"""Airflow's API as captured from Airflow 3.3.2 with FAB, page by page, and what is not Airflow."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from tdev_operators.core.errors import AccessDeniedError, GarbledAnswerError, SetupMissingError, TargetUnreachableError
from tdev_operators.hooks.airflow_house import AirflowApi
from tdev_operators.hooks.connections import ConnectionFacts, EnvironmentConnections

USERS = [
    {"username": f"user-{number}", "roles": [{"name": "Viewer"}], "active": True, "failed_login_count": number}
    for number in range(250)
]
ROLES = [{"name": "Viewer", "actions": [{"action": {"name": "can_read"}, "resource": {"name": "DAGs"}}]}]
CONNECTIONS = [{"connection_id": "x", "conn_type": "http", "host": "h", "extra": '{"token": "***"}'}]
PAGES = {
    "/auth/fab/v1/users": ("users", USERS),
    "/auth/fab/v1/roles": ("roles", ROLES),
    "/api/v2/connections": ("connections", CONNECTIONS),
}


@pytest.fixture
def api():
    """An API server that answers as Airflow does; `api.password` is right."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            right = asked == {"username": "auditor", "password": "right"}
            self._say(201 if right else 401, {"access_token": "t0ken"} if right else {"detail": "no"})

        def do_GET(self):
            parts = urlsplit(self.path)
            if self.headers.get("Authorization") != "Bearer t0ken":
                return self._say(401, {})
            if parts.path not in PAGES:
                return self._say(404, {})
            key, rows = PAGES[parts.path]
            asked = {name: int(value[0]) for name, value in parse_qs(parts.query).items()}
            page = rows[asked["offset"] : asked["offset"] + asked["limit"]]
            return self._say(200, server.odd or {key: page, "total_entries": len(rows)})

        def _say(self, status, body):
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.odd = None
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def at(password="right", port=server.server_port):
        facts = ConnectionFacts("tdev_airflow", "http", "127.0.0.1", port, "auditor", password)
        return AirflowApi(_One(facts))

    at.server = server
    yield at
    server.shutdown()
    server.server_close()


class _One:
    def __init__(self, facts):
        self._facts = facts

    def get(self, _):
        return self._facts


def test_all_pages_are_read(api):
    house = api()
    users = house.users()
    assert [one.failed_logins for one in users] == list(range(250))
    assert users[0].roles == ("Viewer",)
    assert house.rights() == {"Viewer": ["can_read on DAGs"]}
    [connection] = house.connections()
    assert (connection.name, connection.kind, connection.host, connection.extra) == ("x", "http", "h", {"token": "***"})


def test_who_is_refused_says_what_is_missing(api):
    with pytest.raises(AccessDeniedError, match="refuses the user of tdev_airflow at /auth/token"):
        api("wrong").users()


def test_what_is_no_airflow_is_told(api):
    api.server.odd = {"users": "none"}
    with pytest.raises(GarbledAnswerError, match="another shape"):
        api().users()
    with pytest.raises(TargetUnreachableError):
        api(port=1).users()


def test_without_its_connection_it_says_so():
    with pytest.raises(SetupMissingError, match="tdev_airflow is missing"):
        AirflowApi(EnvironmentConnections({})).users()
