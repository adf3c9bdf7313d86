"""security.certificates."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tdev_operators.core.errors import GarbledAnswerError, TargetTimeoutError
from tdev_operators.core.health.security import certificates
from tdev_operators.core.ports import ServedCertificate
from tdev_operators.core.verdicts import Verdict

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(now, lived, left):
    """Return a DER certificate that began `lived` days ago and has `left` days left."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "api.t-developer.com")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=lived))
        .not_valid_after(now + timedelta(days=left))
        .sign(KEY, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.DER)


@pytest.fixture
def look(ports, shipped, fakes):
    """Return the check's result when the first name serves this and the others a good certificate."""

    def go(served, refusal=""):
        good = ServedCertificate((certificate(fakes.now, 65, 300),), "TLSv1.3", "192.0.2.1:443")

        def probe(name, port):
            if not name.startswith("api."):
                return good
            if isinstance(served, Exception):
                raise served
            return ServedCertificate((served,), "TLSv1.3", "192.0.2.1:443", refusal)

        return certificates.check(ports(tls=SimpleNamespace(probe=probe)), shipped)

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
