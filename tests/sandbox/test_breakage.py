"""Each breakage shows in the data, changes nothing else, and is mended to the state before."""

import hashlib
import socket
import ssl
from datetime import timedelta

import psycopg
import pytest

from sandbox.breakage import BREAKAGES
from sandbox.processes import SandboxError, answers_at
from sandbox.seed_files import AGENTS_BUCKET, CHECKPOINTS_BUCKET

TABLES = (
    "agents",
    "agent_versions",
    "evolution_history",
    "fitness_tracking",
    "gene_pool",
    "metrics",
    "evolution_state",
)
ASPECTS = {
    "stall_evolution": {"evolution_history", "fitness_tracking"},
    "hang_evolution": {"evolution_history", "fitness_tracking", "engine"},
    "spoil_checkpoints": {"checkpoints"},
    "decline_fitness": {"evolution_history", "fitness_tracking", "evolution_state"},
    "agent_limit": {"agents", "agent_versions", "objects"},
    "invalid_index": {"indexes"},
    "expired_certificate": {"certificates"},
    "stop_api": {"api"},
    "failed_logins": {"logs"},
}


def _state(sandbox) -> dict[str, object]:
    """Everything that a breakage could change, a digest each."""
    with sandbox.database() as database:
        state: dict[str, object] = {
            table: database.execute(f"SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {table} t").fetchone()
            for table in TABLES
        }
        indexes = database.execute("SELECT indexrelid::regclass::text, indisvalid FROM pg_index ORDER BY 1").fetchall()
    client = sandbox.objects.client()

    def objects(bucket):
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [(each["Key"], each["ETag"]) for page in pages for each in page["Contents"]]

    return {
        **state,
        "indexes": indexes,
        "objects": objects(AGENTS_BUCKET),
        "checkpoints": objects(CHECKPOINTS_BUCKET),
        "engine": sandbox.engine.running,
        "certificates": [hashlib.sha256(sandbox.tls.served(name)).hexdigest() for name in sandbox.tls.names],
        "api": answers_at(sandbox.api.port),
        "logs": {file.name: file.read_bytes() for file in sandbox.logs.iterdir()},
    }


def _changed(before: dict[str, object], after: dict[str, object]) -> set[str]:
    return {aspect for aspect in before if before[aspect] != after[aspect]}


@pytest.mark.parametrize("what", BREAKAGES)
def test_a_breakage_changes_exactly_its_aspect_and_is_mended(sandbox, what):
    before = _state(sandbox)
    sandbox.break_(what)
    broken = _state(sandbox)
    assert _changed(before, broken) == ASPECTS[what]
    sandbox.break_(what)
    assert sandbox.broken == (what,)
    sandbox.mend()
    assert _changed(before, _state(sandbox)) == set()
    sandbox.mend()
    assert sandbox.broken == ()


def test_all_at_once_are_mended_too(sandbox):
    before = _state(sandbox)
    for what in BREAKAGES:
        sandbox.break_(what)
    assert sandbox.broken == BREAKAGES
    sandbox.mend()
    assert _changed(before, _state(sandbox)) == set()


def test_an_unknown_breakage_is_refused(sandbox):
    with pytest.raises(SandboxError, match="choose one of: stall_evolution"):
        sandbox.break_("everything")


def test_stalled_means_no_generation_for_more_than_two_hours(sandbox):
    sandbox.break_("stall_evolution")
    with sandbox.database() as database:
        newest = database.execute("SELECT max(timestamp) FROM evolution_history").fetchone()[0]
    assert timedelta(hours=2) < sandbox.clock() - newest < timedelta(hours=5)


def test_the_decline_is_steep_against_its_noise(sandbox):
    sandbox.break_("decline_fitness")
    with sandbox.database() as database:
        slope, fit = database.execute(
            "SELECT regr_slope(mean, generation), regr_r2(mean, generation) FROM (SELECT generation, "
            "avg(fitness_score) AS mean FROM evolution_history WHERE timestamp > %s GROUP BY generation) g",
            (sandbox.clock() - timedelta(hours=24),),
        ).fetchone()
    assert slope < -0.002
    assert fit > 0.9


def test_the_agent_is_really_too_large_and_still_python(sandbox):
    sandbox.break_("agent_limit")
    with sandbox.database() as database:
        ((name, version, size_kb),) = database.execute("SELECT name, version, size_kb FROM agents WHERE size_kb > 6.5")
    source = sandbox.objects.client().get_object(Bucket=AGENTS_BUCKET, Key=f"{name}/{version}.py")["Body"].read()
    assert float(size_kb) == pytest.approx(len(source) / 1024, abs=0.001)
    compile(source, name, "exec")


def test_the_index_is_really_invalid(sandbox):
    sandbox.break_("invalid_index")
    with sandbox.database() as database:
        invalid = database.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid").fetchall()
    assert invalid == [("gene_pool_gene_type_key",)]


def _handshake(sandbox, name: str) -> None:
    context = ssl.create_default_context(cafile=sandbox.tls.ca_file)
    with (
        socket.create_connection((sandbox.tls.host, sandbox.tls.port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=name),
    ):
        pass


def test_the_expired_certificate_is_served(sandbox):
    sandbox.break_("expired_certificate")
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        _handshake(sandbox, "ws.t-developer.com")
    _handshake(sandbox, "api.t-developer.com")
    sandbox.mend()
    _handshake(sandbox, "ws.t-developer.com")


def test_failed_logins_are_of_the_last_hour_and_in_order(sandbox):
    sandbox.break_("failed_logins")
    lines = (sandbox.logs / "api.log").read_text().splitlines()
    moments = [line.partition(" ")[0] for line in lines]
    assert moments == sorted(moments)
    hour_ago = (sandbox.clock() - timedelta(hours=1, seconds=1)).isoformat()[:19]
    assert sum("Authentication failed" in line and line >= hour_ago for line in lines) >= 390


def test_the_products_role_sees_everything_and_changes_nothing(sandbox):
    with sandbox.source.connect("t_developer", user="maintenance") as database:
        assert database.execute("SELECT count(*) FROM agents").fetchone() == (40,)
        assert database.execute("SELECT count(*) > 0 FROM pg_stat_activity WHERE query IS NOT NULL").fetchone() == (
            True,
        )
        for statement in ("DELETE FROM agents", "CREATE TABLE t ()", "UPDATE evolution_state SET running = false"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                database.execute(statement)
