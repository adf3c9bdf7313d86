"""Starting again what was left stopped: one that cannot be started holds up none of the others."""

from collections.abc import Callable, Iterable

from tdev_operators.core.errors import TdevError


def each_of(starts: Iterable[Callable[[], None]]) -> None:
    """Call every one, and raise at the end what went wrong; that is retryable when another try may help with any.

    Raises what the calls raise; of several errors one that says it all.
    """
    errors: list[TdevError] = []
    for start in starts:
        try:
            start()
        except TdevError as error:
            errors.append(error)
    if not errors:
        return
    first = next((error for error in errors if error.retryable), errors[0])
    if len(errors) == 1:
        raise first
    raise type(first)("; ".join(str(error).rstrip(".") for error in errors) + ".") from first
