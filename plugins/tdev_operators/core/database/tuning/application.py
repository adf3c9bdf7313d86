"""The application's own configuration: asked over its API, compared, changed when asked, and read back."""

import json
from collections.abc import Mapping
from typing import Any

from tdev_operators.core.database.tuning.ports import Configurable
from tdev_operators.core.database.tuning.settings import TuningSettings
from tdev_operators.core.errors import AccessDeniedError, GarbledAnswerError, InputError, ProofFailedError
from tdev_operators.core.ports import HttpAnswer, HttpService
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

CHECK = "tuning.application"
_OK, _UNAUTHORISED, _FORBIDDEN, _REFUSALS = 200, 401, 403, range(400, 500)


def configuration(api: HttpService | Configurable, settings: TuningSettings) -> dict[str, Any]:
    """Ask the application how it is configured.

    Raises:
        AccessDeniedError: the token is refused. GarbledAnswerError: it answers something else; as `HttpService.get`.
    """
    answer = api.get(settings.config_path)
    return _object(api.name, "GET", settings.config_path, answer)


def change(api: Configurable, settings: TuningSettings, values: Mapping[str, Any]) -> None:
    """Change keys of the configuration, and prove it by reading them back. Done twice, it is done once.

    Raises:
        InputError: the application refuses them. ProofFailedError: it took them and tells others; and as above.
    """
    answer = api.patch(settings.config_path, values)
    if answer.status in _REFUSALS and answer.status not in (_UNAUTHORISED, _FORBIDDEN):
        said = answer.body[:200].decode("utf-8", "replace")
        raise InputError(f"{api.name} refused {dict(values)} with status {answer.status} ({said}); correct the values.")
    _object(api.name, "PATCH", settings.config_path, answer)
    now = configuration(api, settings)
    if wrong := {key: now.get(key) for key, value in values.items() if not equal(now.get(key), value)}:
        raise ProofFailedError(f"{api.name} took {dict(values)} and tells {wrong} afterwards; see its log.")


def equal(one: Any, other: Any) -> bool:
    """Whether two JSON values are one: 50 is 50.0, and true is not 1."""
    return one == other and isinstance(one, bool) is isinstance(other, bool)


def drift(now: Mapping[str, Any], settings: TuningSettings) -> dict[str, tuple[Any, Any]]:
    """Return what differs: key, and the recommended and the real value. Keys that it does not tell are left out."""
    return {
        key: (value, now[key])
        for key, value in settings.application.items()
        if key in now and not equal(now[key], value)
    }


def judge(now: Mapping[str, Any], settings: TuningSettings) -> CheckResult:
    """Say how far the application is from what is recommended."""
    differing = drift(now, settings)
    untold = {key: "the application does not tell it" for key in settings.application if key not in now}
    known = [key for key in settings.application if key in now]
    said = [f"{key} is {real} and not the recommended {wanted}." for key, (wanted, real) in differing.items()]
    width = max((len(key) for key in settings.application), default=0)
    return CheckResult(
        CHECK,
        Verdict.WARNING if differing else Verdict.OK,
        " ".join(said) or f"All {len(known)} recommended values are in force.",
        (Measurement("application's values that differ", len(differing), "", 1),),
        "Start `tdev_apply_tuning` with *Application*, or correct [tuning.application]." if differing else "",
        Coverage(seen=tuple(known), skipped=untold),
        details=tuple(
            f"{key.ljust(width)}  recommended {value}, in force {now.get(key, 'unknown')}"
            for key, value in settings.application.items()
        ),
    )


def _object(name: str, method: str, path: str, answer: HttpAnswer) -> dict[str, Any]:
    what = f"{name}, asked to {method} {path},"
    if answer.status in (_UNAUTHORISED, _FORBIDDEN):
        raise AccessDeniedError(f"{what} refuses our token (status {answer.status}); mend the connection tdev_api.")
    if answer.status != _OK:
        raise GarbledAnswerError(f"{what} answered status {answer.status}; see tuning.config_path.")
    try:
        told = json.loads(answer.body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise GarbledAnswerError(f"{what} answered no JSON object; see tuning.config_path.")
    return told
