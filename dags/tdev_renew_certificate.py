"""## Renew one certificate, started by a team lead

As it stands it is a **dry run**: it says whether the certificate is due and which commands would be run where. Untick *Dry
run* to renew it. The former files stand beside the new ones until every address serves the new serial number; when the
new certificate cannot be used they go back. **Way back** afterwards: none is needed, the former one is about to end.

| red task | what it means | what to do |
|---|---|---|
| `renew` | the name is none of the settings', or ledger or hosts are away | its log says it in one sentence; clear it: a renewal that was begun goes on |
| `report` | neither ledger nor bucket took the report | mend the connections `tdev_ledger`, `tdev_aws`; clear |
| `judge` | it was not renewed, or not every address serves the new one | read the report: it says what is served now |
"""

from airflow.sdk import DAG

from tdev_operators.operators.certificates import CertificateRenewOperator, certificate_form
from tdev_operators.operators.procedures import Procedure
from tdev_operators.operators.schedule import LEADS_MAY_START

with (
    DAG(
        dag_id="tdev_renew_certificate",
        description="By hand: renew one certificate, and prove that it is served",
        schedule=None,
        params=certificate_form(),
        access_control=LEADS_MAY_START,
        catchup=False,
        allowed_run_types=["manual"],
        max_active_runs=1,
        doc_md=__doc__,
        tags=["maintenance", "certificates"],
    ),
    Procedure("renew_certificate", minutes=15, owner="Security"),
):
    renew = CertificateRenewOperator(task_id="renew")

    renew
