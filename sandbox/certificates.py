"""A private certificate authority with an intermediate, as public ones have it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_CA_LIFE = timedelta(days=3_650)


class Signer(NamedTuple):
    """An authority's certificate and key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class Authority:
    """A root that signs an intermediate that signs the leaves. Its keys live in memory only."""

    def __init__(self) -> None:
        """Make root and intermediate, valid for ten years."""
        self._root = _signer("T-Developer Sandbox Root", None)
        self.intermediate = _signer("T-Developer Sandbox Intermediate", self._root)

    @property
    def root_pem(self) -> bytes:
        """The root's certificate: what a client has to trust."""
        return _pem(self._root.certificate)

    def issue(
        self,
        name: str,
        *,
        since: datetime,
        until: datetime,
        key: PrivateKey | None = None,
        extensions: Sequence[x509.ExtensionType] = (),
    ) -> bytes:
        """Return a PEM with key, leaf and intermediate for a host name, valid from `since` to `until`."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(name, self.intermediate.certificate.subject, key, since, until)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_identifier_of_issuer(self.intermediate.key), critical=False)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        leaf = builder.sign(self.intermediate.key, hashes.SHA256())
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return secret + _pem(leaf) + _pem(self.intermediate.certificate)


def _signer(name: str, parent: Signer | None) -> Signer:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    since = now - timedelta(days=400)  # before every leaf, the expired ones included
    issuer = parent.certificate.subject if parent else _subject(name)
    signing_key = parent.key if parent else key
    certificate = (
        _builder(name, issuer, key, since, now + _CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0 if parent else 1), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .add_extension(_identifier_of_issuer(signing_key), critical=False)
        .sign(signing_key, hashes.SHA256())
    )
    return Signer(certificate, key)


def _builder(
    name: str, issuer: x509.Name, key: PrivateKey, since: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _identifier_of_issuer(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
