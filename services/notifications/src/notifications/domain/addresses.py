"""Where a webhook may go: to public addresses only, or somebody's URL would make us knock at our own doors."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

MAX_URL_LENGTH = 2000

_NOT_PUBLIC_4 = tuple(
    IPv4Network(network)
    for network in (
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
    )
)
_GLOBAL_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # Teredo, ORCHID and other protocols
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address in disguise, and out of use
        "3fff::/20",
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_URL_CHARACTERS = re.compile(r"[\x21-\x5b\x5d-\x7e]+")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)
_OCTET = re.compile(r"(0|[1-9][0-9]{0,2})")
_LOCAL_DOMAINS = ("localhost", "local", "internal", "lan", "home", "corp", "arpa", "onion", "test", "invalid")


class BadUrl(ValueError):
    """No webhook is sent there; says why."""


def is_public(address: str) -> bool:
    """Whether this address, in its canonical form, belongs to somebody out there.

    Does not ask ``is_global``: Python 3.11 calls ``64:ff9b::7f00:1`` and ``2002:7f00:1::`` public.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        inner = _embedded(parsed)
        if inner is None:
            return parsed in _GLOBAL_6 and not any(parsed in network for network in _NOT_PUBLIC_6)
        parsed = inner
    return not any(parsed in network for network in _NOT_PUBLIC_4)


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address to which packets for this one go in the end."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None


def check_url(url: str, *, allow_private: bool) -> None:
    """Accept the URL of an endpoint. Names are not looked up: what they mean counts when we connect.

    ``allow_private`` is for development: it lets plain HTTP and every host pass.

    Raises:
        BadUrl: it is malformed, or leads to a place that is not public.
    """
    if len(url) > MAX_URL_LENGTH:
        raise BadUrl(f"is longer than {MAX_URL_LENGTH} characters")
    if not _URL_CHARACTERS.fullmatch(url):
        raise BadUrl("must be written in ASCII, without spaces and backslashes; encode the rest")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadUrl("is not a URL") from error
    if parts.scheme != "https" and not (allow_private and parts.scheme == "http"):
        raise BadUrl("must begin with https://")
    if not host or port == 0:
        raise BadUrl("names no host" if not host else "port 0 does not exist")
    if parts.username is not None or parts.password is not None:
        raise BadUrl("must not hold a user name or password")
    if "#" in url:
        raise BadUrl("must not have a fragment")
    _check_host(host, allow_private=allow_private)


def _check_host(host: str, *, allow_private: bool) -> None:
    if ":" in host:
        _check_literal(host, allow_private=allow_private)
        return
    labels = host.removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):
        # 2130706433, 0x7f.1 and 017700000001 are 127.0.0.1 to many a library.
        if len(labels) != 4 or not all(_OCTET.fullmatch(label) for label in labels):
            raise BadUrl("write an IPv4 address as four decimal numbers")
        _check_literal(".".join(labels), allow_private=allow_private)
        return
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadUrl("the host is not a domain name")
    if not allow_private and (len(labels) == 1 or labels[-1].lower() in _LOCAL_DOMAINS):
        raise BadUrl("the host is not a public domain name")


def _check_literal(host: str, *, allow_private: bool) -> None:
    try:
        ip_address(host)
    except ValueError as error:
        raise BadUrl("the host is not an IP address") from error
    if not allow_private and not is_public(host):
        raise BadUrl("the address is not public")
