"""The tables ``[[apps.history]]``: values, variables, the embedded server, and mistakes in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from soundpost.asgi import App
from soundpost.config.options import OPTIONS
from soundpost.core.app_settings import AppSettings, HistorySettings
from soundpost.core.history import HistoryPage
from soundpost.core.peers import HistoryQuery
from soundpost.core.publishing import publish
from soundpost.errors import ConfigurationError
from soundpost.wire.channel_patterns import pattern_fault
from support.configuration import APP, APP_TABLE, Directory

APP_OF_PYTHON = {"id": "1", "key": "key-1", "secret": "secret-1"}


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


def history_of(directory: Directory, environ: dict[str, str] | None = None) -> tuple[HistorySettings, ...]:
    return directory.load(environ).settings.apps[0].history


def test_no_channel_has_a_history_by_default(directory: Directory) -> None:
    assert directory.toml(APP_TABLE).load().settings.apps[0].history == ()


def test_tables_below_their_app_in_order(directory: Directory) -> None:
    directory.toml(
        f"{APP_TABLE}max_history_size = 5000000\n"
        "[[apps.history]]\nchannels = ['private-orders.*', 'news']\nevents = 200\nage = '2h'\nrewind = 20\n"
        "[[apps.history]]\nchannels = ['*']\n"
        f"{APP_TABLE.replace('1', '2')}"
    )
    first, second = directory.load().settings.apps
    assert first.max_history_size == 5_000_000
    assert first.history == (
        HistorySettings(channels=("private-orders.*", "news"), events=200, age=7_200, rewind=20),
        HistorySettings(channels=("*",), events=100, age=600, rewind=0),
    )
    assert second.history == ()


def test_the_largest_numbers(directory: Directory) -> None:
    directory.toml(f"{APP_TABLE}[[apps.history]]\nchannels = ['a']\nevents = 100000\nage = '30d'\nrewind = 100000\n")
    largest = HistorySettings(channels=("a",), events=100_000, age=30 * 86_400, rewind=100_000)
    assert history_of(directory) == (largest,)


@pytest.mark.parametrize(
    ("age", "seconds"), [("90", 90), ("'90'", 90), ("'30s'", 30), ("'10m'", 600), ("'2 h'", 7_200), ("'1D'", 86_400)]
)
def test_an_age_may_have_a_unit(directory: Directory, age: str, seconds: int) -> None:
    directory.toml(f"{APP_TABLE}[[apps.history]]\nchannels = ['news']\nage = {age}\n")
    assert history_of(directory)[0].age == seconds


def test_variables_inside_a_table(directory: Directory) -> None:
    directory.toml(
        f"{APP_TABLE}[[apps.history]]\nchannels = ['${{TENANT}}.*']\nevents = '${{KEPT:-7}}'\nage = '${{AGE}}'\n"
    )
    assert history_of(directory, {"TENANT": "shop", "AGE": "1h"}) == (
        HistorySettings(channels=("shop.*",), events=7, age=3_600),
    )


def test_patterns_in_a_variable(directory: Directory) -> None:
    history = history_of(directory, {**APP, "SOUNDPOST_APP_HISTORY": "private-orders.*, news,"})
    assert history == (HistorySettings(channels=("private-orders.*", "news")),)


def test_tables_in_a_variable(directory: Directory) -> None:
    text = '[{"channels": ["a,b"], "events": 5, "age": "1m"}, {"channels": ["*"]}]'
    assert history_of(directory, {**APP, "SOUNDPOST_APP_HISTORY": text}) == (
        HistorySettings(channels=("a,b",), events=5, age=60),
        HistorySettings(channels=("*",)),
    )


def test_a_variable_replaces_the_tables_of_the_file(directory: Directory) -> None:
    directory.toml(f"{APP_TABLE}[[apps.history]]\nchannels = ['news']\n")
    assert history_of(directory, {"SOUNDPOST_APP_HISTORY": "a"}) == (HistorySettings(channels=("a",)),)
    assert history_of(directory, {"SOUNDPOST_APP_HISTORY": "(empty)"}) == ()
    assert history_of(directory, {"SOUNDPOST_APP_HISTORY": ""}) == (HistorySettings(channels=("news",)),)


def test_bounds_of_memory(directory: Directory) -> None:
    settings = directory.load(
        {**APP, "SOUNDPOST_SERVER_MAX_HISTORY_SIZE": "1000", "SOUNDPOST_APP_MAX_HISTORY_SIZE": "500"}
    ).settings
    assert (settings.server.max_history_size, settings.apps[0].max_history_size) == (1_000, 500)
    assert OPTIONS["app", "history"].variable == "SOUNDPOST_APP_HISTORY"


HISTORY = "soundpost.toml: [[apps]] no. 1: history"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("events = 5\n", f"{HISTORY} no. 1: channels is missing: write channels = ['private-orders.*']"),
        ("channels = ['a']\nevent = 5\n", f"{HISTORY} no. 1: unknown key 'event'; did you mean 'events'?"),
        ("channels = ['a']\nttl = 5\n", f"{HISTORY} no. 1: unknown key 'ttl': here that is 'age'"),
        (
            "channels = ['a']\ncolour = 5\n",
            f"{HISTORY} no. 1: unknown key 'colour'; known are channels, events, age, rewind",
        ),
        (
            "channels = ['a']\nallowed_origins = ['*']\n",
            f"{HISTORY} no. 1: unknown key 'allowed_origins'; it belongs to [[apps]]: write it above the first "
            "[[apps.history]]",
        ),
        (
            "channels = 'a'\n",
            f"{HISTORY} no. 1: channels='a': expected a list of patterns such as ['private-orders.*']",
        ),
        (
            "channels = []\n",
            f"{HISTORY} no. 1: channels=[]: expected a list of patterns such as ['private-orders.*']",
        ),
        *(
            (
                f"channels = ['a']\nevents = {number}\n",
                f"{HISTORY} no. 1: events={number}: expected a whole number from 1 to 100,000",
            )
            for number in ("0", "'5'", "100001")
        ),
        *(
            (
                f"channels = ['a']\nrewind = {number}\n",
                f"{HISTORY} no. 1: rewind={number}: expected a whole number from 0 to 100,000",
            )
            for number in ("-1", "100001")
        ),
        *(
            (
                f"channels = ['a']\nage = {age}\n",
                f"{HISTORY} no. 1: age={age}: expected seconds, or a text such as '30s', '10m', '2h' or '1d', of at "
                "most 30 days",
            )
            for age in ("0", "'0m'", "'10 minutes'", "'-5s'", "''", "1.5", "'31d'", "2592001")
        ),
        (
            "channels = ['a', 'a b']\n",
            f"{HISTORY} no. 1: channels: 'a b' matches no channel: the names of channels have letters, digits and "
            "_ - = @ , . ; only, and '*' stands for any of them",
        ),
        (
            "channels = ['a']\n[[apps.history]]\nchannels = ['']\n",
            f"{HISTORY} no. 2: channels=['']: expected a list of patterns such as ['private-orders.*']",
        ),
    ],
)
def test_mistakes_in_a_table(directory: Directory, text: str, message: str) -> None:
    assert directory.toml(f"{APP_TABLE}[[apps.history]]\n{text}").error() == message


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("history = true\n", "history=True: expected a list of tables: begin each with a line [[apps.history]], and"),
        ("history = 'news'\n", "history='news': expected a list of tables"),
        ("history = ['news']\n", "history no. 1='news': expected a list of tables"),
        ("[apps.history]\nchannels = ['a']\n", "begin each with [[apps.history]], in two pairs of brackets"),
    ],
)
def test_a_history_that_is_no_list_of_tables(directory: Directory, text: str, end: str) -> None:
    assert end in directory.toml(APP_TABLE + text).error()


def test_a_history_in_another_place(directory: Directory) -> None:
    message = "soundpost.toml: unknown key 'history'; it belongs to an app: begin it with [[apps.history]], below the"
    assert directory.toml(f"{APP_TABLE}[[history]]\nchannels = ['a']\n").error().startswith(message)
    assert directory.toml(f"{APP_TABLE}[server]\nhistory = 1\n").error().endswith("it belongs to [[apps]]")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("orders.{id}", "channels: 'orders.{id}' has a name in brackets, which no channel has: write 'orders.*'"),
        ("[news", "not valid JSON: "),
        ("[1]", "no. 1=1: expected a list of tables"),
        ('[{"channels": ["a"], "size": 5}]', "no. 1: unknown key 'size': here that is 'events'"),
    ],
)
def test_mistakes_in_a_variable(directory: Directory, text: str, message: str) -> None:
    found = directory.error({**APP, "SOUNDPOST_APP_HISTORY": text})
    assert found.startswith("environment: SOUNDPOST_APP_HISTORY")
    assert message in found


@pytest.mark.parametrize("pattern", ["*", "news", "private-orders.*", "a*b*", "#server-to-user-*", "x_-=@,.;9"])
def test_usable_patterns_have_no_fault(pattern: str) -> None:
    assert pattern_fault(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "way"),
    [
        ("", "write '*' for all channels"),
        ("  ", "write '*' for all channels"),
        (" news", "write 'news'"),
        ("orders.<id>", "write 'orders.*'"),
        (r"orders\..*", "matches no channel"),
        ("#users-*", "matches no channel"),
        ("a\nb", r"'a\nb' matches no channel"),
        ("news/*", "matches no channel"),
    ],
)
def test_patterns_that_match_no_channel(pattern: str, way: str) -> None:
    fault = pattern_fault(pattern)
    assert fault is not None
    assert way in fault
    assert fault.isprintable()
    with pytest.raises(ConfigurationError, match="channels: "):
        HistorySettings(channels=(pattern,))


def test_the_embedded_server_takes_the_same_tables() -> None:
    history: Any = [{"channels": ["news"], "age": "10m"}, HistorySettings(channels=("b",))]
    (app,) = App(apps=[{**APP_OF_PYTHON, "history": history}]).apps
    assert app.history == (HistorySettings(channels=("news",)), HistorySettings(channels=("b",)))
    own = AppSettings(id="1", key="key-1", secret="secret-1", history=app.history)
    assert App(apps=[own]).apps == (own,)
    with pytest.raises(ConfigurationError, match=r"^soundpost\.asgi: apps: history no\. 1: unknown key 'chanels'; did"):
        App(apps=[{**APP_OF_PYTHON, "history": [{"chanels": ["news"]}]}])
    too_many = HistorySettings(channels=("news",), events=1_000_000)
    with pytest.raises(ConfigurationError, match=r"history no\. 1: events=1000000: expected a whole number from 1 to"):
        App(apps=[{**APP_OF_PYTHON, "history": [too_many]}])


async def test_the_embedded_server_keeps_to_its_bound_of_memory() -> None:
    history = [{"channels": ["news"]}]
    server = App(apps=[{**APP_OF_PYTHON, "history": history}], server={"max_history_size": 1_500})
    runtime = server.start()
    app = runtime.node.by_id["1"]
    for _ in range(5):
        publish(app, "news", "Written", "x" * 100)
    pages: list[HistoryPage] = []
    runtime.node.peers.ask(HistoryQuery("1", "news", "", 100, 10_000), pages.append)
    assert 0 < len(pages[0].events) < 5
    await server.stop()
