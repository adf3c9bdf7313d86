"""What PostgreSQL's client programs complain about, in our own words."""

import re
from collections.abc import Iterable

from tdev_operators.core.errors import (
    AccessDeniedError,
    BusyError,
    CommandFailedError,
    GarbledAnswerError,
    TdevError,
    TransientError,
)

OUTPUT_LIMIT_BYTES = 1024 * 1024

_BAD = re.compile(r"\b(error|fatal|panic):", re.IGNORECASE)
_LOCKED = re.compile(
    # pg_dump waits for its locks under a statement_timeout, and has none otherwise.
    r"could not obtain lock|canceling statement due to (?:lock|statement) timeout|deadlock detected",
    re.IGNORECASE,
)
_LOCKED_RELATION = re.compile(r'LOCK TABLE (?:ONLY )?(.+?)(?: IN ACCESS|$)|on relation ("[^\n]+")')
_NO_SPACE = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_DENIED = re.compile(r"permission denied for ([^\n]+)|permission denied to ([^\n]+)|must be (owner of [^\n]+)")
_ROW_SECURITY = re.compile(r'row-level security policy for table ("[^\n]+")')
_NO_ENTRY = re.compile(
    r"password authentication failed|no pg_hba\.conf entry|no password supplied|role .* does not exist"
)
_LOST = re.compile(
    r"server closed the connection|terminating connection|connection to server|could not connect|SSL SYSCALL|"
    r"no connection to the server|connection (?:reset|refused|not open)|shutting down|starting up|"
    r"lost synchronization|invalid snapshot identifier|could not import the requested snapshot|"
    r"snapshot .* does not exist|could not receive data|could not send data|broken pipe",
    re.IGNORECASE,
)
_LONGEST_QUOTE = 300


def failure(program: str, database: str, status: int, stderr: str, secrets: Iterable[str] = ()) -> TdevError | None:
    """Return the error that a program's exit status (negative: a signal) and complaints amount to; None when none.

    Exit status 0 is not believed when it complained of an error, or of more than can be read.
    """
    bad = next((line for line in stderr.splitlines() if _BAD.search(line)), "")
    if status == 0 and not bad:
        if len(stderr) < OUTPUT_LIMIT_BYTES // 4:  # a character has up to four bytes
            return None
        return GarbledAnswerError(
            f"{program} of {database} ended well but complained endlessly, for example: {_quoted(stderr, secrets)}"
        )
    head = f"{program} of {database}"
    if found := _ROW_SECURITY.search(stderr):
        return AccessDeniedError(f"{head} may not see every row of {found[1]}; ALTER ROLE ... BYPASSRLS.")
    if found := _DENIED.search(stderr):
        what = next(group for group in found.groups() if group)
        return AccessDeniedError(
            f"{head} was denied {what}; GRANT it to the role, for example by pg_read_all_data, or ownership of "
            "large objects."
        )
    if _LOCKED.search(stderr):
        found = _LOCKED_RELATION.search(stderr)
        relation = f" on {next(group for group in found.groups() if group)[:_LONGEST_QUOTE]}" if found else ""
        return BusyError(f"{head} did not get its lock{relation} in time; see who holds it.")
    if _NO_SPACE.search(stderr):
        where = "the server's disk" if "ERROR:" in bad else "the disk of TMPDIR"
        return TransientError(f"{head} ended because {where} is full; free some of it.")
    if _NO_ENTRY.search(stderr):
        return AccessDeniedError(f"{head} was not let in: {_quoted(bad, secrets)}; see the connection's login.")
    if status < 0:
        return TransientError(f"{head} was killed by signal {-status}; see who did, or whether memory ran out.")
    if _LOST.search(stderr):
        return TransientError(f"{head} lost its server or its snapshot: {_quoted(bad or stderr, secrets)}")
    return CommandFailedError(f"{head} ended with exit status {status}: {_quoted(bad or stderr, secrets)}")


def _quoted(text: str, secrets: Iterable[str]) -> str:
    line = next((line for line in text.splitlines() if line.strip()), "it said nothing")
    for secret in secrets:
        line = line.replace(secret, "***") if secret else line
    return line[:_LONGEST_QUOTE].strip()
