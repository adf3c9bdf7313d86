"""AWS Security Hub and Inspector by the connection `tdev_aws`: implements `core.security.security_hub.SecurityHub`."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from tdev_operators.core.errors import AccessDeniedError, GarbledAnswerError, InputError, SetupMissingError
from tdev_operators.core.security.scanning import moment_of
from tdev_operators.hooks.aws import aws_errors, make_client
from tdev_operators.hooks.connections import ConnectionFacts

_SECONDS = 20.0
_PAGE = 100
_KINDS = {"lambdaCode": "LAMBDA_CODE"}


class AwsSecurityHub:
    """The hub of the connection's account and region."""

    def __init__(self, facts: ConnectionFacts) -> None:
        self._facts = facts
        self._hub = ""

    @property
    def title(self) -> str:
        """See `SecurityHub.title`."""
        region, account = self._place()
        return f"account {account} in {region}"

    def subscribed_at(self) -> datetime:
        """See `SecurityHub.subscribed_at`."""
        client = make_client(self._facts, "securityhub", timeout_seconds=_SECONDS)
        try:
            with aws_errors("AWS Security Hub", self._facts):
                answer = client.describe_hub()
        except (AccessDeniedError, InputError) as error:
            if "InvalidAccessException" not in str(error):  # AWS's word for "not subscribed", with a 403 or a 400
                raise
            raise SetupMissingError(
                "Security Hub is not enabled in the account and region of tdev_aws; enable it, or switch "
                "scan.security_hub off in [[out_of_scope]]."
            ) from None
        self._hub = str(answer.get("HubArn", ""))
        at = moment_of(answer.get("SubscribedAt"))
        if at is None or not self._hub:
            raise GarbledAnswerError("AWS Security Hub does not say since when it is there.")
        return at

    def inspector(self) -> Mapping[str, str]:
        """See `SecurityHub.inspector`."""
        client = make_client(self._facts, "inspector2", timeout_seconds=_SECONDS)
        with aws_errors("AWS Inspector", self._facts):
            answer = client.batch_get_account_status(accountIds=[self._place()[1]])
        states: dict[str, str] = {}
        for account in answer.get("accounts", ()):
            for kind, state in account.get("resourceState", {}).items():
                states[_KINDS.get(kind, kind.upper())] = str(state.get("status", "unknown"))
        return states

    def findings(self, products: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """See `SecurityHub.findings`."""
        region, _ = self._place()
        partition = self._hub.split(":")[1]
        names = [f"arn:{partition}:securityhub:{region}::product/aws/{product}" for product in products]
        filters: dict[str, Any] = {
            "RecordState": _any_of("ACTIVE"),
            "WorkflowStatus": _any_of("NEW", "NOTIFIED", "SUPPRESSED"),  # who answers for one stands in our waivers
            **({"ProductArn": _any_of(*names)} if names else {}),
        }
        client = make_client(self._facts, "securityhub", timeout_seconds=_SECONDS)
        following: dict[str, str] = {}
        while True:
            with aws_errors("AWS Security Hub", self._facts):
                page = client.get_findings(Filters=filters, MaxResults=_PAGE, **following)
            yield from page.get("Findings", ())
            if not page.get("NextToken"):
                return
            following = {"NextToken": page["NextToken"]}

    def _place(self) -> tuple[str, str]:
        """Return region and account, from the hub's name: `arn:aws:securityhub:us-east-1:123456789012:hub/default`."""
        parts = self._hub.split(":")
        if len(parts) < 6:  # noqa: PLR2004  as every such name has
            raise GarbledAnswerError("AWS Security Hub does not say in which account it is.")
        return parts[3], parts[4]


def _any_of(*values: str) -> list[dict[str, str]]:
    return [{"Value": value, "Comparison": "EQUALS"} for value in values]
