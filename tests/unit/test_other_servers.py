"""Names of other servers that people try here: each leads to the way to the same end."""

from __future__ import annotations

from pathlib import Path

import pytest

from soundpost.config import other_servers
from soundpost.config.options import section
from soundpost.documentation import page
from support.command_line import CommandLine, command_line
from support.configuration import APP, APP_TABLE, Directory

__all__ = ["command_line"]


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


@pytest.mark.parametrize(
    ("line", "way"),
    [
        ("watchlists = true", "max_watchlist_size"),
        ("jwt_secret = 'x'", "auth endpoint"),
        ("keys = ['a', 'b']", "soundpost reload"),
        ("previous_secret = 'x'", "soundpost reload"),
        ("prometheus = true", "soundpost status --json"),
        ("options = { host = 'ws.example.com' }", "public_url"),
    ],
)
def test_an_app_s_key_that_is_not_there_leads_to_another_way(directory: Directory, line: str, way: str) -> None:
    message = directory.toml(f"{APP_TABLE}{line}\n").error()
    assert message.startswith(f"soundpost.toml: [[apps]] no. 1: unknown key '{line.split()[0]}': ")
    assert way in message
    assert message.endswith(f"See {page('metrics' if 'prometheus' in line else 'not-supported')}")


@pytest.mark.parametrize(
    ("line", "here"),
    [
        ("enable_client_messages = true", "accept_client_events_from"),
        ("enableClientMessages = true", "accept_client_events_from"),
        ("maxPresenceMembersPerChannel = 100", "'max_presence_members'"),
        ("max_presence_members_per_channel = 100", "'max_presence_members'"),
        ("maxPresenceMemberSizeInKb = 2", "'max_user_info_size', in bytes"),
        ("maxEventPayloadInKb = 100", "'max_event_data_size', in bytes"),
        ("app_id = '1'", "'id'"),
    ],
)
def test_a_key_with_another_name_here_is_translated(directory: Directory, line: str, here: str) -> None:
    message = directory.toml(f"{APP_TABLE}{line}\n").error()
    assert message.startswith(f"soundpost.toml: [[apps]] no. 1: unknown key '{line.split()[0]}': here that is ")
    assert here in message


@pytest.mark.parametrize(
    "line", ["history_size = 100", "force_recovery = true", "persisted = true", "rewind = 2", "messageHistory = true"]
)
def test_a_key_for_kept_events_leads_to_the_tables_for_them(directory: Directory, line: str) -> None:
    message = directory.toml(f"{APP_TABLE}{line}\n").error()
    assert message.startswith(f"soundpost.toml: [[apps]] no. 1: unknown key '{line.split()[0]}': channels keep their")
    assert "[[apps.history]]" in message
    assert message.endswith(f"See {page('configuration', 'history')}")


@pytest.mark.parametrize("line", ["webhook_url = 'https://example.com'", "webhook = {}"])
def test_a_key_for_webhooks_leads_to_the_tables_for_them(directory: Directory, line: str) -> None:
    message = directory.toml(f"{APP_TABLE}{line}\n").error()
    assert message.startswith(f"soundpost.toml: [[apps]] no. 1: unknown key '{line.split()[0]}': webhooks are sent by")
    assert "[[apps.webhooks]]" in message
    assert message.endswith(f"See {page('configuration', 'webhooks')}")


def test_tables_that_are_not_there(directory: Directory) -> None:
    message = directory.toml("[server.metrics]\n").error()
    assert "[server]: unknown key 'metrics': metrics have a port of their own: set port below [metrics]" in message
    assert message.endswith(f"See {page('metrics')}")
    assert "unknown key 'webhooks'; it belongs to an app" in directory.toml("[[webhooks]]\nurl = ''\n").error()


def test_no_option_of_ours_is_taken_for_another_servers() -> None:
    for name in ("server", "scaling", "app", "public"):
        for option in section(name):
            assert other_servers.advice_on_key(option) == ""


