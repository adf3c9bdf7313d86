"""AWS Certificate Manager by the connection `tdev_aws`: implements `core.certificates.ports.Acm`."""

from collections.abc import Iterator, Mapping
from typing import Any

from tdev_operators.core.certificates.ports import AcmCertificate
from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.hooks.aws import aws_errors, make_client
from tdev_operators.hooks.connections import ConnectionFacts

_SECONDS = 20.0
_WHAT = "AWS Certificate Manager"
# Without this filter ACM lists RSA keys of 2048 bits alone.
_EVERY_KEY = (
    *("RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096"),
    *("EC_prime256v1", "EC_secp384r1", "EC_secp521r1"),
)


class AwsCertificateManager:
    """The certificates of the connection's account and region.

    Rights: `acm:ListCertificates`, `acm:DescribeCertificate`, and `acm:RenewCertificate` where it shall renew.
    """

    def __init__(self, facts: ConnectionFacts) -> None:
        self._facts = facts

    def all(self) -> Iterator[AcmCertificate]:
        """See `Acm.all`."""
        client = self._client()
        with aws_errors(_WHAT, self._facts):
            pages = client.get_paginator("list_certificates").paginate(Includes={"keyTypes": list(_EVERY_KEY)})
            arns = [str(one["CertificateArn"]) for page in pages for one in page.get("CertificateSummaryList", ())]
        for arn in arns:
            yield self.find(arn)

    def find(self, arn: str) -> AcmCertificate:
        """See `Acm.find`."""
        with aws_errors(_WHAT, self._facts):
            found = self._client().describe_certificate(CertificateArn=arn).get("Certificate", {})
        return _certificate(arn, found)

    def renew(self, arn: str) -> None:
        """See `Acm.renew`."""
        with aws_errors(_WHAT, self._facts):
            self._client().renew_certificate(CertificateArn=arn)

    def _client(self) -> Any:
        return make_client(self._facts, "acm", timeout_seconds=_SECONDS)


def _certificate(arn: str, found: Mapping[str, Any]) -> AcmCertificate:
    try:
        serial = int(str(found.get("Serial") or "0").replace(":", ""), 16)
    except ValueError:
        raise GarbledAnswerError(f"{_WHAT} gives {arn} a serial number that is none.") from None
    names = tuple(dict.fromkeys([str(found.get("DomainName", "")), *found.get("SubjectAlternativeNames", ())]))
    return AcmCertificate(
        arn=arn,
        names=names,
        kind=str(found.get("Type", "")),
        status=str(found.get("Status", "")),
        eligible=found.get("RenewalEligibility") == "ELIGIBLE",
        in_use=bool(found.get("InUseBy")),
        exportable=found.get("Options", {}).get("Export") == "ENABLED" or found.get("Type") == "PRIVATE",
        serial=serial,
        begins=found.get("NotBefore"),
        ends=found.get("NotAfter"),
        renewal=str(found.get("RenewalSummary", {}).get("RenewalStatus", "")),
    )
