"""infrastructure.dns."""

from types import SimpleNamespace

from tdev_operators.core.errors import TargetTimeoutError
from tdev_operators.core.health.infrastructure import dns
from tdev_operators.core.verdicts import Verdict


def resolver(**odd):
    def resolve(name):
        answer = odd.get(name.partition(".")[0], ("192.0.2.1",))
        if isinstance(answer, Exception):
            raise answer
        return answer

    return SimpleNamespace(resolve=resolve)


def test_all_names_have_an_address(ports, shipped):
    result = dns.check(ports(resolver=resolver()), shipped)
    assert result.verdict is Verdict.OK
    assert len(result.coverage.seen) == 3


def test_a_name_without_address_is_critical(ports, shipped):
    result = dns.check(ports(resolver=resolver(ws=())), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert result.summary == "ws.t-developer.com has no address."


def test_a_silent_resolver_is_unknown(ports, shipped):
    result = dns.check(ports(resolver=resolver(ws=TargetTimeoutError("Silence."))), shipped)
    assert result.verdict is Verdict.UNKNOWN
    assert result.coverage.skipped == {"ws.t-developer.com": "Silence."}
