"""Every error this package raises.

    TdevError
    ├── TransientError            worth another try: the world may be different in a minute
    │   ├── TargetUnreachableError    nothing answered (connection refused, no route, DNS)
    │   ├── TargetTimeoutError        it answered too late, or not at all
    │   ├── ThrottledError            it asked us to slow down
    │   ├── BusyError                 a lock, lease or maintenance job of somebody else is in the way
    │   │   └── DiskFullError             the server's disk is full
    │   └── CommandFailedError        a child process ended badly and said nothing more precise
    └── PermanentError            trying again cannot help; a human changes something first
        ├── SettingsError             the settings file is wrong: says file, key and remedy
        ├── InputError                what the caller asked for is wrong
        ├── SetupMissingError         `tdev init` has not run, or a connection is missing
        ├── AccessDeniedError         credentials or privileges are missing
        ├── GarbledAnswerError        the target answered something that it must not answer
        ├── ProofFailedError          what was to be proven is not so
        └── RedVerdictError           an item of the calendar ended CRITICAL or UNKNOWN

`retryable` is a property of the class. Messages are one sentence that says what to change; they never hold a
password or a DSN. All are picklable, because Airflow carries exceptions between processes.
"""

from logging import Logger
from typing import ClassVar


class TdevError(Exception):
    """Base of all errors of this package."""

    retryable: ClassVar[bool] = False


class TransientError(TdevError):
    """Worth another try with back-off."""

    retryable: ClassVar[bool] = True


class TargetUnreachableError(TransientError):
    """Nothing answered at the target's address."""


class TargetTimeoutError(TransientError):
    """The target did not answer within its time limit."""


class ThrottledError(TransientError):
    """The target asked for fewer requests."""


class BusyError(TransientError):
    """A lock or lease that is held elsewhere stands in the way."""


class DiskFullError(BusyError):
    """A disk of the target is full: whatever is tried next will fail as well, until somebody frees some."""


class CommandFailedError(TransientError):
    """A child process ended with a bad exit status."""


class PermanentError(TdevError):
    """Another try cannot help."""


class SettingsError(PermanentError):
    """The settings are wrong; the message names file, key and remedy."""


class InputError(PermanentError):
    """What the caller asked for cannot be done."""


class SetupMissingError(PermanentError):
    """Something that `tdev init` or an administrator provides is missing."""


class AccessDeniedError(PermanentError):
    """Credentials or privileges are missing."""


class GarbledAnswerError(PermanentError):
    """The target answered something that does not follow its protocol."""


class ProofFailedError(PermanentError):
    """Evidence contradicts what was to be proven."""


class RedVerdictError(PermanentError):
    """An item of the maintenance calendar ended CRITICAL or UNKNOWN."""


def sentence_of(error: Exception, what: str, log: Logger) -> str:
    """Return what people are told of an error that must not stop the others.

    One of ours says it itself. Of any other only the type is told, for its text may hold anything, a password, too; its
    traceback goes into the log, under `what` was being done.
    """
    if isinstance(error, TdevError):
        return str(error)
    log.error("%s: a defect of ours", what, exc_info=error)
    return f"{type(error).__name__}, a defect of ours; see the traceback in this run's log."
