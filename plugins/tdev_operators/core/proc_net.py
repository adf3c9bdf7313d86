"""How Linux writes the addresses of sockets in /proc/net (proc(5)). Pure."""

from ipaddress import IPv4Address, IPv6Address, ip_address


def address_of(told: str) -> IPv4Address | IPv6Address:
    """Read an address of /proc/net/tcp and the like; one of IPv4 that is written within IPv6 is IPv4."""
    raw = bytes.fromhex(told)
    # Words of four bytes, each in the host's order; ours are little-endian machines.
    found = ip_address(b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4)))
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
