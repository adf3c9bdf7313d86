"""## Put the rotation of logs on the hosts, started by a team lead

As it stands it is a **dry run**: it says what logrotate makes of the configuration that `[logs.rotation]` of the settings gives, and
what would be rotated. Untick *Dry run* to put it in place on every host, one after the other. With *Prove* the logs are rotated once,
now: each must be made anew with its mode and owner, and no process may stay in the old one. **Way back**: a configuration that the
host's logrotate does not take is taken back by itself; afterwards the former file stands beside the new one, with `.dpkg-old` at its
end. What *Prove* rotated stays rotated; no line is lost by it.

| red task | what it means | what to do |
|---|---|---|
| `install` | the host is none of the settings', the ledger is away, or another run works | its log says it in one sentence; clear it |
| `report` | neither ledger nor bucket took the report | mend the connections `tdev_ledger`, `tdev_aws`; clear |
| `judge` | logrotate refuses the configuration, a writer stays in its old log, or a host is away | read the report: it says what is in place on which host |
"""

from airflow.sdk import DAG

from tdev_operators.operators.log_rotation import LogRotationInstallOperator, log_rotation_form
from tdev_operators.operators.procedures import Procedure
from tdev_operators.operators.schedule import LEADS_MAY_START

with (
    DAG(
        dag_id="tdev_install_log_rotation",
        description="By hand: put the configuration of logrotate on the hosts, and prove that it rotates",
        schedule=None,
        params=log_rotation_form(),
        access_control=LEADS_MAY_START,
        catchup=False,
        allowed_run_types=["manual"],
        max_active_runs=1,
        doc_md=__doc__,
        tags=["maintenance", "logs"],
    ),
    Procedure("install_log_rotation", minutes=15, owner="DevOps"),
):
    install = LogRotationInstallOperator(task_id="install")

    install
