"""Whether the API answers and says that it is healthy."""

from tdev_operators.core.health.api_answers import json_of
from tdev_operators.core.health.findings import OF_THE_TARGET, Findings
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("api",)
DOUBTFUL = True
HINT = (
    "`systemctl status t-developer-api` and its journal on the host; then `curl -i <address>/health` from the worker."
)


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when the health endpoint does not answer, answers garbage, or does not say the healthy word.

    Raises:
        TdevError: we cannot ask, for a reason that is not the API's.
    """
    limits = settings.health.api
    path, name = limits.health_path, system.api.name
    findings = Findings(__name__)
    findings.saw(name)
    try:
        answer = system.api.get(path)
        data = json_of(answer)
    except OF_THE_TARGET as error:
        findings.found(Verdict.CRITICAL, f"GET {path} of {name}: {error}".rstrip(".") + ".")
        return findings.conclude("")
    findings.measure("answer time", round(answer.seconds * 1000, 1), "ms")
    status = data.get("status") if isinstance(data, dict) else None
    if status != limits.health_status:
        findings.found(
            Verdict.CRITICAL,
            f"GET {path} of {name} says status {str(status)[:60]!r} instead of {limits.health_status!r}.",
        )
    return findings.conclude(f"{name} says {limits.health_status!r} after {answer.seconds * 1000:.0f} ms.")
