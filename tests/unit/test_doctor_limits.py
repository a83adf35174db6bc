"""What a kernel allows, and the faults of a network that cannot be set up everywhere."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest

from soundpost.tools.doctor import CheckPlan, Examination
from soundpost.tools.doctor.base_url import BaseUrl, parse_base_url
from soundpost.tools.doctor.findings import FaultFound
from soundpost.tools.doctor.machine_check import check_machine
from soundpost.tools.doctor.network import OpenedConnection, SocketAddress, connect, look_up_addresses


def kernel(folder: Path, *, conntrack: str = "262144", ports: str = "32768\t60999", somaxconn: str = "4096") -> Path:
    for name, text in {
        "netfilter/nf_conntrack_max": conntrack,
        "ipv4/ip_local_port_range": ports,
        "core/somaxconn": somaxconn,
    }.items():
        file = folder / "sys/net" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return folder


def codes(proc: Path, connections: int) -> list[str | None]:
    examination = Examination()
    check_machine(CheckPlan(connections=connections), examination, proc)
    return [step.code for step in examination.steps if step.code is not None and step.code != "open-files-too-low"]


@pytest.mark.parametrize(
    ("code", "limits", "connections"),
    [
        ("conntrack-too-low", {"conntrack": "16384"}, 10_000),
        ("port-range-too-low", {}, 30_000),
        ("somaxconn-too-low", {"somaxconn": "128"}, 1_000),
    ],
)
def test_a_limit_that_is_too_low_is_named(code: str, limits: dict[str, str], connections: int, tmp_path: Path) -> None:
    assert codes(kernel(tmp_path, **limits), connections) == [code]


def test_limits_that_are_high_enough(tmp_path: Path) -> None:
    assert codes(kernel(tmp_path), 10_000) == []


def test_what_a_kernel_does_not_tell_is_left_out(tmp_path: Path) -> None:
    examination = Examination()
    check_machine(CheckPlan(connections=10), examination, tmp_path)
    assert [step.status for step in examination.steps if step.name != "Open files"] == ["skipped", "skipped"]


def test_a_second_address_is_tried_and_the_first_is_told(unused_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        good = SocketAddress(socket.AF_INET, server.getsockname())
        failed = SocketAddress(socket.AF_INET, ("127.0.0.1", unused_port))
        reached: OpenedConnection = connect(BaseUrl("http", "two.example.com", 80), [failed, good])
        reached.sock.close()
    assert reached.address == good
    assert [(address, reason) for address, reason in reached.failed] == [(failed, "Connection refused")]


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://ws.example.com", BaseUrl("https", "ws.example.com", 443)),
        ("wss://ws.example.com/ws/", BaseUrl("https", "ws.example.com", 443, "/ws")),
        ("http://[::1]:8080", BaseUrl("http", "::1", 8080)),
    ],
)
def test_a_base_url_is_parsed_with_its_default_port(url: str, place: BaseUrl) -> None:
    assert parse_base_url(url) == place


def test_a_name_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: object, **more: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    with pytest.raises(FaultFound, match="could not be looked up: Temporary failure") as caught:
        look_up_addresses(parse_base_url("https://ws.example.com"))
    assert caught.value.code == "dns-failed"


def test_a_host_without_a_route_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: object) -> None:
        raise OSError(errno.EHOSTUNREACH, "No route to host")

    monkeypatch.setattr(socket.socket, "connect", fails)
    with pytest.raises(FaultFound, match="No route to host") as caught:
        connect(parse_base_url("http://10.0.0.5"), [SocketAddress(socket.AF_INET, ("10.0.0.5", 80))])
    assert caught.value.code == "tcp-unreachable"
