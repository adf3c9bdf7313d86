"""Airflow's own command line, several commands in one process: each start of it takes many seconds.

As a program (`python -m tdev_operators.hooks.airflow_commands`) it reads the commands as JSON from standard input and
writes a line for each: `[exit status, what it printed]`. It ends at the first one that fails.
"""

import contextlib
import io
import json
import random
import sys
import time
from collections.abc import Mapping, Sequence

from tdev_operators.core.commands import run
from tdev_operators.core.errors import SetupMissingError

PROGRAM = (sys.executable, "-m", "tdev_operators.hooks.airflow_commands")

_SECONDS = 240.0
_TRIES = 4


def airflow_says(commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> list[str]:
    """Run Airflow commands, one after the other, and return what each printed.

    Raises:
        SetupMissingError: one failed; the message holds its last line.
    """
    given = json.dumps([list(command) for command in commands]).encode()
    # Each start of Airflow's command line, and of its API server, brings the permissions in its database up to date;
    # of two that do it at once one ends with a duplicate key. The next try finds them there.
    for attempt in range(_TRIES):
        output = run(PROGRAM, timeout_seconds=_SECONDS, env=dict(environment), stdin=given)
        answers = [json.loads(line) for line in output.stdout.splitlines() if line.startswith("[")]
        if len(answers) == len(commands) and all(status == 0 for status, _ in answers):
            return [printed for _, printed in answers]
        said = "\n".join([output.stderr, *(printed for status, printed in answers if status)])
        if "UniqueViolation" not in said:
            break
        time.sleep(random.uniform(0, 2 * (attempt + 1)))  # noqa: S311 - so that two do not meet again
    failed = commands[min(len([1 for status, _ in answers if status == 0]), len(commands) - 1)]
    lines = [line for line in said.splitlines() if line and "sqlalche.me" not in line]
    last = lines[-1].strip() if lines else "it said nothing"
    raise SetupMissingError(f"`airflow {' '.join(failed[:2])}` failed ({last}); run `airflow db migrate` first.")


def _main() -> int:
    from airflow.cli import cli_parser  # noqa: PLC0415  three seconds that only the program should pay

    parser, answers = cli_parser.get_parser(), sys.stdout
    for command in json.load(sys.stdin):
        printed, status = io.StringIO(), 0
        with contextlib.redirect_stdout(printed):
            try:
                arguments = parser.parse_args(command)
                arguments.func(arguments)
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
                sys.stderr.write(f"{ended.code}\n" if isinstance(ended.code, str) else "")
        answers.write(json.dumps([status, printed.getvalue()]) + "\n")
        if status:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
