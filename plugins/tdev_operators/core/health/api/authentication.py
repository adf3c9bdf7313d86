"""Whether the protected endpoints refuse a request without the token."""

from collections.abc import Callable

from tdev_operators.core.errors import TdevError
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.registry import REACHABILITY
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.ports import HttpAnswer, SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("api",)
HINT = "`curl -i <address><path>` without a token must answer 401; look for a route without its authentication."

_REFUSED = (401, 403)


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when a protected endpoint answers a stranger; UNKNOWN when it neither answers nor refuses.

    Only GET is asked. The requests carry our own mark, so that they are not counted as failed logins.
    """
    findings = Findings(__name__)

    def without_token(path: str) -> Callable[[], HttpAnswer]:
        return lambda: system.api.get(path, authorised=False)

    protected = {entry.path: without_token(entry.path) for entry in settings.health.api.endpoints if entry.protected}
    because_of = ""
    for path, answer in side_by_side(protected, at_most=4).items():
        if isinstance(answer, TdevError):
            findings.skip(path, str(answer))
            because_of = REACHABILITY["api"]
        elif answer.status in _REFUSED:
            findings.saw(path)
        elif 200 <= answer.status < 300:  # noqa: PLR2004  success, as HTTP defines it
            findings.saw(path)
            findings.found(Verdict.CRITICAL, f"GET {path} answers {answer.status} without a token.")
        else:
            findings.skip(path, f"it answered {answer.status}, which neither lets in nor refuses")
    return findings.conclude(
        f"All {len(protected)} protected endpoints refuse a request without the token.", because_of=because_of
    )
