"""security.bucket_exposure."""

import pytest

from tdev_operators.core.errors import TargetTimeoutError
from tdev_operators.core.health.security import bucket_exposure
from tdev_operators.core.ports import BucketExposure
from tdev_operators.core.verdicts import Verdict

CLOSED = BucketExposure(403, 403, False, False, True)
NAMES = ("t-developer-agents", "t-developer-checkpoints", "t-developer-backups")


@pytest.fixture
def look(ports, shipped, fakes):
    def go(backups, others=CLOSED):
        exposures = {NAMES[0]: others, NAMES[1]: others, NAMES[2]: backups}
        return bucket_exposure.check(ports(objects=fakes.Objects(exposures=exposures)), shipped)

    return go


def test_all_closed(look):
    result = look(CLOSED)
    assert result.verdict is Verdict.OK
    assert result.summary == "All 3 buckets refuse strangers."


@pytest.mark.parametrize(
    ("exposure", "words"),
    [
        (BucketExposure(200, 403, False, False, True), "A stranger can list bucket t-developer-backups (status 200)."),
        (BucketExposure(403, 206, False, False, True), "A stranger can read bucket t-developer-backups (status 206)."),
        (BucketExposure(403, 403, True, False, True), "The policy of bucket t-developer-backups lets everybody in."),
        (BucketExposure(403, 403, None, True, None), "The ACL of bucket t-developer-backups lets everybody in."),
    ],
)
def test_an_open_one_is_critical(look, exposure, words):
    result = look(exposure)
    assert result.verdict is Verdict.CRITICAL
    assert words in result.summary


def test_no_public_access_block_is_a_warning(look):
    assert look(BucketExposure(403, 403, False, False, False)).verdict is Verdict.WARNING


def test_what_the_store_does_not_tell_is_said(look):
    small = BucketExposure(400, None, None, None, False)  # as rclone's
    result = look(small, small)
    assert result.verdict is Verdict.OK
    assert result.summary.endswith("The store does not tell: ACL, anonymous read, policy.")


def test_a_right_that_we_lack_is_named_and_not_green(look):
    result = look(BucketExposure(403, 403, None, False, True, rights_missing=("s3:GetBucketPolicyStatus",)))
    assert result.verdict is Verdict.UNKNOWN
    assert "we lack the right s3:GetBucketPolicyStatus" in result.summary
    assert "does not tell" not in result.summary


def test_a_right_that_we_lack_hides_no_open_bucket(look):
    result = look(BucketExposure(200, 403, None, False, True, rights_missing=("s3:GetBucketPolicyStatus",)))
    assert result.verdict is Verdict.CRITICAL


@pytest.mark.parametrize(
    "exposure", [BucketExposure(None, None, None, None, None), BucketExposure(302, 403, None, None, None)]
)
def test_nothing_or_nothing_clear_is_unknown(look, exposure):
    assert look(exposure).verdict is Verdict.UNKNOWN


def test_a_silent_store_is_unknown_and_explained(look):
    result = look(TargetTimeoutError("Silence."))
    assert result.verdict is Verdict.UNKNOWN
    assert result.because_of == "infrastructure.object_store"
