"""The product's settings for a sandbox: the shipped `include/tdev.toml`, overridden where a sandbox differs."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from sandbox.processes import REPOSITORY

LEADS = ("lead", "deputy", "director")  # may start a restore and approve one

# A developer's machine may be busy and its disk nearly full; the sandbox has been up for minutes, so that its
# statistics are young. Neither says anything about T-Developer.
_OF_THIS_MACHINE = {
    "infrastructure": {
        "disk_used_percent": {"warning": 97, "critical": 99},
        "inodes_used_percent": {"warning": 97, "critical": 99},
        "memory_used_percent": {"warning": 97, "critical": 99},
        "load_per_core": {"warning": 50, "critical": 100},
    },
    "database": {"minimum_statistics_age_hours": 0},
    "api": {
        "latency_p50_ms": {"warning": 5_000, "critical": 15_000},
        "latency_p95_ms": {"warning": 5_000, "critical": 15_000},
    },
    "security": {"own_probes_24h": 10_000},  # here the check runs again and again
}
# Its population is a mature one.
_ITS_GOAL = {"review": {"improvement_percent": {"warning": 0.001, "critical": 0}}}
# Its PostgreSQL has no contrib, so that nothing can be measured there.
_ESTIMATES = {"indexes": {"rebuild_on_estimate": True}}
# Its object store ignores If-Match.
_STORE = {"optimiser": {"pause_evolution": True}}
_NOT_IN_A_SANDBOX = [
    {
        "check": "backup.protection",
        "reason": "the sandbox's object store knows neither versions nor lifecycle rules",
        "owner": "DevOps",
    },
    *(
        {
            "check": f"performance.{look}",
            "reason": "the sandbox's PostgreSQL comes without contrib, and so without pg_stat_statements",
            "owner": "Engineering",
        }
        for look in ("top_statements", "regressions", "new_statements")
    ),
    {
        "check": "audit.buckets",
        "reason": "the sandbox's object store knows neither versions, encryption nor policies",
        "owner": "Security",
    },
    {"check": "logs.rotation", "reason": "a sandbox's logs are as old as itself", "owner": "DevOps"},
    {"check": "audit.packages", "reason": "the machine below a sandbox is its owner's matter", "owner": "DevOps"},
    {"check": "scan.pip_audit", "reason": "a sandbox does not reach PyPI's advisories", "owner": "Security"},
    {"check": "scan.safety", "reason": "a sandbox has no key of safety's", "owner": "Security"},
    {"check": "scan.dependency_check", "reason": "a sandbox has no copy of the NVD", "owner": "Security"},
]

_OF_A_SANDBOX = {
    "health": _OF_THIS_MACHINE,
    "evolution": _ITS_GOAL,
    "care": _ESTIMATES,
    "agents": _STORE,
    "out_of_scope": _NOT_IN_A_SANDBOX,
}


def write_settings(file: Path, differences: Mapping[str, Any]) -> None:
    """Write the settings file: tables are merged key by key, everything else is replaced."""
    shipped = tomllib.loads((REPOSITORY / "include" / "tdev.toml").read_text(encoding="utf-8"))
    merged = _merged(
        _merged(shipped, _OF_A_SANDBOX),
        differences,
    )
    file.touch(mode=0o600)
    file.write_text(tomli_w.dumps(merged), encoding="utf-8")


def change_settings(file: Path, differences: Mapping[str, Any]) -> None:
    """Change a settings file that `write_settings` wrote."""
    file.write_text(tomli_w.dumps(_merged(tomllib.loads(file.read_text(encoding="utf-8")), differences)), "utf-8")


def _merged(base: Mapping[str, Any], differences: Mapping[str, Any]) -> dict[str, Any]:
    answer = dict(base)
    for key, value in differences.items():
        both_tables = isinstance(value, Mapping) and isinstance(answer.get(key), Mapping)
        answer[key] = _merged(answer[key], value) if both_tables else value
    return answer
