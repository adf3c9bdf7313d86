"""Rotation of logs as an operator (guide: Log Rotation): its configuration put on the hosts, by hand."""

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param

from tdev_operators.operators.base import MaintenanceOperator, ref_of
from tdev_operators.operators.work import close_by_hand, holding

if TYPE_CHECKING:
    from airflow.sdk import Context

ITEM = "install_log_rotation"


def log_rotation_form() -> dict[str, Param]:
    """Return the trigger form's fields."""
    return {
        "host": Param(
            "",
            type="string",
            title="Host",
            description="One of [[hosts]] of the settings; empty: all of them, one after the other.",
        ),
        "prove": Param(
            False,
            type="boolean",
            title="Prove",
            description="Rotate the logs once, now, and look whether every writer opens its new log.",
        ),
        "dry_run": Param(True, type="boolean", title="Dry run", description="Say what logrotate would do, and stop."),
    }


class LogRotationInstallOperator(MaintenanceOperator):
    """Puts the settings' configuration of logrotate on the hosts, takes back what is refused, records the outcome."""

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the verdict and its sentence."""
        from tdev_operators.core.logs.rotation.run import RotationWanted, install_rotation  # noqa: PLC0415
        from tdev_operators.hooks.assembly import airflow_connections, hosts_of  # noqa: PLC0415

        ref, asked, run = ref_of(context, tier=ITEM, item=ITEM), context["params"], context["dag_run"]
        wanted = RotationWanted(host=asked["host"].strip(), dry_run=asked["dry_run"], prove=asked["prove"])
        with holding(f"item:{ITEM}", f"{run.dag_id} {run.run_id}") as (ports, check):
            ports.ledger.open_item(ref, ports.clock())
            result = install_rotation(
                hosts_of(ports.settings, airflow_connections()),
                ports.settings,
                wanted,
                note=lambda event, facts: ports.ledger.journal(ref, event, facts),
                progress=self.log.info,
                check=check,
            )
            for line in result.details:
                self.log.info("%s", line)
            outcome = close_by_hand(ports, ref, (result,))
        return {"verdict": outcome.verdict.value, "summary": result.summary}
