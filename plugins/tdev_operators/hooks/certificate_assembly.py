"""Builds what the management of certificates works with from settings and connections."""

from tdev_operators.core.certificates.ports import CertificatePorts
from tdev_operators.core.settings import Settings
from tdev_operators.hooks.acm import AwsCertificateManager
from tdev_operators.hooks.assembly import system_ports
from tdev_operators.hooks.certificate_places import CertificatePlaces
from tdev_operators.hooks.connections import AWS, ConnectionSource


def certificate_ports(settings: Settings, connections: ConnectionSource) -> CertificatePorts:
    """Return the ports. Nothing is opened until a port is used.

    Raises:
        SetupMissingError: the connection `tdev_aws` is missing.
    """
    return CertificatePorts(
        system=system_ports(settings, connections),
        acm=AwsCertificateManager(connections.get(AWS)),
        web=CertificatePlaces(),
    )
