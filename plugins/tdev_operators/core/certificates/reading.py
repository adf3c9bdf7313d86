"""Certificates in files on hosts, and what there is to know of one. A private key never leaves its host."""

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from tdev_operators.core.certificates.settings import CertificateSettings
from tdev_operators.core.errors import GarbledAnswerError, InputError
from tdev_operators.core.ports import Host

_COMPLAINT = 200


def filled(argv: Sequence[str], **places: str) -> list[str]:
    """Return a command of the settings with `{file}`, `{key}` and `{copy}` filled in."""
    words = list(argv)
    for name, place in places.items():
        words = [word.replace(f"{{{name}}}", place) for word in words]
    return words


def read_file(host: Host, rules: CertificateSettings, file: str) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM file on a host, in its order; the settings' command prints no key.

    Raises:
        InputError: it cannot be read, or holds none. TransientError: the host is away.
    """
    ended = host.run(filled(rules.read_file, file=file))
    if ended.exit_status != 0:
        why = ended.stderr.strip()[:_COMPLAINT] or f"status {ended.exit_status}"
        raise InputError(f"{file} on {host.name} cannot be read ({why}); mend certificates.managed or its rights.")
    try:
        return tuple(x509.load_pem_x509_certificates(ended.stdout.encode()))
    except ValueError:
        raise InputError(f"{file} on {host.name} holds no certificate; mend certificates.managed.") from None


def key_fits(host: Host, rules: CertificateSettings, key: str, certificate: x509.Certificate) -> bool:
    """Whether the private key in a file belongs to a certificate: its public half is compared, on ours.

    Raises:
        InputError: the host's command cannot read the key. GarbledAnswerError: it printed something else.
    """
    ended = host.run(filled(rules.public_key, key=key))
    if ended.exit_status != 0:
        raise InputError(f"The key {key} on {host.name} cannot be read (status {ended.exit_status}); mend its rights.")
    try:
        public = load_pem_public_key(ended.stdout.encode())
        own = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise GarbledAnswerError(f"{host.name} printed no public key of {key}; mend certificates.public_key.") from None
    encoding = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    return public.public_bytes(*encoding) == own.public_bytes(*encoding)


def covers(certificate: x509.Certificate, name: str) -> bool:
    """Whether a certificate is for a host name or address, a wildcard for one label (RFC 9525, 6.3)."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
    wanted = name.lower().rstrip(".")
    if wanted in {str(address) for address in names.get_values_for_type(x509.IPAddress)}:
        return True
    _, _, above = wanted.partition(".")
    given = {one.lower().rstrip(".") for one in names.get_values_for_type(x509.DNSName)}
    return wanted in given or (bool(above) and f"*.{above}" in given)


def weakness(certificate: x509.Certificate, rules: CertificateSettings) -> str:
    """Return what is too weak about a certificate: its key, or the hash it is signed with; empty when nothing is."""
    try:
        key, algorithm = certificate.public_key(), certificate.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return "a key or a signature of a kind that we do not know"
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < rules.minimum_rsa_bits:
        return f"an RSA key of {key.key_size} bits, and at least {rules.minimum_rsa_bits} are wanted"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < rules.minimum_ec_bits:
        return f"an EC key of {key.key_size} bits, and at least {rules.minimum_ec_bits} are wanted"
    if isinstance(key, dsa.DSAPublicKey):
        return "a DSA key, which clients no longer take"
    if algorithm is not None and algorithm.name in {"md5", "sha1"}:
        return f"a signature with {algorithm.name.upper()}, which can be forged"
    return ""


def short(serial: int) -> str:
    """Return a serial number as people see it: its last eight hexadecimal digits."""
    return f"{serial:x}"[-8:]
