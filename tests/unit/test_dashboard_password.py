"""The password of the dashboard: its hash, and the command that makes one."""

from __future__ import annotations

import pytest

from soundpost.config.options import OPTIONS
from soundpost.config.values import from_toml
from soundpost.server.dashboard.password import PasswordError, check_hash, hash_password, is_password
from support.command_line import CommandLine, command_line
from support.dashboards import cheap_hash

__all__ = ["command_line"]


def test_a_password_has_the_hash_that_was_made_of_it() -> None:
    found = hash_password("correct horse")
    check_hash(found)
    assert is_password("correct horse", found)
    assert not is_password("correct horse ", cheap_hash("correct horse"))
    assert found.split(":")[4] != cheap_hash().split(":")[4]


def test_what_a_hash_tells_is_what_counts() -> None:
    assert is_password("battery", cheap_hash("battery"))


def test_one_character_may_be_written_in_two_ways() -> None:
    assert is_password("cafe\u0301 au lait", cheap_hash("caf\u00e9 au lait"))


@pytest.mark.parametrize("password", ["", "1234567", "x" * 1_025])
def test_a_password_that_is_too_short_or_long_is_refused(password: str) -> None:
    with pytest.raises(PasswordError, match=f"the password has {len(password)} characters: take 8 to 1,024"):
        hash_password(password)


def test_the_command_prints_what_the_configuration_takes(command_line: CommandLine) -> None:
    done = command_line.run("dashboard", "password", stdin="correct horse\n")
    assert done.exit_code == 0
    found = done.stdout.strip()
    assert from_toml(OPTIONS["dashboard", "password_hash"], found, "soundpost.toml") == found
    check_hash(found)
    assert done.stderr == 'This is the hash alone: in soundpost.toml write password_hash = "HASH"\n'


def test_the_command_refuses_a_short_password(command_line: CommandLine) -> None:
    done = command_line.run("dashboard", "password", stdin="\n")
    assert done.exit_code == 1
    assert done.stderr == "soundpost: the password has 0 characters: take 8 to 1,024\n"
