"""Background delivery in programs and their children, however they end: all that was accepted is sent, and once."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from support.background_programs import environment, names_of, program, run, started
from support.harness import RunningServer
from support.raw_socket import TIMEOUT
from support.redis_process import free_port


class Case(NamedTuple):
    code: str
    status: int | None = 0
    tellers: tuple[str, ...] = ("main",)


ANY_FAILURE: Final = None
"""After Ctrl-C, that a program evaluates text while it ends makes the difference between 1 and -2."""
KILL: Final = "os.kill(os.getpid(), signal.{}); time.sleep(60)"
ENDS: Final = {
    "the end of the program": Case("tell()"),
    "an exception": Case("tell(); 1 / 0", 1),
    "sys.exit": Case("tell(); sys.exit(3)", 3),
    "sys.exit while a thread goes on": Case(
        """
def late():
    threading.main_thread().join()
    tell("thread")
threading.Thread(target=late).start()
tell()
sys.exit(3)
""",
        3,
        ("main", "thread"),
    ),
    "a thread that begins to broadcast at the end": Case(
        """
def late():
    threading.main_thread().join()
    tell("thread")
threading.Thread(target=late).start()
""",
        tellers=("thread",),
    ),
    "atexit, before and after": Case(
        """
atexit.register(tell, "first registered")
tell()
atexit.register(tell, "last registered")
""",
        tellers=("main", "last registered", "first registered"),
    ),
    "an asyncio program": Case(
        """
import asyncio, soundpost
async def main():
    for number in range(10):
        await soundpost.apublish("orders", f"main {number}")
asyncio.run(main())
"""
    ),
    "a machine without further threads": Case(
        """
def no_more(self):
    raise RuntimeError("can't start new thread")
threading.Thread.start = no_more
tell()
os._exit(0)
"""
    ),
    "Ctrl-C": Case("tell(); " + KILL.format("SIGINT"), ANY_FAILURE),
    "SIGTERM": Case("tell(); " + KILL.format("SIGTERM"), -signal.SIGTERM),
    "SIGHUP": Case("tell(); " + KILL.format("SIGHUP"), -signal.SIGHUP),
    "SIGTERM in a program that publishes in a thread only": Case(
        "thread = threading.Thread(target=tell); thread.start(); thread.join(); " + KILL.format("SIGTERM"),
        -signal.SIGTERM,
    ),
    "SIGTERM in a configured program that publishes in a thread only": Case(
        "import soundpost; soundpost.configure(url=os.environ['SOUNDPOST_URL'], deliver='background')\n"
        "thread = threading.Thread(target=tell); thread.start(); thread.join(); " + KILL.format("SIGTERM"),
        -signal.SIGTERM,
    ),
    "SIGTERM in an event loop": Case(
        f"""
import asyncio, soundpost
async def main():
    for number in range(10):
        await soundpost.apublish("orders", f"main {{number}}")
    {KILL.format("SIGTERM")}
asyncio.run(main())
""",
        -signal.SIGTERM,
    ),
    "SIGTERM with a handler set before": Case(
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); tell(); " + KILL.format("SIGTERM"), 5
    ),
    "SIGTERM with a handler set after": Case(
        "tell(); signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); " + KILL.format("SIGTERM"), 5
    ),
    "SIGTERM ignored, as by nohup": Case(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); tell(); os.kill(os.getpid(), signal.SIGTERM)"
    ),
    "os.fork, and os._exit in the child": Case(
        """
tell("before")
pid = os.fork()
if pid == 0:
    tell("child")
    os._exit(0)
tell("after")
os.waitpid(pid, 0)
""",
        tellers=("before", "child", "after"),
    ),
    "os.fork, and os._exit in the child, which alone imports it": Case(
        """
pid = os.fork()
if pid == 0:
    tell("child")
    os._exit(0)
os.waitpid(pid, 0)
""",
        tellers=("child",),
    ),
    "os.fork, and the child goes on": Case(
        """