def test_variables_that_are_not_there(directory: Directory) -> None:
    loaded = directory.load({**APP, "SOUNDPOST_WEBHOOK_URL": "https://example.com"})
    assert len(loaded.warnings) == 1
    assert (
        "SOUNDPOST_WEBHOOK_URL is not a setting of soundpost and has no effect: webhooks are sent by"
        in loaded.warnings[0]
    )
    message = directory.error({**APP, "SOUNDPOST_APP_JWT_SECRET": "x"})
    assert message.startswith("environment: unknown setting SOUNDPOST_APP_JWT_SECRET: the server takes no JWTs")


def test_variables_of_soketi_are_named_with_ours(directory: Directory) -> None:
    soketi = {"SOKETI_DEFAULT_APP_ID": "1", "SOKETI_DEFAULT_APP_KEY": "k", "SOKETI_DEFAULT_APP_SECRET": "hush"}
    (warning,) = directory.load({**APP, **soketi}).warnings
    assert warning.startswith("environment: SOKETI_DEFAULT_APP_ID and 2 more are variables of soketi: not read here")
    assert "SOUNDPOST_APP_ID" in warning
    assert "hush" not in warning


def test_webhooks_of_soketi_are_told_how_they_are_called_here(directory: Directory) -> None:
    hooks = '[{"url": "https://hush.example", "event_types": ["cache_miss"]}]'
    soketi = {"SOKETI_DEFAULT_APP_WEBHOOKS": hooks, "SOKETI_WEBHOOKS_BATCHING": "1", "SOKETI_DEFAULT_APP_ID": "1"}
    credentials, webhooks = directory.load({**APP, **soketi}).warnings
    assert credentials.startswith("environment: SOKETI_DEFAULT_APP_ID is a variable of soketi")
    assert webhooks.startswith("environment: SOKETI_DEFAULT_APP_WEBHOOKS and 1 more are variables of soketi")
    for here in ("[[apps.webhooks]]", "'event_types' are 'events'", "channels = ['room-*']", "lambda_function"):
        assert here in webhooks
    assert webhooks.endswith(page("webhooks"))
    assert "hush" not in webhooks


def test_variables_of_pusher_count_only_for_a_server_without_an_app(directory: Directory) -> None:
    pusher = {"PUSHER_APP_ID": "1", "PUSHER_APP_KEY": "k", "PUSHER_APP_SECRET": "hush"}
    assert directory.load({**APP, **pusher}).warnings == []
    (warning,) = directory.load(pusher).warnings
    assert warning.startswith("environment: PUSHER_APP_ID and 2 more are variables of hosted Pusher: not read here")
    assert 'SOUNDPOST_APP_SECRET="${PUSHER_APP_SECRET}"' in warning
    assert "hush" not in warning


def test_a_scaling_channel_of_reverb_is_our_prefix(directory: Directory) -> None:
    (warning,) = directory.load({**APP, "REVERB_SCALING_CHANNEL": "shop"}).warnings
    assert warning == "environment: REVERB_SCALING_CHANNEL is not read here: set SOUNDPOST_SCALING_PREFIX"


@pytest.mark.parametrize(
    ("command", "way"),
    [
        (("webhook",), "soundpost webhooks"),
        (("apps",), "soundpost reload"),
        (("app", "add"), "soundpost reload"),
        (("metrics",), "soundpost status --json"),
        (("logs", "-f"), "journalctl"),
        (("install",), "soundpost init"),
        (("reverb:start",), "soundpost start"),
        (("install:broadcasting",), "soundpost init"),
        (("publish", "orders"), "soundpost trigger"),
    ],
)
def test_commands_that_are_not_there(command_line: CommandLine, command: tuple[str, ...], way: str) -> None:
    result = command_line.run(*command)
    assert result.exit_code == 2
    assert f"There is no command '{command[0]}'" in result.stderr
    assert way in " ".join(result.stderr.replace("│", " ").split())


def test_any_other_command_is_unknown(command_line: CommandLine) -> None:
    assert "No such command 'strat'" in command_line.run("strat").stderr
