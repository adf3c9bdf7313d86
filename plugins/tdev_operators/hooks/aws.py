"""AWS clients from our connections, and botocore's errors in our words. Works with stores that only speak S3, too."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any, Final

import botocore.exceptions as vendor
from botocore import UNSIGNED
from botocore.client import Config
from botocore.loaders import Loader, create_loader
from botocore.parsers import ResponseParserError
from botocore.session import Session

from tdev_operators.core.errors import (
    AccessDeniedError,
    GarbledAnswerError,
    InputError,
    SetupMissingError,
    TargetTimeoutError,
    TargetUnreachableError,
    TdevError,
    ThrottledError,
)
from tdev_operators.hooks.connections import USER_INFO, ConnectionFacts

_THROTTLING: Final = frozenset(
    {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException", "503", "429"}
)
_DENIED: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
        "401",
        "403",
    }
)
_NOT_SUPPORTED_EXTRAS: Final = ("assume_role_method", "session_kwargs", "s3_config_file")

# Making a client reads files and is not thread-safe; clients are.
_MAKING = Lock()


def endpoint_of(facts: ConnectionFacts, service: str) -> str | None:
    """Return the endpoint that the connection gives this service, as Airflow reads it; `None` for AWS's own.

    Raises:
        SetupMissingError: it holds a user or a password.
    """
    per_service = facts.extra.get("service_config", {}).get(service, {})
    endpoint = per_service.get("endpoint_url", facts.extra.get("endpoint_url"))
    if endpoint and USER_INFO.search(str(endpoint)):
        raise SetupMissingError(
            f"The connection {facts.conn_id} has a user or password in its endpoint_url, where every message would "
            "show it; move them into login and password."
        )
    return str(endpoint) if endpoint else None


def make_client(
    facts: ConnectionFacts,
    service: str,
    *,
    timeout_seconds: float,
    signed: bool = True,
    connections: int = 16,
    attempts: int = 2,
) -> Any:
    """Return a client of botocore with bounded time limits and one retry; `signed=False` speaks as a stranger.

    `connections` is how many are kept for threads that ask at the same time. With `attempts` of 1 the caller tries
    again by itself: botocore does not know of Retry-After.

    Credentials: login and password, else the extras `aws_access_key_id` and so on, else what the machine offers
    (profile, instance role); with the extra `role_arn` that role is assumed.

    Raises:
        SetupMissingError: the connection asks for something that is not supported here.
    """
    extra = facts.extra
    refused = [key for key in _NOT_SUPPORTED_EXTRAS if key in extra]
    if refused:
        raise SetupMissingError(
            f"The connection {facts.conn_id} has the extra {refused[0]}, which is not supported; "
            "give keys, profile_name or role_arn."
        )
    endpoint = endpoint_of(facts, service)
    config = Config(
        connect_timeout=max(1.0, timeout_seconds / 4),
        read_timeout=max(1.0, timeout_seconds / 2),
        retries={"total_max_attempts": attempts, "mode": "standard"},
        max_pool_connections=connections,
        # The checksums that botocore would add are refused or ignored by many other stores.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if endpoint else "auto"},
        user_agent_extra="tdev-maintenance",
        **({} if signed else {"signature_version": UNSIGNED}),
    )
    options: dict[str, Any] = {"config": config, "endpoint_url": endpoint, "verify": extra.get("verify")}
    with _MAKING, aws_errors(f"AWS {service}", facts):
        session = _session(
            facts.login or extra.get("aws_access_key_id"),
            facts.password or extra.get("aws_secret_access_key"),
            extra.get("aws_session_token"),
            region=extra.get("region_name") or ("us-east-1" if endpoint else None),
            profile=extra.get("profile_name"),
        )
        if signed and "role_arn" in extra:
            session = _assumed(session, facts, config)
        try:
            return session.create_client(service, **options)
        except ValueError:  # botocore's plain word for an endpoint that is no URL
            raise SetupMissingError(
                f"The connection {facts.conn_id} has an endpoint_url that is no URL; write http://host:port."
            ) from None


def _session(*keys: str | None, region: str | None, profile: str | None = None) -> Any:
    session: Any = Session()
    session.register_component("data_loader", _models())
    if profile is not None:
        session.set_config_variable("profile", profile)
    if any(keys):
        session.set_credentials(*keys)
    if region is not None:
        session.set_config_variable("region", region)
    return session


@cache
def _models() -> Loader:
    """What botocore knows of AWS's services, read once a process: each session would take 0.15 s to read it again."""
    return create_loader(os.environ.get("AWS_DATA_PATH"))


