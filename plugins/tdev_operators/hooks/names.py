"""DNS: the machine's own resolver, or the one that the settings name."""

import ipaddress
import socket
from functools import partial

from tdev_operators.core.errors import InputError, SettingsError, TargetTimeoutError, TargetUnreachableError
from tdev_operators.core.settings import SYSTEM_RESOLVER, resolver_address
from tdev_operators.hooks.deadline import TimeUpError, within

_NO_SUCH_NAME = (socket.EAI_NONAME, socket.EAI_NODATA)


class DnsResolver:
    """Implements `ports.Resolver`.

    `resolver_setting` is "system" (what the programs of this machine see, /etc/hosts included) or "address:port" of a
    DNS server, which is asked directly; `[::1]:53` for IPv6.

    Raises:
        SettingsError: `resolver_setting` is neither.
    """

    def __init__(self, resolver_setting: str = SYSTEM_RESOLVER, *, timeout_seconds: float = 5.0) -> None:
        self._seconds = timeout_seconds
        self._setting = resolver_setting
        try:
            self._server = resolver_address(resolver_setting)
        except ValueError as error:
            raise SettingsError(f"dns.resolver: {error}.") from None

    def resolve(self, name: str) -> tuple[str, ...]:
        """See `ports.Resolver.resolve`.

        Raises:
            InputError: this can be no host name.
        """
        try:
            found = within(self._seconds, partial(self._ask, name))
        except TimeUpError:
            raise self._too_late(name) from None
        return tuple(sorted(found, key=lambda text: (":" in text, ipaddress.ip_address(text))))

    def _ask(self, name: str) -> set[str]:
        return self._ask_system(name) if self._server is None else self._ask_server(name, *self._server)

    def _ask_system(self, name: str) -> set[str]:
        try:
            answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno in _NO_SUCH_NAME:
                return set()
            raise TargetUnreachableError(
                f"This machine's resolver could not look {name} up ({error.strerror}); see /etc/resolv.conf."
            ) from None
        except UnicodeError:
            raise _no_name(name) from None
        return {str(address[0]).partition("%")[0] for *_, address in answers}

    def _ask_server(self, name: str, address: str, port: int) -> set[str]:
        import dns.exception  # noqa: PLC0415 - most installations ask the system and need none of it
        import dns.resolver  # noqa: PLC0415

        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port, resolver.lifetime = [address], port, self._seconds
        found: set[str] = set()
        for kind in ("A", "AAAA"):
            try:
                answer = resolver.resolve(name, kind, search=False, raise_on_no_answer=False)
            except dns.resolver.NXDOMAIN:
                return set()
            except dns.resolver.LifetimeTimeout:
                raise self._too_late(name) from None
            except dns.resolver.NoNameservers as error:
                raise TargetUnreachableError(
                    f"The DNS server {self._setting} gave no answer for {name} ({_reason(error)}); see its log."
                ) from None
            except (dns.exception.DNSException, UnicodeError):
                raise _no_name(name) from None
            found.update(record.address for record in answer.rrset or ())
        return found

    def _too_late(self, name: str) -> TargetTimeoutError:
        whom = "This machine's resolver" if self._server is None else f"The DNS server {self._setting}"
        return TargetTimeoutError(f"{whom} did not answer for {name} within {self._seconds:g} s; see whether it runs.")


def _reason(error: Exception) -> str:
    """Return the server's last word, for example SERVFAIL."""
    tried = getattr(error, "kwargs", {}).get("errors") or ()
    return str(tried[-1][3]).partition("\n")[0] if tried else "no server left to ask"


def _no_name(name: str) -> InputError:
    return InputError(f"{name!r} can be no host name; mend it in the settings.")