tell("before")
pid = os.fork()
tell("after" if pid else "child")
if pid:
    os.waitpid(pid, 0)
""",
        tellers=("before", "child", "after"),
    ),
    "os.fork in a thread, and SIGTERM for the child": Case(
        """
tell("before")
def fork():
    global pid
    pid = os.fork()
    if pid == 0:
        tell("child")
        """
        + KILL.format("SIGTERM")
        + """
thread = threading.Thread(target=fork)
thread.start()
thread.join()
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
""",
        tellers=("before", "child"),
    ),
    "a daemon: the parents end by os._exit": Case(
        """
reading, writing = os.pipe()
tell("before")
if os.fork():
    os.close(writing)
    os.read(reading, 1)
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
tell("daemon")
os._exit(0)
""",
        tellers=("before", "daemon"),
    ),
    "threads that publish while others fork": Case(
        """
def fork():
    pids = []
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            tell(f"child {number}")
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
tell("first")  # a child would wait for ever for a module that a thread of its parent was importing: Python's own
threads = [threading.Thread(target=fork), *(threading.Thread(target=tell, args=(f"thread {n}",)) for n in range(3))]
for thread in threads: thread.start()
for thread in threads: thread.join()
""",
        tellers=("first", *(f"{who} {n}" for who in ("child", "thread") for n in range(3))),
    ),
}
MULTIPROCESSING: Final = {
    "Process": """
    process = context.Process(target=tell, args=("child",))
    process.start()
    process.join()
    assert process.exitcode == 0
""",
    "a Process that fails": """
    process = context.Process(target=fails)
    process.start()
    process.join()
    assert process.exitcode == 1
""",
    "a Process that is terminated": """
    process = context.Process(target=sleeps, args=(told := context.Event(),))
    process.start()
    told.wait()
    process.terminate()
    process.join()
    assert process.exitcode == -signal.SIGTERM
""",
    "Pool": """
    with context.Pool(1) as pool:
        pool.map(tell, ["child"])
""",
    "ProcessPoolExecutor": """
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        pool.submit(tell, "child").result()
""",
}


def is_expected(status: int, case: Case) -> bool:
    return status != 0 if case.status is ANY_FAILURE else status == case.status


def by_teller(heard: list[str]) -> dict[str, list[str]]:
    """The events of each, in their order: those of two processes may come in any."""
    sorted_out: dict[str, list[str]] = {}
    for name in heard:
        sorted_out.setdefault(name.rpartition(" ")[0], []).append(name)
    return sorted_out


@pytest.mark.parametrize("case", ENDS.values(), ids=ENDS.keys())
def test_all_is_sent_before_the_end(server: RunningServer, tmp_path: Path, case: Case) -> None:
    status, heard, log = run(tmp_path, case.code, server)
    assert by_teller(heard) == {who: names_of(who) for who in case.tellers}, log
    assert is_expected(status, case)
    assert "not sent" not in log


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("code", MULTIPROCESSING.values(), ids=MULTIPROCESSING.keys())
def test_children_of_multiprocessing_send_all(server: RunningServer, tmp_path: Path, method: str, code: str) -> None:
    """They end by ``os._exit``, or by SIGTERM."""
    whole = f"""
def fails():
    tell("child")
    raise ValueError("on purpose")

def sleeps(told):
    tell("child")
    told.set()
    time.sleep(60)

if __name__ == "__main__":
    tell("before")
    context = multiprocessing.get_context({method!r})
{code}
    tell("after")