def _assumed(session: Any, facts: ConnectionFacts, config: Config) -> Any:
    sts = session.create_client("sts", config=config, endpoint_url=endpoint_of(facts, "sts"))
    answer = sts.assume_role(RoleArn=facts.extra["role_arn"], RoleSessionName="tdev-maintenance")["Credentials"]
    keys = (answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])
    return _session(*keys, region=session.get_config_variable("region"))


@contextmanager
def aws_errors(target: str, facts: ConnectionFacts) -> Iterator[None]:
    """Turn botocore's errors into ours. `target` begins the sentence, for example "The object store at ..."."""
    try:
        yield
    except vendor.ClientError as error:
        raise _answered(target, facts, error) from None
    except (vendor.ConnectTimeoutError, vendor.ReadTimeoutError):
        raise TargetTimeoutError(f"{target} did not answer in time; see whether it runs and can be reached.") from None
    except vendor.SSLError as error:
        raise TargetUnreachableError(
            f"{target} shows a certificate that we do not trust ({facts.scrub(str(error))[:200]}); "
            "mend it, or name its CA in the extra verify."
        ) from None
    except ResponseParserError:
        raise GarbledAnswerError(f"{target} answered something that is no AWS answer; mend the endpoint_url.") from None
    except (vendor.NoCredentialsError, vendor.PartialCredentialsError, vendor.ProfileNotFound, vendor.NoRegionError):
        raise SetupMissingError(
            f"{target} needs credentials and a region; give the connection {facts.conn_id} login, password and the "
            "extra region_name."
        ) from None
    except (vendor.ParamValidationError, vendor.InvalidRegionError) as error:
        raise InputError(f"{target} cannot be asked that way ({facts.scrub(str(error))[:300]}); mend it.") from None
    except (vendor.ConnectionError, vendor.HTTPClientError, vendor.IncompleteReadError) as error:
        raise TargetUnreachableError(
            f"{target} cannot be reached ({type(error).__name__}); see whether it runs."
        ) from None
    except vendor.BotoCoreError as error:
        raise InputError(
            f"{target} could not be asked ({type(error).__name__}: {facts.scrub(str(error))[:300]}); "
            f"mend the connection {facts.conn_id}."
        ) from None


def status_of(error: vendor.ClientError) -> int:
    """Return the HTTP status of a refused request, 0 when there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def code_of(error: vendor.ClientError) -> str:
    """Return AWS's name of an error, for example `NoSuchBucket`; the status as text where there is none."""
    return str(error.response.get("Error", {}).get("Code", "") or status_of(error))


def _answered(target: str, facts: ConnectionFacts, error: vendor.ClientError) -> TdevError:
    code, status = code_of(error), status_of(error)
    said = facts.scrub(str(error.response.get("Error", {}).get("Message", "")))[:200]
    because = f"{code}: {said}" if said else code
    if code in _THROTTLING or status in (429, 503):
        return ThrottledError(f"{target} asks for fewer requests ({because}); try again later.")
    if code == "RequestTimeTooSkewed":
        return AccessDeniedError(f"{target} refused us since our clocks differ; synchronise this machine's clock.")
    if code in _DENIED or status in (401, 403):
        return AccessDeniedError(
            f"{target} refused our credentials ({because}); mend the connection {facts.conn_id} or its rights."
        )
    if status >= 500 and status != 501:  # noqa: PLR2004 - HTTP's own numbers
        return TargetUnreachableError(f"{target} has a fault of its own ({because}); look into its log.")
    return InputError(f"{target} refused the request ({because}); mend its name or the connection {facts.conn_id}.")
