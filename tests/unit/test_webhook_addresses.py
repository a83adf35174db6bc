"""Addresses of endpoints: which are public, and how hosts are looked up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from soundpost.server.webhooks.addresses import AddressRefused, Resolver, is_public


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "1.1.1.1", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:1.1.1.1"]
)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "fd12:3456::1",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::10.0.0.1",
        "2002:7f00:1::",
        "2001:0:1:1:1:1:f5ff:fffe",
        "no address",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


class Names:
    """A name service."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def look_up(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        self.may_answer.wait(20)
        if host not in self.found:
            raise OSError("not known")
        return self.found[host]


@pytest.fixture
def names() -> Names:
    return Names()


def resolver(names: Names, allow_private: bool = False, clock: Callable[[], float] = lambda: 0.0) -> Resolver:
    return Resolver(allow_private=allow_private, look_up=names.look_up, clock=clock)


async def test_addresses_that_are_not_public_are_left_out_or_refused(names: Names) -> None:
    names.found = {"both.test": ["10.0.0.1", "1.1.1.1"], "inside.test": ["10.0.0.1", "::1"]}
    found = resolver(names)
    assert await found.addresses_of("both.test", 443) == ["1.1.1.1"]
    with pytest.raises(AddressRefused, match=r"^inside\.test has the address 10\.0\.0\.1, which is not public, and"):
        await found.addresses_of("inside.test", 443)
    with pytest.raises(AddressRefused):
        await found.addresses_of("127.0.0.1", 80)
    assert await resolver(names, allow_private=True).addresses_of("inside.test", 80) == ["10.0.0.1", "::1"]


async def test_an_address_is_not_looked_up(names: Names) -> None:
    assert await resolver(names, allow_private=True).addresses_of("::1", 80) == ["::1"]
    assert names.asked == []


async def test_a_host_is_looked_up_once_in_a_while(names: Names) -> None:
    now = 0.0
    names.found = {"app.test": ["1.1.1.1"]}
    found = resolver(names, clock=lambda: now)
    await found.addresses_of("app.test", 443)
    now = 9.9
    await found.addresses_of("app.test", 443)
    assert names.asked == ["app.test"]
    now, names.found = 10.1, {"app.test": ["10.0.0.1"]}  # a name that changes to an address inside
    with pytest.raises(AddressRefused):
        await found.addresses_of("app.test", 443)


async def test_a_lookup_that_hangs_is_the_only_one_of_its_host(names: Names) -> None:
    names.may_answer.clear()
    names.found = {"app.test": ["1.1.1.1"]}
    found = resolver(names)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(found.addresses_of("app.test", 443), 0.01)
    assert names.asked == ["app.test"]
    last = asyncio.ensure_future(found.addresses_of("app.test", 443))
    await asyncio.sleep(0)
    names.may_answer.set()
    assert await last == ["1.1.1.1"]


async def test_a_failed_lookup_is_tried_again(names: Names) -> None:
    found = resolver(names)
    with pytest.raises(OSError, match="not known"):
        await found.addresses_of("app.test", 443)
    names.found = {"app.test": ["1.1.1.1"]}
    assert await found.addresses_of("app.test", 443) == ["1.1.1.1"]


async def test_a_lookup_for_which_there_is_no_thread_is_tried_again(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    names.found["a.test"] = ["1.1.1.1"]
    resolver = Resolver(allow_private=True, look_up=names.look_up)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(OSError, match=r"a\.test cannot be looked up: can't start new thread"):
            await resolver.addresses_of("a.test", 80)
    assert await asyncio.wait_for(resolver.addresses_of("a.test", 80), 20) == ["1.1.1.1"]
