"""Revoked or not, by a list and by a responder over HTTP; what proves nothing is not taken for a yes."""

import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from sandbox.certificates import Authority
from tdev_operators.core.certificates.revocation import Revocations
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.certificate_places import CertificatePlaces
from tests.core.certificates.conftest import DAY, NAME

NOW = datetime.now(UTC)
DER = serialization.Encoding.DER


class Place:
    """A web server of an authority: gives out one list, and answers for certificates."""

    def __init__(self):
        self.list, self.answer, self.asked, self.status = b"", None, [], 200
        place = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self._say(place.list)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._say(place.answer(ocsp.load_der_ocsp_request(body)))

            def _say(self, body):
                place.asked.append(self.path)
                self.send_response(place.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def place():
    made = Place()
    yield made
    made.close()


@pytest.fixture(scope="module")
def authority():
    return Authority()


def points_at(url):
    name = x509.UniformResourceIdentifier(f"{url}/list.crl")
    return x509.CRLDistributionPoints([x509.DistributionPoint([name], None, None, None)])


def answers_at(url):
    place = x509.UniformResourceIdentifier(url)
    return x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)])


def made_by(authority, *extensions):
    pem = authority.issue(NAME, since=NOW - DAY, until=NOW + 300 * DAY, extensions=extensions)
    leaf, issuer = x509.load_pem_x509_certificates(pem)
    return leaf, issuer


def crl(authority, *revoked, until=DAY):
    signer = authority.intermediate
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(signer.certificate.subject)
        .last_update(NOW - 2 * DAY)
        .next_update(NOW + until)
    )
    for one in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(one.serial_number).revocation_date(NOW - DAY).build()
        )
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(DER)


def response(leaf, issuer, signer, status=ocsp.OCSPCertStatus.GOOD, until=DAY, extra=()):
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=leaf,
            issuer=issuer,
            algorithm=hashes.SHA1(),
            cert_status=status,
            this_update=NOW - 2 * DAY,
            next_update=NOW + until,
            revocation_time=NOW - DAY if revoked else None,
            revocation_reason=None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
    )
    if extra:
        builder = builder.certificates(list(extra))
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(DER)


def asked(leaf, issuer, **more):
    return Revocations(CertificatePlaces(timeout_seconds=3), NOW, more.get("most", 2**20)).of(leaf, issuer)


def test_a_list_says_who_was_revoked_and_is_fetched_once(authority, place):
    good, issuer = made_by(authority, points_at(place.url))
    bad, _ = made_by(authority, points_at(place.url))
    place.list = crl(authority, bad)
    asking = Revocations(CertificatePlaces(), NOW, 2**20)
    assert (asking.of(good, issuer).looked, asking.of(good, issuer).revoked) == ("CRL", "")
    assert asking.of(bad, issuer).revoked == f"{NOW - DAY:%Y-%m-%d}, as {place.url}/list.crl says"
    assert len(place.asked) == 1


def test_one_that_names_no_place_has_nothing_to_look_at(authority):
    found = asked(*made_by(authority))
    assert (found.revoked, found.looked, found.unknown) == ("", "", "")


@pytest.mark.parametrize(
    ("sabotage", "sentence"),
    [
        (lambda place, ours: setattr(place, "list", crl(ours, until=-timedelta(hours=1))), "was to be renewed by"),
        (lambda place, _: setattr(place, "list", crl(Authority())), "is not of their issuer"),
        (lambda place, _: setattr(place, "list", b"<html>moved</html>"), "something that is no list"),
        (lambda place, ours: setattr(place, "list", crl(ours)[:-40]), "something that is no list"),
        (lambda place, _: setattr(place, "list", b"x" * 2**21), "more than 1048576 bytes"),
        (lambda place, _: setattr(place, "status", 302), "answered with status 302"),
        (lambda place, _: place.close(), "cannot be reached"),
    ],
)
def test_a_list_that_proves_nothing_is_a_gap(authority, sabotage, sentence):
    place = Place()
    leaf, issuer = made_by(authority, points_at(place.url))
    place.list = crl(authority)
    sabotage(place, authority)
    found = asked(leaf, issuer)
    assert sentence in found.unknown
    assert not found.looked


def test_where_the_list_is_away_the_responder_is_asked(authority, place):
    leaf, issuer = made_by(authority, points_at("http://127.0.0.1:1"), answers_at(place.url))
    place.answer = lambda _: response(leaf, issuer, authority.intermediate)
    assert asked(leaf, issuer).looked == "OCSP"
    place.answer = lambda _: response(leaf, issuer, authority.intermediate, ocsp.OCSPCertStatus.REVOKED)
    assert asked(leaf, issuer).revoked.endswith(f"as {place.url} says")


def _delegate(authority, *, may=True):
    uses = [ExtendedKeyUsageOID.OCSP_SIGNING if may else ExtendedKeyUsageOID.CLIENT_AUTH]
    signer = authority.intermediate
    from cryptography.hazmat.primitives.asymmetric import ec

    from sandbox.certificates import Signer

    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(signer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .sign(signer.key, hashes.SHA256())
    )
    return Signer(made, key)


def test_whom_the_issuer_made_its_responder_is_believed_and_nobody_else(authority, place):
    leaf, issuer = made_by(authority, answers_at(place.url))
    helper, pretender, stranger = _delegate(authority), _delegate(authority, may=False), _delegate(Authority())
    for signer, believed in ((helper, True), (pretender, False), (stranger, False)):
        place.answer = lambda _, signer=signer: response(leaf, issuer, signer, extra=[signer.certificate])
        assert (asked(leaf, issuer).looked == "OCSP") is believed


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda leaf, issuer, ours: response(*made_by(ours), ours.intermediate), "for another certificate"),
        (lambda leaf, issuer, ours: response(leaf, issuer, Authority().intermediate), "without its issuer's signature"),
        (lambda leaf, issuer, ours: response(leaf, issuer, ours.intermediate, until=-DAY), "what was true until"),
        (
            lambda leaf, issuer, ours: response(leaf, issuer, ours.intermediate, ocsp.OCSPCertStatus.UNKNOWN),
            "does not know the certificate",
        ),
        (
            lambda *_: ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(DER),
            "says try later",
        ),
        (lambda *_: b"<html>", "no status of a certificate"),
    ],
)
def test_an_answer_that_proves_nothing_is_a_gap(authority, place, answer, sentence):
    leaf, issuer = made_by(authority, answers_at(place.url))
    place.answer = lambda _: answer(leaf, issuer, authority)
    found = asked(leaf, issuer)
    assert sentence in found.unknown
    assert not found.looked


def test_what_is_revoked_is_critical_and_what_nobody_can_say_is_unknown(world, place):
    extensions = (points_at(place.url),)
    world.web = CertificatePlaces(timeout_seconds=3)
    world.put(world.pem(left=300, extensions=extensions))
    world.server.load()
    served = x509.load_pem_x509_certificates(world.server.file.read_bytes())[0]
    place.list = crl(world.authority)
    assert world.one().verdict is Verdict.OK
    assert "It is not revoked (CRL)." in world.one().details
    place.list = crl(world.authority, served)
    assert world.one().verdict is Verdict.CRITICAL
    assert "was revoked on" in world.one().summary
    place.status = 500
    assert world.one().verdict is Verdict.UNKNOWN
