"""Whether every GET endpoint answers 200 with JSON of the expected shape."""

from collections.abc import Callable

from tdev_operators.core.errors import SetupMissingError, TdevError, TransientError
from tdev_operators.core.health.api_answers import require_shape
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.settings import Endpoint
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("api",)
DOUBTFUL = True
HINT = "Ask it by hand with the token of the connection tdev_api (curl -i); the API's log on the host says why."


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when an endpoint gives an error, does not answer, or answers another shape.

    Raises:
        TransientError: no endpoint could be asked at all.
    """
    findings = Findings(__name__)
    endpoints = {endpoint.path: endpoint for endpoint in settings.health.api.endpoints}
    answers = side_by_side({path: _question(system, endpoint) for path, endpoint in endpoints.items()}, at_most=4)
    errors = [answer for answer in answers.values() if isinstance(answer, TransientError | SetupMissingError)]
    if len(errors) == len(answers):
        raise errors[0]
    for path, answer in answers.items():
        findings.saw(path)
        if isinstance(answer, TdevError):
            findings.found(Verdict.CRITICAL, f"GET {path}: {answer}".rstrip(".") + ".")
        else:
            findings.measure(f"GET {path}", round(answer * 1000, 1), "ms")
    return findings.conclude(f"All {len(answers)} GET endpoints of {system.api.name} answer with the expected JSON.")


def _question(system: SystemPorts, endpoint: Endpoint) -> Callable[[], float]:
    def ask() -> float:
        answer = system.api.get(endpoint.path)
        require_shape(endpoint, answer)
        return answer.seconds

    return ask
