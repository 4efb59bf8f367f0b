"""Where a webhook may go: to https on a public address, and nowhere inside.

A server that sends to any URL it is given is a way into the network around it (SSRF). So a URL is asked about twice.
At submission ``read`` takes it apart, by a grammar narrower than any library's: what two parsers could read
differently is refused, and what is connected to later is what was read here. Before each try ``is_denied`` is asked
about every address that the name has at that moment, for a name may change its mind.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from hybrid_ocr_core.errors import WebhookUrlDenied

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LONGEST_URL = 2048
_PORTS = {443, 8443}
_HIGHEST_PORT = 65535
#: No user, no fragment, no backslash; ASCII only, so that no dot, digit or letter looks like another.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>/(?:[a-z0-9._~!$&'()*+,;=:@/-]|%[0-9a-f]{2})*)?"
    r"(?P<query>\?(?:[a-z0-9._~!$&'()*+,;=:@/?-]|%[0-9a-f]{2})*)?",
    re.ASCII | re.IGNORECASE,
)
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
#: Some parsers take a host that ends like this for an address: decimal, octal or hex, with fewer dots.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
#: Names that are never public.
_LOCAL = {"localhost", "local", "internal", "lan", "intranet", "corp", "home", "arpa", "onion", "invalid", "test"}

#: What a development machine may allow.
_PRIVATE = [
    ipaddress.ip_network(each)
    for each in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
]
#: Never: metadata of clouds, within what is private or even public.
_METADATA = [
    ipaddress.ip_network(each)
    for each in (
        "169.254.0.0/16",  # AWS, GCP, Azure, ECS tasks
        "fd00:ec2::/32",  # AWS
        "fd20:ce::/32",  # GCP
        "100.100.100.200/32",  # Alibaba
        "192.0.0.192/32",  # Oracle
        "168.63.129.16/32",  # Azure's host
    )
]
#: Of IPv6 only this is public, less what follows.
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
#: Beyond what Python calls global: it differs from version to version, and lets through what leads to IPv4 by a detour.
#: https://www.iana.org/assignments/iana-ipv4-special-registry, …/iana-ipv6-special-registry
_SPECIAL = [
    ipaddress.ip_network(each)
    for each in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",  # Teredo and others
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookUrl:
    """A URL taken apart. ``host`` is a name, or an address without brackets; ``path`` has the query as well."""

    is_https: bool
    host: str
    address: Address | None
    port: int
    path: str

    @property
    def host_header(self) -> str:
        """As the client wrote it, less a port that goes without saying."""
        host = f"[{self.host}]" if isinstance(self.address, ipaddress.IPv6Address) else self.host
        return host if self.port == (443 if self.is_https else 80) else f"{host}:{self.port}"


def read(text: str, *, allow_private: bool) -> WebhookUrl:
    """Take a URL apart. ``allow_private`` is for development: http, any port, this machine and private networks.

    Raises:
        WebhookUrlDenied: it is malformed, or leads where nothing is sent.
    """
    match = _URL.fullmatch(text)
    if match is None or len(text) > LONGEST_URL:
        raise WebhookUrlDenied(
            "webhook_url must be like https://hooks.example.com/path, in ASCII, without user, password and fragment,"
            f" of at most {LONGEST_URL} characters"
        )
    is_https = match["scheme"].lower() == "https"
    if not is_https and not allow_private:
        raise WebhookUrlDenied("webhook_url must be https")
    port = int(match["port"] or (443 if is_https else 80))
    if port > _HIGHEST_PORT or not (allow_private or port in _PORTS):
        raise WebhookUrlDenied("webhook_url must have port 443 or 8443")
    host, address = _read_host(match["host"].lower(), allow_private=allow_private)
    if address is not None and is_denied(address, allow_private=allow_private):
        raise WebhookUrlDenied("webhook_url leads to an address that is not public")
    path = (match["path"] or "/") + (match["query"] or "")
    return WebhookUrl(is_https=is_https, host=host, address=address, port=port, path=path)


def is_denied(address: Address, *, allow_private: bool) -> bool:
    """May nothing be sent to this address?"""
    if _is_in(address, _METADATA):
        return True
    if allow_private and _is_in(address, _PRIVATE):
        return False
    if isinstance(address, ipaddress.IPv6Address) and (address.scope_id or address not in _GLOBAL_UNICAST):
        return True
    return not address.is_global or address.is_multicast or address.is_reserved or _is_in(address, _SPECIAL)


def _is_in(address: Address, networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    return any(address in network for network in networks)


def _read_host(host: str, *, allow_private: bool) -> tuple[str, Address | None]:
    labels = host.split(".")
    if host.startswith("[") or _NUMBER.fullmatch(labels[-1]):
        try:
            address = ipaddress.IPv6Address(host[1:-1]) if host.startswith("[") else ipaddress.IPv4Address(host)
        except ValueError as error:
            raise WebhookUrlDenied("webhook_url has a host that is no name and no address in its usual form") from error
        return str(address), address
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise WebhookUrlDenied("webhook_url has a host that is no name; write others than ASCII as xn--…")
    if not allow_private and (len(labels) == 1 or labels[-1] in _LOCAL):
        raise WebhookUrlDenied("webhook_url has a host that has no public name")
    return host, None
