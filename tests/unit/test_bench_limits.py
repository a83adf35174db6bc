"""Which servers may be loaded, with how many connections."""

from __future__ import annotations

import re

import msgspec
import pytest

from soundpost.errors import ConfigurationError
from soundpost.tools.bench.capacity import check_capacity
from soundpost.tools.bench.loopback import remote_server_refusal
from soundpost.tools.bench.scenario import BenchSettings, Scenario
from soundpost.wire.addresses import is_loopback_host
from support.command_line import CommandLine, command_line

__all__ = ["command_line"]

SETTINGS = BenchSettings(
    scenario=Scenario.FAN_OUT,
    connections=1_000,
    channels=1,
    rate=1,
    size=64,
    duration=1,
    publishers=1,
    processes=1,
    run="r",
)
CREDENTIALS = ("--app-id", "1", "--key", "k", "--secret", "s")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "::1%lo"])
def test_addresses_of_this_machine_are_loopback(address: str) -> None:
    assert is_loopback_host(address)


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "0.0.0.0", "::", "2001:db8::1", "::ffff:192.0.2.1"])
def test_addresses_of_other_machines_are_not_loopback(address: str) -> None:
    assert not is_loopback_host(address)


def test_one_foreign_address_is_enough_for_a_refusal() -> None:
    text = remote_server_refusal("https://ws.example.com", ["127.0.0.1", "192.0.2.1"])
    assert text is not None
    assert text.startswith("ws.example.com (192.0.2.1) is not this machine")
    assert "--i-own-this-server" in text
    assert remote_server_refusal("http://localhost:8080", ["::1", "127.0.0.1"]) is None


def test_the_command_refuses_with_exit_code_2(command_line: CommandLine) -> None:
    result = command_line.run("bench", "--host", "192.0.2.1", *CREDENTIALS)
    assert result.exit_code == 2
    assert "192.0.2.1 is not this machine" in " ".join(re.sub("[│╭╮╰╯─]", "", result.stderr).split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("--scenario", "fan-in"),
        ("--connections", "0"),
        ("--size", "10"),
        ("--duration", "0"),
        ("--rate", "-1"),
        ("--scenario", "one-to-one", "--channels", "3"),
        ("--scenario", "idle", "--rate", "3"),
        ("--connections", "3", "--channels", "4"),
    ],
)
def test_wrong_usage_of_bench(command_line: CommandLine, arguments: tuple[str, ...]) -> None:
    assert command_line.run("bench", "--host", "127.0.0.1", *CREDENTIALS, *arguments).exit_code == 2


def test_a_file_that_cannot_be_written_is_said_before_the_run(command_line: CommandLine) -> None:
    result = command_line.run("bench", "--host", "127.0.0.1", *CREDENTIALS, "--json", "none/result.json")
    assert result.exit_code == 1
    assert result.stderr == "soundpost: none/result.json cannot be written: No such file or directory\n"


def test_too_few_open_files_names_the_way_out() -> None:
    with pytest.raises(ConfigurationError, match=r"1,000 open files each, but this shell allows 532:.*--processes 2"):
        check_capacity(SETTINGS, 532, spread=True)
    check_capacity(msgspec.structs.replace(SETTINGS, processes=2), 532, spread=True)


def test_too_few_ports() -> None:
    many = msgspec.structs.replace(SETTINGS, connections=100_000, processes=10)
    with pytest.raises(ConfigurationError, match="100,000 connections to one address"):
        check_capacity(many, 1_000_000, spread=False)
    check_capacity(many, 1_000_000, spread=True)


@pytest.mark.parametrize(("channels", "publishers"), [(1, 8), (3, 8), (8, 8), (20, 8), (20, 1)])
def test_every_stream_has_one_publisher_and_one_channel(channels: int, publishers: int) -> None:
    settings = msgspec.structs.replace(SETTINGS, channels=channels, publishers=publishers)
    by_channel = [(stream, channel) for channel in range(channels) for stream in settings.streams_of(channel)]
    by_publisher = [stream for publisher in range(publishers) for stream in settings.streams_by(publisher)]
    assert sorted(by_publisher) == sorted(stream for stream, _ in by_channel) == list(range(settings.streams))
    assert all(settings.channel_of_stream(stream) == channel for stream, channel in by_channel)
    assert all(len(settings.streams_of(channel)) for channel in range(channels))
    assert all(len(settings.streams_by(publisher)) for publisher in range(publishers))
