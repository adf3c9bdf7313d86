"""What happens to the object store: it fails, throttles, resets, hangs, drips, lies, loses answers, is gone."""

from sandbox.fault_proxy import (
    Drip,
    Hang,
    LoseAnswer,
    ResetRequest,
    error_in_200,
    expired_token,
    internal_error,
    no_such_bucket,
    slow_down,
)
from tests.faults.harm import harmless
from tests.faults.moments import (
    COPY,
    DUMPED,
    LIST,
    MANIFEST,
    MARK,
    PACK,
    PART,
    PROVING,
    READ,
    SECOND_PART,
    UPLOAD,
    at,
)
from tests.faults.world import RUN_SECONDS


def _happens(world, fault, moment, holder, record, action, *, seconds=RUN_SECONDS, **options):
    with world.armed(moment, action, moment.times):
        run = world.start(*moment.steps, holder=holder, **options).wait(seconds)
    if moment.times == 1:
        assert run.status == 0, f"one {fault} was not survived:\n{run.log}"
    record(fault, moment.name, harmless(world, run, holder=holder))


@at("500", PART, DUMPED, COPY, PACK, *(each.lasting() for each in (PART, DUMPED, LIST, MANIFEST, PROVING)))
def test_500(world, fault, moment, holder, record):
    _happens(world, fault, moment, holder, record, internal_error())


@at("503 with Retry-After", PART, READ, LIST, *(each.lasting() for each in (MARK, PART, READ, COPY, PROVING)))
def test_503_with_retry_after(world, fault, moment, holder, record):
    _happens(world, fault, moment, holder, record, slow_down())


@at("reset mid-part", PART, SECOND_PART, PACK, PART.lasting(), PACK.lasting())
def test_a_reset_in_the_middle_of_a_part(world, fault, moment, holder, record):
    _happens(world, fault, moment, holder, record, ResetRequest(after_bytes=5_000))


@at("hang", PART, LIST, READ, *(each.lasting() for each in (PART, DUMPED, READ, MANIFEST)))
def test_a_hang(world, fault, moment, holder, record):
    # As in production, one hang is shorter than the patience with a store.
    options = {"patience_seconds": 6.0} if moment.times == 1 else {}
    _happens(world, fault, moment, holder, record, Hang(), **options)


@at("slow drip", PART.lasting(), LIST.lasting(), READ.lasting(), PACK.lasting(), PROVING.lasting())
def test_a_slow_drip(world, fault, moment, holder, record):
    direction = "request" if moment.name.startswith((PART.name, PACK.name)) else "response"
    # A drip is told from a slow store after half a minute, and tried six times.
    _happens(world, fault, moment, holder, record, Drip(400, direction), seconds=270)


@at("200 with an error body", DUMPED, COPY, DUMPED.lasting(), COPY.lasting(), MANIFEST.lasting())
def test_200_with_an_error_as_its_body(world, fault, moment, holder, record):
    _happens(world, fault, moment, holder, record, error_in_200())


@at("lost response", MARK, UPLOAD, PART, DUMPED, COPY, PACK, MANIFEST, DUMPED.lasting(), MANIFEST.lasting())
def test_the_response_to_a_success_is_lost(world, fault, moment, holder, record):
    _happens(world, fault, moment, holder, record, LoseAnswer())


@at("bucket gone", *(each.lasting() for each in (MARK, PART, DUMPED, LIST, READ, COPY, MANIFEST, PROVING)))
def test_a_bucket_is_gone(world, fault, moment, holder, record):
    _happens(world, fault, moment, holder, record, no_such_bucket())


@at("credentials expired", *(each.lasting() for each in (MARK, PART, DUMPED, LIST, READ, COPY, MANIFEST, PROVING)))
def test_the_credentials_expire_half_way(world, fault, moment, holder, record):
    _happens(world, fault, moment, holder, record, expired_token())
