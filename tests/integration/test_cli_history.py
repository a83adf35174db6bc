"""``soundpost history``: prints the kept events of a channel, or forgets them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from soundpost.core.app_settings import HistorySettings
from support.command_line import CommandLine, command_line
from support.harness import DEFAULT_APP, RunningServer, http_request, running_server, signed_request

__all__ = ["command_line"]

APP = msgspec.structs.replace(
    DEFAULT_APP, max_batch_size=2_000, history=(HistorySettings(channels=("kept*",), events=1_500),)
)


@pytest.fixture(scope="module")
def shared() -> Iterator[RunningServer]:
    with running_server(apps=[APP]) as running:
        yield running


@pytest.fixture
def server(shared: RunningServer) -> RunningServer:
    shared.request("DELETE", "/channels/*/history")
    return shared


@pytest.fixture
def history(command_line: CommandLine, server: RunningServer) -> Any:
    def run(*arguments: str) -> Any:
        options = ("--url", f"http://127.0.0.1:{server.port}", "--app-id", APP.id, "--key", APP.key)
        return command_line.run("history", *arguments, *options, "--secret", APP.secret)

    return run


def publish(server: RunningServer, channel: str, *names: str, data: str = '{"id": 7}') -> list[str]:
    """Publish events, and return their positions."""
    batch = [{"name": name, "data": data, "channel": channel} for name in names]
    response = http_request(server.port, signed_request("POST", "/batch_events", json.dumps({"batch": batch}).encode()))
    assert response.status == 200
    kept = json.loads(server.request("GET", f"/channels/{channel}/history", limit="1000").body)["events"]
    return [event["position"] for event in kept]


def test_kept_events_one_in_each_line(server: RunningServer, history: Any) -> None:
    first, second = publish(server, "kept", "a", "b")
    result = history("kept")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f'{first}  a  {{"id": 7}}\n{second}  b  {{"id": 7}}\n'
    assert history("kept", "--after", first).stdout == f'{second}  b  {{"id": 7}}\n'
    nothing = history("kept", "--after", second)
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert nothing.stderr == f"kept keeps no events after {second}; go on after {second}\n"


def test_one_json_object_for_each_event(server: RunningServer, history: Any) -> None:
    (position,) = publish(server, "kept", "a", data='{"text": "\u2028\x1b[31m"}')
    (line,) = history("kept", "--json").stdout.splitlines()
    assert json.loads(line) == {
        "channel": "kept",
        "event": "a",
        "data": '{"text": "\u2028\x1b[31m"}',
        "position": position,
    }
    assert line.isprintable()


def test_newest_first_and_limited(server: RunningServer, history: Any) -> None:
    positions = publish(server, "kept", "a", "b", "c")
    newest = history("kept", "--newest-first", "--limit", "2")
    assert [line.split()[1] for line in newest.stdout.splitlines()] == ["c", "b"]
    assert newest.stderr == "there are more: give a larger --limit\n"
    oldest = history("kept", "--limit", "2")
    assert [line.split()[1] for line in oldest.stdout.splitlines()] == ["a", "b"]
    assert oldest.stderr == f"there are more: --after {positions[1]}\n"


def test_more_events_than_one_answer_has(server: RunningServer, history: Any) -> None:
    publish(server, "kept", *(f"n{number}" for number in range(1_200)))
    lines = history("kept", "--limit", "1100").stdout.splitlines()
    assert [line.split()[1] for line in lines] == [f"n{number}" for number in range(1_100)]


def test_events_that_are_gone_are_told(server: RunningServer, history: Any) -> None:
    first, _ = publish(server, "kept", "a", "b")
    deleted = history("kept", "--delete")
    assert (deleted.exit_code, deleted.stdout) == (0, "Deleted the kept events of kept\n")
    gone = history("kept", "--after", first)
    assert (gone.exit_code, gone.stdout) == (0, "")
    assert gone.stderr.startswith(f"events after {first} are not kept any more (deleted); go on after ")


def test_all_channels_of_a_pattern_are_emptied(server: RunningServer, history: Any) -> None:
    for channel in ("kept-1", "kept-2", "kept"):
        publish(server, channel, "a")
    assert history("kept-*", "--delete").stdout == "Deleted the kept events of 2 channels that kept-* matches\n"
    assert history("kept-1").stdout == ""
    assert history("kept").stdout != ""


@pytest.mark.parametrize("more", [(), ("--delete",)])
def test_a_channel_without_history_is_an_error_in_one_line(history: Any, more: tuple[str, ...]) -> None:
    result = history("news", *more)
    assert result.exit_code == 1
    assert " answered 404: news keeps no history: name channels in [[apps.history]] of app 1 in" in result.stderr
    assert result.stderr.endswith("/configuration/#history\n")
    assert result.stderr.count("\n") == 1


def test_a_wrong_position_is_an_error_in_one_line(history: Any) -> None:
    result = history("kept", "--after", "7")
    assert result.exit_code == 1
    assert " answered 400: after: '7' is not a position" in result.stderr
