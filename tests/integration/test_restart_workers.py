"""``soundpost restart`` with workers: new ones take the places of the old, one after the other."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import soundpost
from soundpost.core.app_settings import AppSettings
from soundpost.wire.frames import CLOSE
from support.crowd import join
from support.harness import DEFAULT_APP, RawSocket, children, until
from support.knocking import Knocking, Publisher, all_there, guests
from support.operated import PATIENT, Operated, operated
from support.self_signed import self_signed

SECOND = AppSettings(id="2", key="second-key", secret="second-secret")
WORKERS = f"{PATIENT}workers = 2\n"


@pytest.fixture
def server() -> Iterator[Operated]:
    with operated() as made:
        made.configure(WORKERS)
        made.start()
        yield made


def restart(server: Operated) -> None:
    done = server.run("restart")
    assert (done.returncode, done.stdout, done.stderr) == (0, "restarting the workers one after the other\n", "")


def test_nobody_is_refused_and_no_event_is_lost(server: Operated) -> None:
    server.configure(WORKERS.replace("drain_time = 0", "drain_time = 1"), [DEFAULT_APP, SECOND])
    before = server.workers()
    with (
        guests(server.port, "room", 10) as invited,
        Knocking(server.port) as knocking,
        Publisher(server, "room") as publisher,
    ):
        restart(server)
        server.said("all workers are new")
        publisher.goes_on()
        knocking.goes_on()
        all_there(invited)
        publisher.goes_on()
    assert knocking.failed == []
    assert publisher.failed == []
    assert [guest.missed(publisher.taken) for guest in invited] == [[]] * 10
    assert [guest.faults for guest in invited] == [[]] * 10
    assert all(set(guest.codes) == {4200} for guest in invited)
    assert not set(before) & set(server.workers())
    server.connect(SECOND).socket.close()
    assert server.process.stop() == 0


def test_presence_is_right_afterwards(server: Operated) -> None:
    def come(user: str) -> RawSocket:
        client = server.connect()
        join(client, DEFAULT_APP, "presence-room", user, {})
        return client

    here = {f"user {number}": come(f"user {number}") for number in range(6)}
    server.signal(signal.SIGHUP)
    gone: set[str] = set()
    while len(gone) < 6:
        for user, client in here.items():
            if user not in gone and client.has_input():
                opcode, payload = client.read_frame()
                if opcode == CLOSE:
                    gone.add(user)
                    client.send_frame(CLOSE, payload)
                    here[user] = come(user)
                    break
    server.said("all workers are new")
    for user, client in here.items():
        while client.has_input():  # it may have come to the second one, before that was restarted
            opcode, payload = client.read_frame()
            if opcode == CLOSE:
                client.send_frame(CLOSE, payload)
                here[user] = come(user)
                break
    watcher = server.connect()
    ids = json.loads(join(watcher, DEFAULT_APP, "presence-room", "watcher")["data"])["presence"]["ids"]
    assert sorted(ids) == [*sorted(here), "watcher"]
    users = server.get("/channels/presence-room/users").json()["users"]
    assert sorted(user["id"] for user in users) == sorted(ids)
    assert server.get("/connections").json() == {"connections": 7}
    assert server.status()["connections"] == 7


def test_a_configuration_with_a_mistake_changes_nothing(server: Operated) -> None:
    before = server.workers()
    server.configure(f"{WORKERS}prot = 1\n")
    done = server.run("restart", "--port", str(server.port))
    assert done.returncode == 1
    assert "unknown key 'prot'" in done.stderr
    server.said("not restarted: soundpost.toml: .*unknown key 'prot'")
    server.configure(WORKERS)
    assert server.workers() == before


def test_new_workers_that_cannot_start_leave_the_old_ones_serving(server: Operated) -> None:
    before = server.workers()
    server.configure(WORKERS, [DEFAULT_APP, SECOND], rest='[server.tls]\ncertificate = "missing.pem"\n')
    with server.connect() as client:
        server.signal(signal.SIGHUP)
        assert server.said("not restarted").endswith("The old one goes on")
        assert "worker 1 could not be replaced: cannot use the certificate missing.pem: " in server.process.err[-1]
        assert server.workers() == before
        client.subscribe("room")
        server.publish("room", "hello")
        assert client.read_event()["event"] == "hello"
    assert server.refusal(SECOND) == 4001
    os.kill(before[0], signal.SIGKILL)  # the one that is started in its place has the old configuration
    server.said("serves now")
    server.configure(WORKERS)
    restart(server)
    server.said("all workers are new")


def changed_copy(folder: Path, file: str, text: str) -> Path:
    """A folder for PYTHONPATH with a copy of the package in which something was added to a file."""
    copy = folder / "soundpost"
    shutil.copytree(Path(soundpost.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / file).open("a") as module:
        module.write(text)
    return folder


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        (
            "backplane/hub_protocol.py",
            "\nHUB_PROTOCOL += 1\n",
            "this worker has another version of the code than the server: stop the server and start it again",
        ),
        ("server/server.py", "\nraise ImportError('half of an upgrade')\n", "half of an upgrade"),
    ],
    ids=["another protocol", "broken"],
)
def test_code_that_cannot_take_over_does_not(tmp_path: Path, file: str, text: str, reason: str) -> None:
    """The package is changed under a running server, as an upgrade does it."""
    folder = changed_copy(tmp_path, "__init__.py", "")
    with operated() as server:
        server.configure(WORKERS)
        server.shell.environ["PYTHONPATH"] = str(folder)
        server.start()
        before = server.workers()
        with (folder / "soundpost" / file).open("a") as module:
            module.write(text)

        server.signal(signal.SIGHUP)

        server.said(reason)
        line = server.said("not restarted")
        assert "ended with exit status 1 (the lines it wrote before this have the reason)" in line
        shutil.rmtree(folder / "soundpost")
        changed_copy(folder, "__init__.py", "")
        assert server.workers() == before
        server.connect().socket.close()


def test_a_restart_while_one_is_under_way_is_refused(server: Operated) -> None:
    server.configure(WORKERS.replace("drain_time = 0", "drain_time = 600"))
    with guests(server.port, "room", 10):
        restart(server)
        for command in ("restart", "reload"):  # a reload would be undone by what the restart has read before
            done = server.run(command)
            assert (done.returncode, done.stderr) == (1, "soundpost: a restart is under way already\n")
        server.said("not restarted: a restart is under way already")
    server.said("all workers are new")  # nobody is there any more to be sent away
    server.configure(WORKERS)
    restart(server)
    server.said("all workers are new")
    server.connect().socket.close()


def test_a_worker_that_dies_in_the_middle_is_replaced_all_the_same(server: Operated) -> None:
    server.configure(WORKERS.replace("drain_time = 0", "drain_time = 1"))
    before = server.workers()
    with guests(server.port, "room", 6) as invited:
        server.signal(signal.SIGHUP)
        os.kill(before[0], signal.SIGKILL)
        os.kill(before[1], signal.SIGKILL)
        server.said("all workers are new")
        after = server.workers()
        assert not set(before) & set(after)
        all_there(invited)
        server.publish("room", "hello")
        until(lambda: all("hello" in guest.stays[-1] for guest in invited), "all hear it")
    until(lambda: children(server.pid) == set(after), lambda: f"no others than {after}: {children(server.pid)}")


def test_a_worker_that_waits_to_be_started_again_is_replaced(server: Operated) -> None:
    for number in range(1, 5):  # it is to wait for some time, with its sockets closed
        victim = server.workers()[0]
        os.kill(victim, signal.SIGKILL)
        server.said("its clients are cut off")
        if number < 4:
            until(lambda victim=victim: server.workers()[0] != victim, "it is started again")  # type: ignore[misc]
            server.said("serves now")
    server.signal(signal.SIGHUP)
    server.said("all workers are new")
    after = server.workers()
    with Knocking(server.port) as knocking:
        knocking.goes_on(200)
        until(lambda: children(server.pid) == set(after), lambda: f"no others than {after}: {children(server.pid)}")
    assert knocking.failed == [], "connections wait on a socket that nobody looks after"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("when", ["a new one starts", "an old one sends its clients away"])
def test_told_to_stop_in_the_middle_it_ends(number: signal.Signals, when: str) -> None:
    with operated() as server:
        server.configure(WORKERS)
        server.start()
        before = server.workers()
        server.configure(WORKERS.replace("drain_time = 0", "drain_time = 600"))
        clients = [server.connect() for _ in range(20)]
        server.signal(signal.SIGHUP)
        if when == "a new one starts":
            until(lambda: len(children(server.pid)) == 3, "it is there")
        else:
            until(lambda: server.workers()[0] != before[0], "it has taken its place")
        server.signal(number)
        if number == signal.SIGTERM and when != "a new one starts":
            until(lambda: server.status()["draining"], "it stops")
            server.signal(number)  # the configuration in effect has the long drain_time now
        for client in clients:
            while client.read_frame()[0] != CLOSE:
                pass
            client.send_frame(CLOSE, b"\x10\x68")
        assert server.process.exit_code() == 0
        assert not [line for line in server.process.rest_of_err() if "ERROR" in line or "Traceback" in line]


def test_tls_is_kept(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    with operated() as server:
        server.configure(WORKERS, rest=f'[server.tls]\ncertificate = "{certificate}"\nkey = "{key}"\n')
        server.start()
        server.signal(signal.SIGHUP)
        server.said("all workers are new")
        assert server.process.stop() == 0
