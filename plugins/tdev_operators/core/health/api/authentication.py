"""Whether the protected endpoints refuse a request without the right token."""

import secrets
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

    The stranger comes without a token, and with one that was made up. Only GET is asked. The requests carry our own
    mark, so that they are not counted as failed logins.
    """
    findings = Findings(__name__)
    forged = secrets.token_urlsafe(24)

    def stranger(path: str, token: str) -> Callable[[], HttpAnswer]:
        return lambda: system.api.get(path, authorised=False, forged_token=token)

    protected = [entry.path for entry in settings.health.api.endpoints if entry.protected]
    tries = {
        (path, words): stranger(path, token)
        for path in protected
        for words, token in (("without a token", ""), ("with a made-up token", forged))
    }
    because_of = ""
    for (path, words), answer in side_by_side(tries, at_most=8).items():
        if isinstance(answer, TdevError):
            findings.skip(path, str(answer))
            because_of = REACHABILITY["api"]
        elif answer.status in _REFUSED:
            findings.saw(f"{path} {words}")
        elif 200 <= answer.status < 300:  # noqa: PLR2004  success, as HTTP defines it
            findings.saw(f"{path} {words}")
            findings.found(Verdict.CRITICAL, f"GET {path} answers {answer.status} {words}.")
        else:
            findings.skip(path, f"{words} it answered {answer.status}, which neither lets in nor refuses")
    return findings.conclude(
        f"All {len(protected)} protected endpoints refuse a request without the right token.", because_of=because_of
    )
