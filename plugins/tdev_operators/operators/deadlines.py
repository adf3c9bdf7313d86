"""What happens when an item misses its deadline, and when its report could not be written."""

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tdev_operators.core.errors import TdevError

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


def announce_missed_deadline(*, context: dict[str, Any], item: str) -> None:
    """Alert that an item is late, once; silent when it ended in time, or when its run failed and said so already.

    Airflow calls it in the executor when a deadline alert of `item_deadlines` fires. It knows the run and the deadline
    only; Airflow also fires for runs that failed before their deadline.
    """
    from tdev_operators.core.reporting.runs import announce_missed_deadline as announce  # noqa: PLC0415  not while parsing
    from tdev_operators.operators.base import task_ports  # noqa: PLC0415

    run, deadline = context["dag_run"], context["deadline"]
    ports = task_ports()
    sent = announce(
        ports.ledger,
        ports.channels,
        ports.settings,
        dag_id=run["dag_id"],
        run_id=run["dag_run_id"],
        run_state=run["state"],
        item=item,
        deadline_at=_moment(deadline["deadline_time"]),
        now=ports.clock(),
    )
    log.info("Deadline of %s in %s: %s", item, run["dag_run_id"], "announced" if sent else "nothing to announce")


def announce_unwritten_report(context: "Context", *, tier: str, item: str) -> None:
    """Alert that an item has no report: the one failure that the ledger cannot tell by itself."""
    from tdev_operators.core.reporting.runs import announce_unwritten_report as announce  # noqa: PLC0415
    from tdev_operators.operators.base import ref_of, task_ports  # noqa: PLC0415

    ports = task_ports()
    ref = ref_of(context, tier=tier, item=item)
    error = context.get("exception")
    # Other people's texts may hold an address or a login; ours never do.
    text = str(error) if isinstance(error, TdevError) else type(error).__name__ if error else "the task was killed"
    announce(ports.channels, ports.settings, ref, error=text)


def _moment(value: datetime | str) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)
