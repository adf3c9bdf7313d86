"""All certificates of a system: served, on disk, managed by AWS; what differs or is weak turns red."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.certificates import Authority
from tdev_operators.core.certificates.ports import AcmCertificate
from tdev_operators.core.certificates.settings import ManagedCertificate
from tdev_operators.core.errors import InputError, TargetUnreachableError
from tdev_operators.core.verdicts import Verdict
from tests.core.certificates.conftest import DAY, NAME


@pytest.fixture
def itself(world):
    """Somebody else renews it, and all is well."""
    world.change(renewal="itself")
    world.put(world.pem(left=300, lived=65))
    world.server.load()
    return world


def test_all_is_well(itself):
    result = itself.one()
    assert result.verdict is Verdict.OK, result
    assert result.check == f"certificate.{NAME}:{itself.server.port}"
    assert result.summary.startswith(f"{NAME}:{itself.server.port} has 300 of 365 days left (82 %)")
    assert any("What is served is what stands in" in line for line in result.details)
    assert {one.name for one in result.measurements} == {
        f"{NAME}:{itself.server.port} lifetime left",
        f"{NAME}:{itself.server.port} fraction left",
    }


def test_a_newer_one_on_disk_that_nobody_serves(itself):
    itself.put(itself.pem(left=360))
    result = itself.one()
    assert result.verdict is Verdict.WARNING
    assert "has a newer one, which nobody serves" in result.summary
    itself.now += timedelta(days=280)
    assert itself.one().verdict is Verdict.CRITICAL, "the one that is served is due"


def test_what_is_due_and_renews_itself_is_told_and_not_touched(itself):
    itself.now += timedelta(days=275)
    result = itself.one()
    assert result.verdict is Verdict.CRITICAL
    assert "See why what renews" in result.hint
    assert itself.journal == []


@pytest.mark.parametrize(("renewal", "verdict"), [("none", Verdict.WARNING), ("itself", Verdict.OK)])
def test_a_short_lived_one_that_nobody_renews_is_told_at_two_thirds(world, renewal, verdict):
    world.change(renewal=renewal)
    world.put(world.pem(left=58, lived=32))
    world.server.load()
    assert world.one().verdict is verdict


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (
            lambda world: world.put(Authority().issue(NAME, since=world.now - DAY, until=world.now + 300 * DAY)),
            "refused",
        ),
        (lambda world: world.put(world.pem(left=300, name="ws.t-developer.com")), "is refused: Hostname mismatch"),
        (lambda world: world.put(world.pem(left=-1, lived=300)), "expired 1.0 days ago"),
        (
            lambda world: world.put(world.pem(left=300, key=rsa.generate_private_key(65537, 2048))),
            "an RSA key of 2048 bits, and at least 3072 are wanted",
        ),
    ],
)
def test_what_is_wrong_with_it_is_critical(itself, harm, sentence):
    harm(itself)
    itself.server.load()
    rules = itself.settings.certificates.model_copy(update={"minimum_rsa_bits": 3072})
    [result] = itself.manage(settings=itself.settings.model_copy(update={"certificates": rules}))
    assert result.verdict is Verdict.CRITICAL
    assert sentence in result.summary, result.summary


def test_a_dead_end_is_critical_and_a_name_without_an_address_unknown(itself):
    itself.addresses = ["127.0.0.3"]
    assert "serves no certificate at 127.0.0.3" in itself.one().summary
    assert itself.one().verdict is Verdict.CRITICAL
    itself.addresses = []
    result = itself.one()
    assert result.verdict is Verdict.UNKNOWN
    assert "it has no address in DNS" in result.summary


def test_a_file_that_is_gone_is_critical_and_a_host_that_is_away_unknown(itself):
    (itself.folder / "fullchain.pem").rename(itself.folder / "away")
    assert itself.one().verdict is Verdict.CRITICAL

    def away(*_, **__):
        raise TargetUnreachableError("The host edge cannot be reached.")

    itself.host.run = away
    assert itself.one().verdict is Verdict.UNKNOWN


def test_a_public_name_that_nobody_manages_is_looked_at(itself):
    settings = itself.settings
    rules = settings.certificates.model_copy(update={"managed": ()})
    [result] = itself.manage(settings=settings.model_copy(update={"certificates": rules}))
    assert result.verdict is Verdict.OK
    assert "It is renewed by nobody." in result.details


def test_one_that_cannot_be_renewed_keeps_no_other_from_it(world):
    world.others = (
        ManagedCertificate(
            **{
                **world.entry.model_dump(),
                "name": "127.0.0.1",
                "renew": ("true",),
                "file": str(world.folder / "other.pem"),
                "key": "",
            }
        ),
    )
    (world.folder / "other.pem").write_bytes(world.server.file.read_bytes())
    first, second = world.manage()
    assert first.verdict is Verdict.OK
    assert second.verdict is Verdict.CRITICAL


def test_by_hand_only_what_the_settings_know_and_can_renew(itself):
    with pytest.raises(InputError, match="'x' is no certificate of the settings; choose one of"):
        itself.one(only="x")
    with pytest.raises(InputError, match="renewed by somebody else"):
        itself.one(only=NAME, forced=True)


def acm(world, **facts):
    given = {
        "arn": "arn:aws:acm:eu-central-1:123456789012:certificate/1",
        "names": (NAME,),
        "kind": "AMAZON_ISSUED",
        "status": "ISSUED",
        "eligible": True,
        "in_use": True,
        "exportable": True,
        "serial": 7,
        "begins": world.now - 200 * DAY,
        "ends": world.now + 195 * DAY,
    }
    return AcmCertificate(**{**given, **facts})


class Acm:
    """A manager of certificates that renews at once, later, or never."""

    def __init__(self, world, *found, renews=True):
        self.world, self.found, self.renews, self.asked = world, list(found), renews, []

    def all(self):
        return iter(self.found)

    def find(self, arn):
        return next(one for one in self.found if one.arn == arn)

    def renew(self, arn):
        self.asked.append(arn)
        if self.renews:
            self.world.put(self.world.pem(left=390))
            self.world.server.load()


@pytest.fixture
def by_acm(world):
    world.change(renewal="acm", arn=acm(world).arn, host="", file="", key="")
    return world


def test_acm_is_asked_and_the_new_serial_is_served(by_acm):
    by_acm.acm = Acm(by_acm, acm(by_acm))
    before = by_acm.served()
    result = by_acm.one()
    assert result.verdict is Verdict.OK, result
    assert by_acm.acm.asked == [acm(by_acm).arn]
    assert by_acm.served() != before
    assert by_acm.journal[0][1]["way_back"].startswith("none")


@pytest.mark.parametrize(
    ("facts", "renews", "sentence"),
    [
        ({"kind": "IMPORTED", "eligible": False}, True, "was imported into ACM, which never renews such a one"),
        ({"eligible": False}, True, "ACM does not renew"),
        ({"exportable": False, "renewal": "PENDING_VALIDATION"}, True, "by itself and has not done so"),
        ({"renewal": "PENDING_VALIDATION"}, False, "PENDING_VALIDATION"),
    ],
)
def test_what_acm_does_not_renew_is_critical_and_the_former_one_is_kept(by_acm, facts, renews, sentence):
    by_acm.acm = Acm(by_acm, acm(by_acm, **facts), renews=renews)
    before, settings = by_acm.served(), by_acm.settings
    rules = settings.certificates.model_copy(update={"renew_seconds": 1.0})
    [result] = by_acm.manage(settings=settings.model_copy(update={"certificates": rules}))
    assert result.verdict is Verdict.CRITICAL
    assert sentence in result.summary
    assert by_acm.served() == before


@pytest.mark.parametrize(
    ("facts", "verdict", "sentence"),
    [
        ({}, Verdict.OK, "1 certificate in ACM, 0 of them imported."),
        ({"ends": 50}, Verdict.WARNING, "50 of 250 days left"),
        ({"ends": 20, "kind": "IMPORTED"}, Verdict.CRITICAL, "import a new one"),
        ({"ends": 20, "in_use": False, "exportable": False}, Verdict.OK, "1 certificate in ACM"),
        ({"ends": 20, "in_use": False}, Verdict.CRITICAL, "20 of 220 days left"),
        ({"status": "REVOKED"}, Verdict.CRITICAL, "is revoked"),
        ({"status": "PENDING_VALIDATION", "begins": None, "ends": None}, Verdict.WARNING, "is pending_validation"),
    ],
)
def test_every_certificate_of_the_account_is_judged(itself, facts, verdict, sentence):
    if isinstance(facts.get("ends"), int):
        facts = {**facts, "ends": itself.now + facts["ends"] * DAY}
    itself.acm = Acm(itself, acm(itself, **facts))
    rules = itself.settings.certificates.model_copy(update={"acm": True})
    _, result = itself.manage(settings=itself.settings.model_copy(update={"certificates": rules}))
    assert result.check == "certificate.acm"
    assert result.verdict is verdict
    assert sentence in result.summary


def test_an_account_that_cannot_be_asked_is_unknown(itself):
    class Down(Acm):
        def all(self):
            raise TargetUnreachableError("ACM cannot be reached.")

    itself.acm = Down(itself)
    rules = itself.settings.certificates.model_copy(update={"acm": True})
    _, result = itself.manage(settings=itself.settings.model_copy(update={"certificates": rules}))
    assert result.verdict is Verdict.UNKNOWN
