"""Which addresses are public, in whatever clothes they come."""

import pytest

from providers import reach

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "198.18.0.1",
    "192.0.0.192",
    "0.0.0.0",  # noqa: S104 - asked for, not listened at
    "255.255.255.255",
    "224.0.0.1",
    # the same, as the system's resolver takes them
    "2130706433",
    "2852039166",
    "0177.0.0.1",
    "0x7f.1",
    "0x7f000001",
    "127.1",
    "10.1",
    "0",
    # IPv6, and IPv4 in it
    "::",
    "::1",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::127.0.0.1",
    "::ffff:0:10.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::a00:1",
    "2002:a00:1::",
    "2001:0:53aa:64c:0:fbff:f5ff:fffe",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    # names of this machine
    "localhost",
    "LOCALHOST.",
    "api.localhost",
]
PUBLIC = [
    "93.184.216.34",
    "2606:2800:220:1::",
    "::ffff:93.184.216.34",
    "64:ff9b::93.184.216.34",
    "1572395042",
]
NAMES = ["pictures.example", "1a.example", "0xample", "deadbeef", "12.example", ""]


@pytest.mark.parametrize("host", [*PRIVATE, *(f"[{host}]" for host in PRIVATE if ":" in host)])
def test_a_private_address_is_known_however_it_is_written(host):
    with pytest.raises(reach.PrivateAddress):
        reach.refuse_private_literal(host, ())


@pytest.mark.parametrize("host", PUBLIC)
def test_a_public_address_is_let_pass(host):
    reach.refuse_private_literal(host, ())


@pytest.mark.parametrize("host", NAMES)
def test_a_name_is_let_pass_to_where_it_is_looked_up(host):
    reach.refuse_private_literal(host, ())


def test_a_private_address_that_was_named_is_let_pass():
    trusted = reach.trusted_hosts("", ["10.0.0.1", "[::1]", "Pictures.Internal"])

    for host in ("10.0.0.1", "::1", "[::1]", "pictures.internal."):
        reach.refuse_private_literal(host, trusted)
