"""The stand-in T-Developer API over the same database: `Api`, run as `python -m sandbox.api`.

`GET /health` is open, as load balancers need it; everything else wants the bearer token. Every refused request is a
line in `api.log` with its user agent, so that our own probes can be counted apart.
"""

import hmac
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb

from sandbox.application_log import ApplicationLog, failed_login
from sandbox.parts import PythonPart
from sandbox.postgres import Cluster
from sandbox.processes import Supervisor

_OPEN_PATHS = ("/health",)


class Api(PythonPart):
    """The HTTP API of the stand-in."""

    module = "sandbox.api"

    def __init__(self, supervisor: Supervisor, cluster: Cluster, logs: Path, name: str = "api") -> None:
        """Serve the database `t_developer` of a cluster; logs go to `logs/api.log`."""
        super().__init__(supervisor, name)
        self._cluster = cluster
        self._logs = logs
        self.token = secrets.token_urlsafe(24)

    @property
    def url(self) -> str:
        """The address."""
        return f"http://{self.host}:{self.port}"

    def _environment(self) -> Mapping[str, str]:
        return {
            "SANDBOX_PORT": str(self.port),
            "SANDBOX_TOKEN": self.token,
            "SANDBOX_LOGS": str(self._logs),
            **database_environment(self._cluster),
        }


def database_environment(cluster: Cluster) -> dict[str, str]:
    """Return libpq's variables with which the application enters its database."""
    info = cluster.conninfo("t_developer", user="t_developer")
    names = {"host": "PGHOST", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER", "password": "PGPASSWORD"}
    return {names[key]: str(value) for key, value in info.items()} | {"PGCONNECT_TIMEOUT": "3"}


@contextmanager
def _database() -> Iterator[psycopg.Connection[DictRow]]:
    with psycopg.connect(application_name="t-developer-api", row_factory=dict_row) as connection:
        yield connection


_LATEST = """
    SELECT generation, max(timestamp) AS timestamp, avg(fitness_score)::float8 AS mean_fitness,
           max(fitness_score)::float8 AS best_fitness, count(*) AS agents
    FROM evolution_history
    WHERE generation = (SELECT max(generation) FROM evolution_history)
    GROUP BY generation
"""


def _application(token: str, log: ApplicationLog) -> FastAPI:
    app = FastAPI(title="T-Developer", docs_url=None, redoc_url=None, openapi_url=None)
    _guard(app, token, log)
    _add_reading_routes(app)
    _add_switches(app, log)
    _add_configuration(app, log)
    return app


def _guard(app: FastAPI, token: str, log: ApplicationLog) -> None:
    @app.middleware("http")
    async def guard(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        started = time.perf_counter()
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        what, client = f"{request.method} {request.url.path}", request.client.host if request.client else "?"
        right = scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode())
        if not right and request.url.path not in _OPEN_PATHS:
            log.append(
                failed_login(
                    datetime.now(UTC),
                    request=what,
                    client=client,
                    user_agent=request.headers.get("user-agent", ""),
                    reason="wrong token" if given else "no token",
                )
            )
            refusal = {"detail": "a valid bearer token is needed"}
            return JSONResponse(refusal, status_code=401, headers={"WWW-Authenticate": "Bearer"})
        response = await answer(request)
        elapsed = (time.perf_counter() - started) * 1000
        log.write("INFO", "api", f"{what} {response.status_code} {elapsed:.0f} ms from {client}")
        return response

    @app.exception_handler(psycopg.OperationalError)
    def without_database(_request: Request, error: psycopg.OperationalError) -> JSONResponse:
        log.write("ERROR", "api", f"Request failed: {type(error).__name__} of the database")
        return JSONResponse({"detail": "the database does not answer"}, status_code=503)


def _add_reading_routes(app: FastAPI) -> None:
    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"status": "healthy", "timestamp": datetime.now(UTC), "service": "t-developer-api"}

    @app.get("/api/evolution/status")
    def status() -> dict[str, Any]:
        with _database() as database:
            state = database.execute("SELECT running, changed_at FROM evolution_state").fetchone() or {}
            latest = database.execute(_LATEST).fetchone() or {}
        return {
            "status": "running" if state.get("running") else "stopped",
            "changed_at": state.get("changed_at"),
            "generation": latest.get("generation"),
            "last_generation_at": latest.get("timestamp"),
        }

    @app.get("/generation/current")
    def current() -> dict[str, Any]:
        with _database() as database:
            return database.execute(_LATEST).fetchone() or {"generation": None}

    @app.get("/agents")
    def agents() -> dict[str, Any]:
        with _database() as database:
            rows = database.execute(
                "SELECT id, name, version, size_kb::float8, instantiation_us::float8, fitness_score::float8 "
                "FROM agents ORDER BY name, version"
            ).fetchall()
        return {"count": len(rows), "agents": rows}


def _add_switches(app: FastAPI, log: ApplicationLog) -> None:
    def switch(*, running: bool, checkpoint: str = "") -> dict[str, str]:
        # Waits for the generation that is being made: after the answer to a stop there is no further one.
        with _database() as database:
            database.execute(
                "UPDATE evolution_state SET running = %s, resume_from = %s, changed_at = now()", (running, checkpoint)
            )
        log.write("INFO", "api", f"Evolution {'resumed' if running else 'stopped'} over the API")
        return {"status": "running" if running else "stopped"}

    @app.post("/api/evolution/stop")
    def stop() -> dict[str, str]:
        return switch(running=False)

    @app.post("/api/evolution/resume")
    def resume(asked: dict[str, str] | None = None) -> dict[str, str]:
        return switch(running=True, checkpoint=(asked or {}).get("checkpoint", ""))

    @app.post("/api/evolution/start")
    def start() -> dict[str, str]:
        return switch(running=True)


def _add_configuration(app: FastAPI, log: ApplicationLog) -> None:
    @app.get("/api/config")
    def configuration() -> dict[str, Any]:
        with _database() as database:
            row = database.execute("SELECT config FROM evolution_state").fetchone() or {"config": {}}
        return dict(row["config"])

    @app.patch("/api/config")
    def change(asked: dict[str, Any]) -> JSONResponse:
        with _database() as database:
            row = database.execute("SELECT config FROM evolution_state FOR UPDATE").fetchone() or {"config": {}}
            now = row["config"]
            for key, value in asked.items():
                if key not in now or type(value) is not type(now[key]):
                    return JSONResponse({"detail": f"{key} is no key, or {value!r} no value of it"}, status_code=422)
            database.execute("UPDATE evolution_state SET config = config || %s", (Jsonb(asked),))
        log.write("INFO", "api", f"Configuration changed over the API: {', '.join(asked)}")
        return JSONResponse({**now, **asked})


def _serve(environment: Mapping[str, str]) -> None:
    app = _application(environment["SANDBOX_TOKEN"], ApplicationLog(Path(environment["SANDBOX_LOGS"]) / "api.log"))
    uvicorn.run(
        app,
        host=environment["SANDBOX_BIND"],
        port=int(environment["SANDBOX_PORT"]),
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    _serve(os.environ)
