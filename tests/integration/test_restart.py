"""``soundpost restart`` and SIGHUP where one process serves: it becomes the new one, its port stays open."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from soundpost.core.app_settings import AppSettings
from soundpost.wire.frames import CLOSE
from support.harness import DEFAULT_APP, TIMEOUT, RawSocket, until
from support.knocking import Knocking, Publisher, all_there, guests
from support.operated import CALM, PATIENT, Operated, operated
from support.redis_process import free_port

SECOND = AppSettings(id="2", key="second-key", secret="second-secret")


@pytest.fixture
def server() -> Iterator[Operated]:
    with operated() as made:
        made.configure(PATIENT)
        made.start()
        yield made


def by_command(server: Operated) -> None:
    done = server.run("restart")
    assert (done.returncode, done.stdout, done.stderr) == (0, "restarting\n", "")


def by_signal(server: Operated) -> None:
    server.signal(signal.SIGHUP)


ways = pytest.mark.parametrize("restart", [by_command, by_signal])


@ways
def test_clients_are_sent_away_and_back_at_once_and_nobody_is_refused(
    server: Operated, restart: Callable[[Operated], None]
) -> None:
    server.configure(PATIENT, [DEFAULT_APP, SECOND])
    with guests(server.port, "room", 5) as invited, Knocking(server.port) as knocking:
        assert server.refusal(SECOND) == 4001
        for times in range(1, 3):
            restart(server)
            server.process.wait_for_start()
            knocking.goes_on()
            until(lambda times=times: all(len(guest.codes) == times for guest in invited), "all were sent away")  # type: ignore[misc]
            all_there(invited)
        server.connect(SECOND).socket.close()
        assert server.publish("room", "hello").status == 200
        until(lambda: all(guest.stays[-1] == ["hello"] for guest in invited), "all hear what is published")
    assert [guest.codes for guest in invited] == [[4200, 4200]] * 5
    assert [guest.faults for guest in invited] == [[]] * 5
    assert knocking.failed == []
    assert server.status()["pid"] == server.pid
    assert server.process.stop() == 0
    (refused,) = server.process.faults()
    assert f"no app has the key '{SECOND.key}'" in refused  # before it was there


def test_restarted_twice_at_once_it_serves(server: Operated) -> None:
    with Knocking(server.port) as knocking:
        for _ in range(20):
            server.signal(signal.SIGHUP)
        server.process.wait_for_start()
        knocking.goes_on()
    assert knocking.failed == []
    assert server.process.stop() == 0


def test_published_events_are_taken_or_refused_but_not_lost(server: Operated) -> None:
    with guests(server.port, "room", 3) as invited, Publisher(server, "room") as publisher:
        server.signal(signal.SIGHUP)
        server.process.wait_for_start()
        publisher.goes_on()
        all_there(invited)
        publisher.goes_on()
    assert publisher.failed == []
    assert [guest.missed(publisher.taken) for guest in invited] == [[]] * 3


def refused(server: Operated, reason: str) -> None:
    """A restart changes nothing, and says why, both to who asks and in the log."""
    with server.connect() as client:
        done = server.run("restart", "--port", str(server.port))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"soundpost: {reason}"), done.stderr
        assert f"soundpost.server: not restarted: {reason}" in server.said("not restarted")
        server.signal(signal.SIGHUP)
        server.said("not restarted")
        client.subscribe("room")
        assert server.publish("room", "hello").status == 200
        assert client.read_event()["event"] == "hello"


def test_a_broken_configuration_changes_nothing(server: Operated) -> None:
    server.configure(f"{CALM}prot = 1\n")
    refused(server, "soundpost.toml: [server]: unknown key 'prot'")


def test_a_configuration_that_is_gone_changes_nothing(server: Operated) -> None:
    server.shell.directory.joinpath("soundpost.toml").unlink()
    done = server.run("restart", "--port", str(server.port))
    assert done.returncode == 1
    assert "no app is configured any more" in done.stderr
    server.connect().socket.close()


def test_a_certificate_that_cannot_be_used_changes_nothing(server: Operated) -> None:
    server.configure(rest='[server.tls]\ncertificate = "missing.pem"\n')
    refused(server, "cannot use the certificate missing.pem: ")


def test_a_port_in_use_changes_nothing(server: Operated) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server.configure(f"{CALM}port = {port}\n")
        done = server.run("restart", "--port", str(server.port))
        assert done.returncode == 1
        assert f"soundpost: port {port} on 127.0.0.1 is in use by another process" in done.stderr
    server.connect().socket.close()


def test_a_port_of_another_soundpost_is_said_to_be_that(server: Operated) -> None:
    done = server.run("start")
    assert done.returncode == 1
    assert (
        f"port {server.port} on 127.0.0.1 is in use by another process, a Soundpost server ('soundpost status --port "
        f"{server.port}' says which): stop that one"
    ) in done.stderr


def test_another_port_is_taken(server: Operated) -> None:
    before, port = server.port, free_port()
    server.configure(f"{CALM}port = {port}\n")
    assert server.run("restart", "--port", str(before)).returncode == 0
    server.process.wait_for_start(f"listening on http://127.0.0.1:{port} ")
    server.port = port
    server.connect().socket.close()
    with pytest.raises(ConnectionRefusedError):
        RawSocket(before)
    assert server.status()["port"] == port
    assert server.status()["pid"] == server.pid


def test_another_address_is_taken(server: Operated) -> None:
    server.configure('host = "0.0.0.0"\n')
    server.signal(signal.SIGHUP)
    server.process.wait_for_start(r"listening on http://0\.0\.0\.0:")
    server.connect().socket.close()
    assert server.process.stop() == 0


def test_one_process_becomes_several_and_several_stay(server: Operated) -> None:
    server.configure(f"{PATIENT}workers = 2\n")
    with Knocking(server.port) as knocking:
        server.signal(signal.SIGHUP)
        server.process.wait_for_start()
        knocking.goes_on()
    assert knocking.failed == []
    assert len(server.workers()) == 2
    server.configure(f"{CALM}workers = 3\n")
    done = server.run("restart")
    assert done.stdout == (
        "restarting the workers one after the other. Not applied, as it needs a stop and a start: workers\n"
    )
    server.said("all workers are new")
    assert len(server.workers()) == 2
    assert server.process.stop() == 0


def test_credentials_made_for_one_run_cannot_be_read_again() -> None:
    with operated() as server:
        process, port = server.shell.server()
        server.port, server.process = port, process
        for command in ("restart", "reload"):
            done = server.run(command, "--port", str(port))
            assert done.returncode == 1
            assert "no configuration to read again: its credentials were made for this run" in done.stderr
        server.signal(signal.SIGHUP)
        server.said("not restarted: this server has no configuration")
        assert server.run("trigger", "a", "b").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_while_it_restarts_it_ends(number: signal.Signals) -> None:
    with operated() as server:
        server.configure(CALM.replace("shutdown_timeout = 1", "shutdown_timeout = 60\nclose_timeout = 60"))
        server.start()
        with server.connect() as client:
            server.signal(signal.SIGHUP)
            assert client.read_frame()[0] == CLOSE  # it is not answered: the server waits
            assert "under way already" in server.run("restart").stderr
            server.signal(number)
            client.send_frame(CLOSE, b"\x10\x68")
            assert server.process.exit_code() == 0
        with pytest.raises(ConnectionRefusedError):
            RawSocket(server.port)


# A terminal that is gone


def in_terminal(server: Operated) -> tuple[subprocess.Popen[bytes], int]:
    """A server at the other end of a terminal, as its session leader; that end's descriptor."""
    ours, theirs = pty.openpty()

    process = subprocess.Popen(
        [sys.executable, "-c", "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
         "import sys; from soundpost.tools.cli.app import main; sys.argv = ['soundpost', 'start']; main()"],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        cwd=server.shell.directory, env=server.shell.environ,
    )  # fmt: skip
    os.close(theirs)
    return process, ours


def test_when_its_terminal_is_gone_it_stops() -> None:
    with operated() as server:
        server.configure()
        process, terminal = in_terminal(server)
        client = server.connect()
        os.close(terminal)  # the kernel sends SIGHUP
        assert client.read_frame()[0] == CLOSE
        client.send_frame(CLOSE, b"\x10\x68")
        process.wait(TIMEOUT)
        with pytest.raises(ConnectionRefusedError):
            RawSocket(server.port)


def test_in_a_terminal_it_can_be_restarted() -> None:
    with operated() as server:
        server.configure()
        process, terminal = in_terminal(server)
        try:
            client = server.connect()
            process.send_signal(signal.SIGHUP)
            assert client.read_frame()[0] == CLOSE
            client.send_frame(CLOSE, b"\x10\x68")
            server.connect().socket.close()
            assert process.poll() is None
        finally:
            process.terminate()
            process.wait(TIMEOUT)
            with suppress(OSError):
                os.close(terminal)
