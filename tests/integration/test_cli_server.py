"""soundpost start, trigger and listen as real processes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from support.cli_process import Shell, shell
from support.configuration import APP_TABLE
from support.raw_socket import TIMEOUT
from support.redis_process import free_port


@pytest.fixture(name="sh")
def _shell(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        yield made


CONFIGURATION: Final = APP_TABLE.replace("secret-1", "9f86d081884c7d65")


def configure(sh: Shell, text: str = CONFIGURATION) -> None:
    file = sh.directory / "soundpost.toml"
    file.write_text(text)
    file.chmod(0o600)


def test_the_printed_command_sends_an_event_from_a_second_shell(sh: Shell) -> None:
    server, port = sh.server()
    command = server.wait_for(r"^  (.* trigger .*)$")[1]
    listener = sh.listener("playground", "--port", str(port), "--count", "1")
    done = subprocess.run(
        command, shell=True, cwd=sh.directory, env=sh.environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"Published hello to playground at http://127.0.0.1:{port}: 1 subscriber\n"
    listener.wait_for(r'^\d\d:\d\d:\d\d\.\d{3}  playground  hello  \{"text": "Hi"\}$')
    assert listener.exit_code() == 0


def test_a_first_run_prints_what_works(sh: Shell) -> None:
    server, port = sh.server()
    app_id = server.wait_for(r"app id  (\d{6})$")[1]
    key = server.wait_for(r"key     ([a-z0-9]{20})$")[1]
    secret = server.wait_for(r"secret  ([a-z0-9]{32})$")[1]
    playground = server.wait_for(r"(http://127\.0\.0\.1:\d+/playground)$")[1]
    server.wait_for("wsHost: '127.0.0.1'")
    server.wait_for(f"wsPort: {port}")
    server.wait_for(f"SOUNDPOST_APP_SECRET={secret}")
    with urllib.request.urlopen(playground, timeout=TIMEOUT) as page:
        assert "<html" in page.read().decode()
    done = sh.run(
        "trigger", "a", "b", "--url", f"http://127.0.0.1:{port}", "--app-id", app_id, "--key", key, "--secret", secret
    )
    assert done.returncode == 0
    assert "Nobody is subscribed to a" in done.stderr


def test_for_development_it_listens_to_this_machine_and_shows_messages(sh: Shell) -> None:
    sh.environ |= {"SOUNDPOST_APP_ID": "1", "SOUNDPOST_APP_KEY": "k", "SOUNDPOST_APP_SECRET": "s3cret-of-this-app"}
    server = sh.start("start", "--dev", "--port", "0")
    port = server.wait_for_start(r"listening on http://127\.0\.0\.1:(\d+)")[1]
    assert sh.run("trigger", "orders", "shipped", "--port", port).returncode == 0
    server.wait_for("shipped", err=True)


def test_a_second_shell_needs_no_arguments(sh: Shell) -> None:
    sh.server()
    done = sh.run("trigger", "orders", "shipped")
    assert done.returncode == 0
    assert done.stderr.count("made credentials for this run only, and applications do not have them") == 1
    assert " init, then start the server again" in done.stderr


def test_an_application_that_has_the_credentials_is_not_warned_of_their_end(sh: Shell) -> None:
    configure(sh)
    _, port = sh.server()
    done = sh.run("trigger", "orders", "shipped", "--port", str(port))
    assert done.returncode == 0
    assert "for this run only" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_clean_and_leaves_nothing(sh: Shell, number: signal.Signals) -> None:
    server, port = sh.server()
    server.wait_for("VITE_REVERB_SCHEME")
    left = Path(sh.environ["XDG_RUNTIME_DIR"]) / "soundpost" / f"server-{port}.json"
    assert left.exists()
    assert server.stop(number) == 0
    assert not left.exists()
    assert server.faults() == []
    done = sh.run("trigger", "orders", "shipped")
    assert done.returncode == 1
    assert done.stderr.startswith("soundpost: no app is configured here and no server")


def test_a_killed_server_is_not_taken_for_a_running_one(sh: Shell) -> None:
    server, _ = sh.server()
    server.wait_for("VITE_REVERB_SCHEME")
    server.stop(signal.SIGKILL)
    assert "no app is configured here" in sh.run("trigger", "orders", "shipped").stderr


def test_with_a_configuration_no_secret_is_printed(sh: Shell) -> None:
    configure(sh)
    server, _ = sh.server("--playground")
    server.wait_for("playground: http://127.0.0.1:", err=True)
    assert server.stop() == 0
    assert server.popen.stdout is not None
    assert server.popen.stdout.read() == "", "the log has all"
    printed = "".join(server.rest_of_err())
    assert "apps: 1" in printed
    assert "key-1" not in printed
    assert "9f86d081884c7d65" not in printed


def test_a_laravel_project_takes_it_in_reverbs_place(sh: Shell) -> None:
    port = free_port()
    (sh.directory / ".env").write_text(
        "APP_NAME=Laravel\nAPP_KEY=base64:xxxx\n\nREVERB_APP_ID=748201\nREVERB_APP_KEY=laravel-key\n"
        f'REVERB_APP_SECRET=laravel-secret\nREVERB_HOST="localhost"\nREVERB_PORT={port}\nREVERB_SCHEME=http\n'
        f'REVERB_SERVER_PORT={port}\nVITE_REVERB_APP_KEY="${{REVERB_APP_KEY}}"\n'
    )
    server = sh.start("start", "--host", "127.0.0.1")
    server.wait_for_start(f"listening on http://127.0.0.1:{port}  apps: 748201$")
    listener = sh.listener("private-orders", "--count", "1")
    done = sh.run("trigger", "private-orders", "shipped", "{}")
    assert (done.returncode, done.stderr) == (0, "")
    assert listener.exit_code() == 0
    assert server.stop() == 0
    assert "laravel-secret" not in "".join(server.rest_of_err())


def test_warnings_come_before_the_server_does(sh: Shell) -> None:
    configure(sh)
    (sh.directory / "soundpost.toml").chmod(0o644)
    server, _ = sh.server()
    server.stop()
    assert [line.partition(" WARNING ")[2] for line in server.faults()] == [
        (
            "soundpost.server: soundpost.toml: its secrets are open to other users of this machine (mode 644): "
            "chmod 600 soundpost.toml"
        )
    ]


def test_applications_of_the_folder_that_publish_to_another_port_are_told(sh: Shell) -> None:
    configure(sh)
    port = free_port()
    server = sh.start("start", "--host", "127.0.0.1", "--port", str(port))
    server.wait_for_start()
    server.stop()
    (warning,) = server.faults()
    assert f": applications in this folder publish to port 8080, but this server listens on {port}" in warning


def test_a_placeholder_for_a_secret_is_warned_of_once(sh: Shell) -> None:
    configure(sh, APP_TABLE.replace("secret-1", "your-app-secret"))
    server, _ = sh.server("--workers", "2")
    server.stop()
    (warning,) = [line for line in server.rest_of_err() if " INFO " not in line]
    assert " WARNING [parent] soundpost.server: the secret of app 1 is a placeholder that everybody knows" in warning
    assert "your-app-secret" not in warning


def test_in_a_log_the_first_line_and_the_failure_of_a_start_have_the_time(sh: Shell) -> None:
    configure(sh)
    server, port = sh.server()
    time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"
    start = rf"{time} INFO soundpost.server: soundpost \S+  started in \d+\.\d\d s  listening on http://\S+  apps: 1"
    assert re.fullmatch(start, server.err[-1])
    done = sh.run("start", "--host", "127.0.0.1", "--port", str(port))
    assert re.match(rf"{time} ERROR soundpost.server: port {port} on 127.0.0.1 is in use", done.stderr.splitlines()[-1])


def test_a_playground_that_others_reach_says_so(sh: Shell) -> None:
    server = sh.start("start", "--host", "0.0.0.0", "--port", "0", "--playground")
    line = server.wait_for("Others reach the playground too")[0]
    assert line
    assert "--host 127.0.0.1 serves only this machine" in server.out[-1]


def test_a_port_in_use_is_one_message_and_exit_code_1(sh: Shell) -> None:
    _, port = sh.server()
    done = sh.run("start", "--host", "127.0.0.1", "--port", str(port))
    assert done.returncode == 1
    assert done.stdout == ""
    assert f" ERROR soundpost.server: port {port} on 127.0.0.1 is in use" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unreadable_certificate_is_one_message_and_exit_code_1(sh: Shell) -> None:
    sh.environ["SOUNDPOST_SERVER_TLS_CERTIFICATE"] = "/no/such/certificate.pem"
    done = sh.run("start", "--port", "0")
    assert done.returncode == 1
    assert "/no/such/certificate.pem" in done.stderr
    assert done.stderr.count("\n") == 1


def test_under_a_path_prefix(sh: Shell) -> None:
    configure(sh)
    _, port = sh.server("--path", "ws")
    options = ("--port", str(port), "--path", "/ws")
    listener = sh.listener("orders", "--count", "1", *options)
    assert sh.run("trigger", "orders", "shipped", *options).returncode == 0
    assert listener.exit_code() == 0
    without = sh.run("trigger", "orders", "shipped", "--port", str(port))
    assert without.returncode == 0, "the API answers without the prefix too"


def test_listen_to_channels_of_all_kinds(sh: Shell) -> None:
    configure(sh)
    _, port = sh.server()
    options = ("--port", str(port))
    listener = sh.listener("orders", "private-a", "presence-b", "--user-id", "me", "--json", "--count", "3", *options)
    assert "subscribed to presence-b (members: me)" in listener.err
    sh.run("trigger", "orders", "one", '{"id": 1}', *options)
    sh.run("trigger", "private-a", "two", "plain words", *options)
    sh.run("trigger", "presence-b", "three", "-", *options, stdin='"from stdin"\n')
    assert listener.exit_code() == 0
    listener.wait_for("three")
    events = [json.loads(line) for line in listener.out]
    assert [(event["channel"], event["event"], event["data"]) for event in events] == [
        ("orders", "one", '{"id": 1}'),
        ("private-a", "two", "plain words"),
        ("presence-b", "three", '"from stdin"'),
    ]


def test_members_that_come_and_go_are_shown_but_not_counted(sh: Shell) -> None:
    configure(sh)
    _, port = sh.server()
    options = ("--port", str(port))
    first = sh.listener("presence-x", "--user-id", "first", "--count", "1", *options)
    second = sh.listener("presence-x", "--user-id", "second", *options)
    assert "subscribed to presence-x (members: first, second)" in second.err
    first.wait_for(r'pusher:member_added  \{"user_id":"second"')
    assert second.stop() == 0
    first.wait_for(r'pusher:member_removed  \{"user_id":"second"')
    sh.run("trigger", "presence-x", "hello", *options)
    first.wait_for("hello")
    assert first.exit_code() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_listen_ends_cleanly(sh: Shell, number: signal.Signals) -> None:
    sh.server()
    listener = sh.listener("orders")
    assert listener.stop(number) == 0
    assert not any("Traceback" in line for line in listener.rest_of_err())


def test_listen_survives_a_restart_of_the_server(sh: Shell) -> None:
    configure(sh)
    server, port = sh.server()
    options = ("--port", str(port))
    listener = sh.listener("private-a", "--count", "1", *options)
    assert server.stop() == 0
    listener.wait_for("connection lost .* reconnecting", err=True)
    sh.start("start", "--host", "127.0.0.1", *options).wait_for_start()
    listener.wait_for("connected again", err=True)
    assert sh.run("trigger", "private-a", "back", *options).returncode == 0
    assert listener.exit_code() == 0


def with_history(sh: Shell, **history: int) -> None:
    rules = "".join(f"{name} = {value}\n" for name, value in history.items())
    configure(sh, f'{CONFIGURATION}\n[[apps.history]]\nchannels = ["*orders"]\n{rules}')


def test_listen_goes_on_after_the_position_that_it_printed_at_its_end(sh: Shell) -> None:
    with_history(sh)
    _, port = sh.server()
    options = ("--port", str(port))
    listener = sh.listener("orders", "news", "--count", "1", *options)
    assert any(re.fullmatch(r"subscribed to orders \(position: \w+\.\d+\)", line) for line in listener.err)
    assert "subscribed to news" in listener.err
    sh.run("trigger", "orders", "one", "1", *options)
    assert listener.exit_code() == 0
    position = listener.wait_for(r"^orders: go on with --after (\S+)$", err=True)[1]
    assert not any(line.startswith("news:") for line in listener.rest_of_err())
    for name in ("two", "three"):
        sh.run("trigger", "orders", name, "1", *options)
    again = sh.start("listen", "orders", "--after", position, "--json", "--count", "2", *options)
    assert again.exit_code() == 0
    again.wait_for('"three"')
    events = [json.loads(line) for line in again.out]
    assert [event["event"] for event in events] == ["two", "three"]
    assert again.wait_for(r"--after (\S+)$", err=True)[1] == events[1]["position"]
    assert "orders: missed events follow (2)" in again.err


def test_listen_shows_what_is_missing_for_good(sh: Shell) -> None:
    with_history(sh)
    _, port = sh.server()
    options = ("--port", str(port))
    listener = sh.start("listen", "private-orders", "--after", "another.1795887678285000", "--count", "1", *options)
    listener.wait_for(r'private-orders  soundpost:gap  \{"reason":"generation"\}$')
    sh.run("trigger", "private-orders", "shipped", *options)
    listener.wait_for("shipped")
    assert listener.exit_code() == 0


def test_listen_rewinds(sh: Shell) -> None:
    with_history(sh, rewind=5)
    _, port = sh.server()
    options = ("--port", str(port))
    for name in ("one", "two", "three"):
        sh.run("trigger", "orders", name, *options)
    listener = sh.start("listen", "orders", "--rewind", "2", "--count", "2", *options)
    assert listener.exit_code() == 0
    listener.wait_for("three")
    assert [line.split("  ")[2] for line in listener.out] == ["two", "three"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("a", "b", "--after", "g.1"), "give one CHANNEL"),
        (("a", "--after", "g.1", "--rewind", "1"), "--after and --rewind each say where to begin"),
        (("a", "--after", "yesterday"), "'yesterday' is not a position"),
        (("a", "--rewind", "0"), "--rewind"),
    ],
)
def test_beginnings_of_listen_that_are_none(sh: Shell, arguments: tuple[str, ...], says: str) -> None:
    done = sh.run("listen", *arguments)
    assert done.returncode == 2
    assert says in " ".join(done.stderr.split())


def test_an_excluded_connection_does_not_get_the_event(sh: Shell) -> None:
    sh.server()
    listener = sh.start("listen", "orders", "--count", "1")
    socket_id = listener.wait_for(r"^listening on .* as socket (\d+\.\d+)", err=True)[1]
    assert sh.run("trigger", "orders", "not-for-you", "--socket-id", socket_id).returncode == 0
    assert sh.run("trigger", "orders", "for-you").returncode == 0
    listener.wait_for("for-you")
    assert listener.exit_code() == 0
    assert not any("not-for-you" in line for line in listener.out)
