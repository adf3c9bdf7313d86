"""Whether every host of the settings runs our commands."""

from tdev_operators.core.errors import TdevError
from tdev_operators.core.health.findings import OF_THE_TARGET, Findings
from tdev_operators.core.health.on_hosts import on_each_host, output_of
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("hosts",)
DOUBTFUL = True
HINT = "Try the host by hand with the same user and key (ssh -v, or aws ssm start-session); then its network and sshd."


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when a host does not answer, UNKNOWN when it does not let us in or we cannot ask it."""
    findings = Findings(__name__)
    answers = on_each_host(system, settings, lambda host, _: output_of(host, "true"))
    for name, answer in answers.items():
        if isinstance(answer, TdevError) and not isinstance(answer, OF_THE_TARGET):
            findings.skip(name, str(answer))
            continue
        findings.saw(name)
        if isinstance(answer, TdevError):
            findings.found(Verdict.CRITICAL, f"Host {name} cannot be used: {answer}")
    return findings.conclude(f"All {len(answers)} hosts answer: {', '.join(answers)}.")
