"""A worker process in the view of its parent: its sockets, the process, the link to it."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from soundpost.backplane.hub import Hub, WorkerEnd
from soundpost.backplane.hub_framing import Message
from soundpost.backplane.hub_link import HubLink
from soundpost.backplane.hub_messages import Configuration, Retire
from soundpost.backplane.hub_protocol import HUB_PROTOCOL
from soundpost.errors import StartError
from soundpost.server.connections.listening import listen_again

PING_INTERVAL: Final = 5
_MAX_UNANSWERED: Final = 6  # pings in a row: a loop that stands still for so long serves nobody
_DRAIN_TIMEOUT: Final = 5  # seconds to handle what a process has sent before it ended
_MAX_UNREAD: Final = 256 * 1024 * 1024  # bytes waiting for a worker that does not read


class WorkerProcess:
    """A worker's process; :meth:`spawn` starts it, and again when it has ended."""

    def __init__(self, number: int, sockets: list[socket.socket]) -> None:
        self.number = number
        self.sockets = sockets
        self.addresses = [(sock.family, sock.getsockname()) for sock in sockets]
        self.process: asyncio.subprocess.Process | None = None
        self.link: HubLink
        self.end: WorkerEnd
        self.capacity = 0
        """The number of sockets the process may open; 0 until it listens."""
        self.ready: asyncio.Future[None]
        """Done once the process listens; StartError if it could not."""
        self.fault = ""
        """The reason why the process could not start, in its own words."""
        self.unanswered = 0
        self.deaths = 0  # in a row, each soon after its start
        self.began = 0.0
        self.restarts = 0
        """The number of times that the process died and was started again."""
        self.retired = False
        """True after the command to end: the process is not started again."""

    def successor(self) -> WorkerProcess:
        """Return a worker process to take the place of this one, on the same sockets. Raises OSError."""
        waits = any(sock.fileno() < 0 for sock in self.sockets)  # for its next start, with its sockets closed
        successor = WorkerProcess(self.number, listen_again(self.addresses) if waits else self.sockets)
        successor.restarts = self.restarts
        return successor

    def __str__(self) -> str:
        return f"worker {self.number}" + ("" if self.process is None else f" (process {self.process.pid})")

    def close_sockets(self) -> None:
        """Close the parent's copies of the listening sockets."""
        for sock in self.sockets:
            sock.close()

    async def spawn(
        self, hub: Hub, configuration: Configuration, receive: Callable[[WorkerProcess, Message], None]
    ) -> None:
        """Start a process; ``receive`` is called with each of its messages. Raises OSError."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        files = [theirs.fileno(), *(sock.fileno() for sock in self.sockets)]
        self.capacity = self.unanswered = 0
        self.fault = ""
        self.began = time.monotonic()
        self.ready = loop.create_future()
        self.ready.add_done_callback(lambda future: future.cancelled() or future.exception())  # marked as retrieved
        self.link = link = HubLink(lambda message: receive(self, message), lambda: hub.remove(end))
        self.end = end = hub.add(link.send)
        await loop.create_connection(lambda: link, sock=ours)
        try:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "soundpost.server.processes.worker",
                str(HUB_PROTOCOL),
                *map(str, files),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=files,
                start_new_session=True,  # Ctrl-C in a terminal is for the parent: it lets the workers end in order
            )
        except OSError:
            link.close()
            raise
        finally:
            theirs.close()
        link.send(configuration)

    async def wait(self) -> int:
        """Wait until the process has ended; return its exit status, negative for a signal."""
        assert self.process is not None
        status = await self.process.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_TIMEOUT):
                await self.link.ended.wait()
        self.link.close()
        if not self.ready.done():
            self.ready.set_exception(StartError(self.fault or f"{self} {exit_reason(status)} before it listened"))
        return status

    @property
    def pid(self) -> int:
        """Id of the process; 0 while none runs."""
        return self.process.pid if self.process is not None and self.runs else 0

    @property
    def runs(self) -> bool:
        """True while the process runs."""
        return self.process is not None and self.process.returncode is None

    @property
    def has_sockets_of_its_own(self) -> bool:
        """True if each worker has sockets of its own, over which the kernel spreads connections (SO_REUSEPORT)."""
        return all(
            sock.family != socket.AF_UNIX and sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
            for sock in self.sockets
        )

    def signal(self, number: int) -> None:
        """Send the process a signal, if it still runs."""
        if self.process is not None and self.runs:
            self.process.send_signal(number)

    async def retire(self, how: Retire, limit: float) -> None:
        """Have the process disconnect its clients and end; kill it after ``limit`` seconds."""
        self.retired = True
        if not self.runs:
            return
        self.link.send(how)
        assert self.process is not None
        try:
            async with asyncio.timeout(limit):
                await self.process.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.process.wait()

    def hang_reason(self) -> str:
        """Return the reason why the process counts as hanging, empty if it does not; count one more unanswered ping."""
        if self.unanswered >= _MAX_UNANSWERED:
            return f"it has not answered for {self.unanswered * PING_INTERVAL} s"
        if self.link.waiting > _MAX_UNREAD:
            return f"it has not read {self.link.waiting} bytes that wait for it"
        self.unanswered += 1
        return ""


def exit_reason(status: int) -> str:
    """Return an exit status in words."""
    if status >= 0:
        return f"ended with exit status {status} (the lines it wrote before this have the reason)"
    name = signal.Signals(-status).name
    hint = " (by somebody, or by the kernel when memory ran out: see dmesg)" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"
