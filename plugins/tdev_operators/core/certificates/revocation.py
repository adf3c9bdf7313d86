"""Whether a certificate was revoked: by the list of its issuer (RFC 5280, 5), else by the issuer's word (RFC 6960)."""

from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from tdev_operators.core.certificates.ports import Web
from tdev_operators.core.errors import GarbledAnswerError, TdevError

_OCSP_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Revocation:
    """What was found: `revoked` says when, `looked` by what; `unknown` why nobody could say."""

    revoked: str = ""
    looked: str = ""
    unknown: str = ""


@dataclass(slots=True)
class Revocations:
    """Asks about certificates; a list that several point at is fetched once."""

    web: Web
    now: datetime
    max_bytes: int
    _lists: dict[str, x509.CertificateRevocationList | TdevError] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def of(self, certificate: x509.Certificate, issuer: x509.Certificate | None) -> Revocation:
        """Return what the places say that a certificate names itself. One that names none has nothing to look at."""
        doubts: list[str] = []
        if issuer is None:
            named = [*_list_addresses(certificate), *_responders(certificate)]
            return Revocation(unknown="its issuer was not served, and so nobody could ask" if named else "")
        for url in _list_addresses(certificate):
            try:
                return self._listed(certificate, issuer, url)
            except TdevError as error:
                doubts.append(str(error))
        for url in _responders(certificate):
            try:
                return self._asked(certificate, issuer, url)
            except TdevError as error:
                doubts.append(str(error))
        return Revocation(unknown=" ".join(doubts))

    def _listed(self, certificate: x509.Certificate, issuer: x509.Certificate, url: str) -> Revocation:
        with self._lock:  # one list at a time: they are large, and many certificates share one
            if url not in self._lists:
                try:
                    self._lists[url] = _list_of(self.web.get(url, max_bytes=self.max_bytes), url)
                except TdevError as error:
                    self._lists[url] = error
            found = self._lists[url]
        if isinstance(found, TdevError):
            raise found
        key = issuer.public_key()
        signed = isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) and found.is_signature_valid(key)
        if found.issuer != certificate.issuer or not signed:
            raise GarbledAnswerError(f"The list of revoked certificates at {url} is not of their issuer.")
        if found.next_update_utc is not None and found.next_update_utc < self.now:
            raise GarbledAnswerError(
                f"The list of revoked certificates at {url} was to be renewed by {found.next_update_utc:%Y-%m-%d}."
            )
        entry = found.get_revoked_certificate_by_serial_number(certificate.serial_number)
        if entry is not None:
            return Revocation(revoked=f"{entry.revocation_date_utc:%Y-%m-%d}, as {url} says", looked="CRL")
        return Revocation(looked="CRL")

    def _asked(self, certificate: x509.Certificate, issuer: x509.Certificate, url: str) -> Revocation:
        # SHA-1 names the issuer here and proves nothing; it is the one hash that every responder knows.
        asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1()).build()  # noqa: S303
        body = self.web.post(url, asked.public_bytes(Encoding.DER), "application/ocsp-request", max_bytes=_OCSP_BYTES)
        try:
            answer = ocsp.load_der_ocsp_response(body)
            status = answer.response_status
            if status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
                raise GarbledAnswerError(f"{url} says {status.name.lower().replace('_', ' ')} instead of a status.")
            is_ours = (answer.serial_number, answer.issuer_key_hash) == (asked.serial_number, asked.issuer_key_hash)
            trusted = _is_signed(answer, issuer, self.now)
        except (ValueError, UnsupportedAlgorithm):
            raise GarbledAnswerError(f"{url} answered something that is no status of a certificate.") from None
        if not is_ours or not trusted:
            raise GarbledAnswerError(f"{url} answered for another certificate, or without its issuer's signature.")
        if answer.next_update_utc is not None and answer.next_update_utc < self.now:
            raise GarbledAnswerError(f"{url} answered what was true until {answer.next_update_utc:%Y-%m-%d %H:%M}.")
        if answer.certificate_status is ocsp.OCSPCertStatus.REVOKED:
            return Revocation(revoked=f"{answer.revocation_time_utc:%Y-%m-%d}, as {url} says", looked="OCSP")
        if answer.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
            raise GarbledAnswerError(f"{url} does not know the certificate.")
        return Revocation(looked="OCSP")


def _list_addresses(certificate: x509.Certificate) -> list[str]:
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return []
    names = [name.value for point in points for name in point.full_name or ()]
    return [url for url in names if isinstance(url, str) and url.startswith(("http://", "https://"))]


def _responders(certificate: x509.Certificate) -> list[str]:
    try:
        places = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return []
    found = [place for place in places if place.access_method == AuthorityInformationAccessOID.OCSP]
    urls = [place.access_location.value for place in found]
    return [url for url in urls if isinstance(url, str) and url.startswith(("http://", "https://"))]


def _list_of(body: bytes, url: str) -> x509.CertificateRevocationList:
    try:
        if body.startswith(b"-----BEGIN"):
            return x509.load_pem_x509_crl(body)
        return x509.load_der_x509_crl(body)
    except ValueError:
        raise GarbledAnswerError(f"{url} answered something that is no list of revoked certificates.") from None


def _is_signed(answer: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> bool:
    """Whether the issuer signed it, or somebody whom the issuer made its responder."""
    if _signed_by(answer, issuer):
        return True
    for delegate in answer.certificates:
        if not delegate.not_valid_before_utc <= now <= delegate.not_valid_after_utc:
            continue
        try:
            delegate.verify_directly_issued_by(issuer)
            uses = delegate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            continue
        if ExtendedKeyUsageOID.OCSP_SIGNING in uses and _signed_by(answer, delegate):
            return True
    return False


def _signed_by(answer: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    key, algorithm = signer.public_key(), answer.signature_hash_algorithm
    try:
        if isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
            key.verify(answer.signature, answer.tbs_response_bytes, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
            key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(algorithm))
        else:
            return False
    except InvalidSignature:
        return False
    return True
