"""Whether every GET endpoint answers 200 with JSON of the expected shape."""

from collections.abc import Callable

from tdev_operators.core.errors import TdevError
from tdev_operators.core.health.api_answers import require_shape
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.ports import HttpAnswer, SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("api",)
DOUBTFUL = True
HINT = "Ask it by hand with the token of the connection tdev_api (curl -i); the API's log on the host says why."


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when an endpoint gives an error, does not answer, or answers another shape.

    Raises:
        TdevError: no endpoint answered in HTTP: that is `api.reachable`'s finding.
    """
    findings = Findings(__name__)
    endpoints = {endpoint.path: endpoint for endpoint in settings.health.api.endpoints}
    answers = side_by_side({path: _question(system, path) for path in endpoints}, at_most=4)
    errors = [answer for answer in answers.values() if isinstance(answer, TdevError)]
    if len(errors) == len(answers):
        raise errors[0]
    for path, answer in answers.items():
        findings.saw(path)
        try:
            if isinstance(answer, TdevError):
                raise answer
            require_shape(endpoints[path], answer)
        except TdevError as error:
            findings.found(Verdict.CRITICAL, f"GET {path}: {error}".rstrip(".") + ".")
        else:
            findings.measure(f"GET {path}", round(answer.seconds * 1000, 1), "ms")
    return findings.conclude(f"All {len(answers)} GET endpoints of {system.api.name} answer with the expected JSON.")


def _question(system: SystemPorts, path: str) -> Callable[[], HttpAnswer]:
    return lambda: system.api.get(path)
