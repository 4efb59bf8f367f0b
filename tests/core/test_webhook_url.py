"""Where webhooks may go: every spelling of an address that we know of, and every range that is not the public net."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_ocr_core.errors import WebhookUrlDenied
from hybrid_ocr_core.webhook_url import Address, is_denied, read

_ALLOWED = [
    "https://example.com",
    "https://example.com/",
    "https://example.com?x=1",
    "https://example.com:443/hook",
    "https://example.com:8443/hook",
    "https://hooks.example.co.uk/a/b%20c?d=e&f=%2F",
    "https://HOOKS.Example.COM/Path",
    "HTTPS://example.com/",
    "https://xn--bcher-kva.example/",
    "https://a-b.example.com/",
    "https://1.example.com/",
    "https://example.com//double",
    "https://example.com/@user",
    "https://example.com/?u=https://other.example",
    "https://8.8.8.8/",
    "https://8.8.8.8:8443/",
    "https://[2606:4700:4700::1111]/",
    "https://[2606:4700:4700::1111]:443/",
    "https://0x7f.example.com/",
    "https://local.example.com/",
]

_DENIED_FORMS = [
    # another scheme, or none
    "",
    "example.com",
    "//example.com/",
    "http://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "https:example.com",
    "https:/example.com",
    "https:///example.com",
    "https://",
    "https:///",
    "javascript:alert(1)",
    "unix:///run/docker.sock",
    # user and password
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://example.com@127.0.0.1/",
    "https://@example.com/",
    "https://example.com:443@127.0.0.1/",
    "https://example.com%40127.0.0.1/",
    # ports
    "https://example.com:80/",
    "https://example.com:22/",
    "https://example.com:8080/",
    "https://example.com:0/",
    "https://example.com:/",
    "https://example.com:0443/",
    "https://example.com:+443/",
    "https://example.com:-1/",
    "https://example.com:65979/",  # 443, if somebody counts in 16 bits
    "https://example.com:443:443/",
    "https://example.com:443a/",
    "https://example.com:99999999999/",
    # fragments, backslashes, blanks, control characters
    "https://example.com/#fragment",
    "https://example.com#@127.0.0.1/",
    "https://example.com\\@127.0.0.1/",
    "https:\\\\example.com/",
    "https://example.com\\.evil.example/",
    "https://example.com/\\path",
    " https://example.com/",
    "https://example.com/ ",
    "https://exa mple.com/",
    "https://example.com/a b",
    "https://example.com/\n",
    "https://example.com/\r\nHost: evil",
    "https://example.com\t/",
    "https://example.com/\x00",
    "https://example.com\x00.evil.example/",
    "https://example.com/\x7f",
    # percent signs
    "https://%65xample.com/",
    "https://127.0.0.1%2f@example.com/",
    "https://example.com/%",
    "https://example.com/%zz",
    # what only looks like ASCII
    "https://bücher.example/",
    "https://example。com/",
    "https://example．com/",
    "https://127。0。0。1/",
    "https://ⓔxample.com/",
    "https://１２７.0.0.1/",
    "https://①②⑦.0.0.1/",
    "https://exam\u00adple.com/",
    "https://example.com/\u2028",
    "https://ſ.example/",
    "https://\u212a.example/",  # the Kelvin sign
    # names
    "https://example.com./",
    "https://example..com/",
    "https://.example.com/",
    "https://./",
    "https://-example.com/",
    "https://example-.com/",
    "https://exam_ple.com/",
    "https://*.example.com/",
    "https://" + "a" * 64 + ".example/",
    "https://" + "a." * 130 + "com/",
    "https://example.com/" + "a" * 2048,
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://foo.localhost/",
    "https://printer.local/",
    "https://metadata/",
    "https://metadata.google.internal/",
    "https://1.0.0.127.in-addr.arpa/",
]

_DENIED_ADDRESSES = [
    # this machine, in every spelling
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.255",
    "0",
    "0.0.0.0",
    "2130706433",
    "02130706433",
    "0x7f000001",
    "0X7F000001",
    "0x7f.0x0.0x0.0x1",
    "0x7f.1",
    "0177.0.0.1",
    "0177.0.0.01",
    "017700000001",
    "127.0.0.01",
    "127.0.0.1.",
    "127.0.0.0x1",
    "127.0.0.0x",
    "256.256.256.256",
    "127.0.0.257",
    "4294967297",
    "1.2.3",
    "8.8.8",
    "8.8.8.8.8",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::FFFF:7F00:0001]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
    # private
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "[fc00::1]",
    "[fd12:3456:789a::1]",
    "[fec0::1]",
    "[::ffff:10.0.0.1]",
    # metadata and link-local
    "169.254.169.254",
    "169.254.170.2",
    "2852039166",
    "0xa9fea9fe",
    "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "[fe80::1]",
    "[fe80::1%eth0]",
    "[fe80::1%25eth0]",
    "[::1%lo]",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    # for documentation, tests, protocols, many
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "0.1.2.3",
    "[ff02::1]",
    "[ff0e::1]",
    "[100::1]",
    "[2001::1]",
    "[2001:10::1]",
    "[2001:20::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[5f00::1]",
    "[4000::1]",
    # no addresses at all
    "[]",
    "[::1",
    "::1",
    "[8.8.8.8]",
    "[1]",
    "[::g]",
    "[1:2:3:4:5:6:7:8:9]",
    "[::1]a",
    "[::ffff:8.8.8.8]",  # public, but a detour
    "[v1.fe]",
]

_NEVER = [
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "100.64.0.1",
    "192.0.0.192",
    "168.63.129.16",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "fe80::1",
    "fe80::1%1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "::",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "2002:7f00:1::",
    "fec0::1",
    "ff02::1",
]


def test_the_table_is_long() -> None:
    assert len(set(_DENIED_FORMS + _DENIED_ADDRESSES)) >= 180


@pytest.mark.parametrize("url", _ALLOWED)
def test_a_public_https_url_is_allowed(url: str) -> None:
    assert read(url, allow_private=False).is_https


@pytest.mark.parametrize("url", _DENIED_FORMS)
def test_a_url_of_another_form_is_denied(url: str) -> None:
    with pytest.raises(WebhookUrlDenied):
        read(url, allow_private=False)


@pytest.mark.parametrize("host", _DENIED_ADDRESSES)
def test_an_address_that_is_not_public_is_denied_however_it_is_spelled(host: str) -> None:
    for url in (f"https://{host}/", f"https://{host}:8443/hook?x=1", f"https://{host}"):
        with pytest.raises(WebhookUrlDenied):
            read(url, allow_private=False)


@pytest.mark.parametrize(
    ("url", "is_https", "host", "port", "path", "host_header"),
    [
        ("https://Example.com", True, "example.com", 443, "/", "example.com"),
        ("https://example.com:8443/a?b", True, "example.com", 8443, "/a?b", "example.com:8443"),
        ("https://[2606:4700:4700:0::1111]?q", True, "2606:4700:4700::1111", 443, "/?q", "[2606:4700:4700::1111]"),
        ("http://localhost:5000/x", False, "localhost", 5000, "/x", "localhost:5000"),
        ("http://192.168.1.2/", False, "192.168.1.2", 80, "/", "192.168.1.2"),
        ("https://[::1]:9000/", True, "::1", 9000, "/", "[::1]:9000"),
    ],
)
def test_what_is_connected_to_is_what_was_read(
    url: str, is_https: bool, host: str, port: int, path: str, host_header: str
) -> None:
    found = read(url, allow_private=True)

    assert (found.is_https, found.host, found.port, found.path) == (is_https, host, port, path)
    assert found.host_header == host_header


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.1.2.3", "172.17.0.1", "192.168.0.9", "fd12::1", "8.8.8.8"])
def test_in_development_private_addresses_are_allowed(address: str) -> None:
    assert not is_denied(ipaddress.ip_address(address), allow_private=True)


@pytest.mark.parametrize("address", _NEVER)
def test_metadata_link_local_and_detours_are_denied_in_development_too(address: str) -> None:
    for allow_private in (False, True):
        assert is_denied(ipaddress.ip_address(address), allow_private=allow_private)


@pytest.mark.parametrize(
    "url", ["http://user@localhost/", "http://localhost:0/", "http://127.1/", "http://0x7f000001/"]
)
def test_in_development_a_url_is_read_as_strictly(url: str) -> None:
    with pytest.raises(WebhookUrlDenied):
        read(url, allow_private=True)


@given(st.ip_addresses())
def test_no_address_is_allowed_that_python_does_not_call_global(address: Address) -> None:
    if not address.is_global or address.is_multicast:
        assert is_denied(address, allow_private=False)


@given(st.ip_addresses(v=4).filter(lambda found: is_denied(found, allow_private=False)))
def test_no_number_stands_for_an_address_that_is_denied(address: ipaddress.IPv4Address) -> None:
    packed = int(address)
    for host in (str(packed), hex(packed), oct(packed).replace("o", ""), f"[::ffff:{address}]", f"[::{address}]"):
        with pytest.raises(WebhookUrlDenied):
            read(f"https://{host}/", allow_private=False)