"""
    status, heard, log = run(tmp_path, whole, server)
    assert by_teller(heard) == {who: names_of(who) for who in ("before", "child", "after")}, log
    assert status == 0


CONFIGURE: Final = "soundpost.configure(url=os.environ['SOUNDPOST_URL'], deliver='background')"
DJANGO: Final = """
import django
from django.conf import settings
url = os.environ.pop("SOUNDPOST_URL")
settings.configure(INSTALLED_APPS=["soundpost.django"], SOUNDPOST={"URL": url, "DELIVER": "background"})
django.setup()
"""
SIGNALS: Final = {
    "configured": (f"import soundpost; {CONFIGURE}", True),
    "configured by Flask": (
        "from flask import Flask; from soundpost.flask import Soundpost; Soundpost(Flask('x'))",
        True,
    ),
    "configured by Django": (DJANGO, True),
    "used": ("tell()", True),
    "only imported": ("import soundpost; soundpost.publish", False),
    "another delivery": ("os.environ['SOUNDPOST_DELIVER'] = 'now'; tell()", False),
    "in a thread": ("thread = threading.Thread(target=tell); thread.start(); thread.join()", False),
    "in a forked process": ("tell()\npid = os.fork()\nif pid: sys.exit(os.waitpid(pid, 0)[1])", False),
    "with handlers of its own": (
        "for number in (signal.SIGTERM, signal.SIGHUP): signal.signal(number, print)\ntell()",
        False,
    ),
}


@pytest.mark.parametrize(("code", "expected"), SIGNALS.values(), ids=SIGNALS.keys())
def test_signals_get_a_handler_only_where_there_is_none_and_it_is_needed(
    server: RunningServer, tmp_path: Path, code: str, expected: bool
) -> None:
    look = """
for number in (signal.SIGTERM, signal.SIGHUP):
    print("ours" if "soundpost" in getattr(signal.getsignal(number), "__module__", "") else "another's")
"""
    _, _, log = run(tmp_path, f"{code}{look}", server)
    assert log.splitlines() == ["ours" if expected else "another's"] * 2


NOT_SENT: Final = {
    "the end of the program": Case("tell()"),
    "sys.exit": Case("tell(); sys.exit(3)", 3),
    "an exception": Case("tell(); 1 / 0", 1),
    "SIGTERM": Case("tell(); " + KILL.format("SIGTERM"), -signal.SIGTERM),
    "Ctrl-C twice": Case(
        """
tell()
def again():
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGINT)
atexit.register(lambda: threading.Thread(target=again, daemon=True).start())
if sys.version_info >= (3, 12):  # no thread can be begun that late
    threading.Thread(target=again, daemon=True).start()
"""
        + KILL.format("SIGINT"),
        ANY_FAILURE,
    ),
    "os.fork and os._exit": Case(
        """
pid = os.fork()
if pid == 0:
    tell()
    os._exit(0)
os.waitpid(pid, 0)
"""
    ),
    "several broadcasters": Case(
        """
import soundpost
for number in range(10):
    broadcaster = soundpost.Broadcaster()
    broadcaster.configure(url=os.environ["SOUNDPOST_URL"], deliver="background")
    broadcaster.publish("orders", f"main {number}")
"""
    ),
    "a batch": Case("import soundpost\nwith soundpost.broadcast.batch(): tell()"),
}


def test_what_cannot_be_sent_is_named_in_the_log(tmp_path: Path) -> None:
    """There is no server. All of them at the same time, as each waits for it for five seconds."""
    nowhere = environment(free_port())
    with ExitStack() as stack:
        running = {}
        for number, (name, case) in enumerate(NOT_SENT.items()):
            folder = tmp_path / str(number)
            file = program(folder, case.code)
            running[name] = folder, stack.enter_context(started(folder, file, environ=nowhere))
        for name, (folder, process) in running.items():
            status = process.wait(6 * TIMEOUT)
            log = (folder / "log").read_text()
            lost = "".join(
                line for line in log.splitlines() if line.startswith("not sent: ") or "were not sent" in line
            )
            assert [each for each in names_of("main") if f"{each} on orders" not in lost] == [], f"{name}: {log}"
            assert is_expected(status, NOT_SENT[name]), f"{name}: {log}"
            assert "s3cret" not in log
