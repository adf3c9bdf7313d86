"""security.certificates."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tdev_operators.core.errors import BusyError, GarbledAnswerError, SetupMissingError, TargetTimeoutError
from tdev_operators.core.health.security import certificates
from tdev_operators.core.ports import ServedCertificate
from tdev_operators.core.verdicts import Verdict

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(now, lived, left, issuer="T-Developer Intermediate"):
    """Return a DER certificate that began `lived` days ago and has `left` days left."""

    def name(of):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, of)])

    made = (
        x509.CertificateBuilder()
        .subject_name(name("api.t-developer.com"))
        .issuer_name(name(issuer))
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=lived))
        .not_valid_after(now + timedelta(days=left))
        .sign(KEY, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.DER)


@pytest.fixture
def look_at(ports, shipped, fakes):
    """Return the check's result when the first name's addresses serve these, and the others a good certificate."""

    def go(by_address):
        good = ServedCertificate((certificate(fakes.now, 65, 300),), "TLSv1.3", "192.0.2.1:443")

        def resolve(name):
            if not name.startswith("api."):
                return ("192.0.2.1",)
            if isinstance(by_address, Exception):
                raise by_address
            return tuple(by_address)

        def probe(name, address, port, *, starttls=""):
            served = by_address[address] if name.startswith("api.") else good
            if isinstance(served, Exception):
                raise served
            return served

        system = ports(tls=SimpleNamespace(probe=probe), resolver=SimpleNamespace(resolve=resolve))
        return certificates.check(system, shipped)

    return go


@pytest.fixture
def look(look_at):
    """Return the check's result when the first name has one address, which serves this."""

    def go(served, refusal="", chain=()):
        if not isinstance(served, Exception):
            served = ServedCertificate((served, *chain), "TLSv1.3", "192.0.2.1:443", refusal)
        return look_at({"192.0.2.1": served})

    return go


@pytest.mark.parametrize(
    ("lived", "left", "verdict"),
    [
        (65, 300, Verdict.OK),
        (305, 60, Verdict.OK),
        (306, 59, Verdict.WARNING),
        (336, 29, Verdict.CRITICAL),
        # Short-lived ones: the same 29 days are plenty.
        (18, 29, Verdict.OK),
        (31, 16, Verdict.OK),
        (32, 15, Verdict.WARNING),
        (36, 11, Verdict.CRITICAL),
        (366, -1, Verdict.CRITICAL),
        (-1, 300, Verdict.CRITICAL),
    ],
)
def test_lifetime_left(look, fakes, lived, left, verdict):
    result = look(certificate(fakes.now, lived, left))
    assert result.verdict is verdict, result.summary
    assert len(result.coverage.seen) == 3


def test_expired_and_not_yet_valid_are_said(look, fakes):
    assert "expired 1.0 days ago" in look(certificate(fakes.now, 366, -1)).summary
    assert "is not valid before 2026-11-24 12:00 UTC" in look(certificate(fakes.now, -1, 300)).summary


def test_a_refused_chain_or_name_is_critical(look, fakes):
    result = look(certificate(fakes.now, 65, 300), refusal="the host name does not match")
    assert result.verdict is Verdict.CRITICAL
    assert result.summary == "The certificate of api.t-developer.com:443 is refused: the host name does not match."


@pytest.mark.parametrize("error", [TargetTimeoutError("Silence."), GarbledAnswerError("It speaks no TLS.")])
def test_no_certificate_is_critical(look, error):
    result = look(error)
    assert result.verdict is Verdict.CRITICAL
    assert f"serves no certificate: {error}" in result.summary


def test_garbage_instead_of_a_certificate_is_critical(look):
    assert "no X.509 certificate" in look(b"garbage").summary


def of(*chain):
    return ServedCertificate(chain, "TLSv1.3", "")


def test_every_address_is_looked_at(look_at, fakes):
    good, old = certificate(fakes.now, 65, 300), certificate(fakes.now, 366, -1)
    result = look_at({"192.0.2.1": of(good), "192.0.2.2": of(old)})
    assert result.verdict is Verdict.CRITICAL
    assert result.summary == (
        "The certificate of api.t-developer.com:443 at 192.0.2.2 expired 1.0 days ago (2026-11-22)."
    )
    assert {m.name: m.value for m in result.measurements}["api.t-developer.com:443 lifetime left"] == -1


def test_one_dead_address_among_good_ones_is_critical(look_at, fakes):
    good = of(certificate(fakes.now, 65, 300))
    result = look_at({"192.0.2.1": good, "192.0.2.2": TargetTimeoutError("Silence at 192.0.2.2.")})
    assert result.verdict is Verdict.CRITICAL
    assert "Silence at 192.0.2.2." in result.summary


def test_the_intermediate_is_judged_too_and_a_root_is_not(look, fakes):
    leaf, intermediate = certificate(fakes.now, 65, 300), certificate(fakes.now, 900, 29)
    result = look(leaf, chain=[intermediate])
    assert result.verdict is Verdict.CRITICAL
    assert "api.t-developer.com:443 (an intermediate) has 29 of 929 days left" in result.summary
    root = certificate(fakes.now, 900, -1, issuer="api.t-developer.com")
    assert look(leaf, chain=[root]).verdict is Verdict.OK


@pytest.mark.parametrize("error", [SetupMissingError, BusyError])
def test_what_is_our_own_fault_is_not_told_of_the_end(look, error):
    result = look(error("It is ours."))
    assert result.verdict is Verdict.UNKNOWN
    assert result.coverage.skipped == {"api.t-developer.com:443 at 192.0.2.1": "It is ours."}


@pytest.mark.parametrize("addresses", [TargetTimeoutError("The resolver is silent."), {}])
def test_no_addresses_are_a_matter_of_dns(look_at, addresses):
    result = look_at(addresses)
    assert result.verdict is Verdict.UNKNOWN
    assert result.because_of == "infrastructure.dns"


def test_a_worker_without_ipv6_looks_at_the_other_addresses(look_at, fakes):
    no_route = SetupMissingError("This machine has no route.")
    assert look_at({"192.0.2.1": of(certificate(fakes.now, 65, 300)), "2001:db8::1": no_route}).verdict is Verdict.OK
    assert look_at({"2001:db8::1": no_route}).verdict is Verdict.UNKNOWN
