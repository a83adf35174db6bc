"""Child processes as the leading process sees them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, TypeVar

from soundpost.errors import SoundpostError
from soundpost.tools.bench.messages import (
    BenchPlan,
    ChildAnswer,
    ChildCommand,
    ChildReady,
    Progress,
    PublisherReport,
    ReceiverReport,
    Stopped,
    decode_child_answer,
    encode,
)

_MAX_LINE: Final = 256 * 1024 * 1024
_END_TIMEOUT: Final = 2.0

Expected = TypeVar("Expected", ChildReady, Stopped, PublisherReport, ReceiverReport)


class Child:
    """Child process; ``progress`` is the last report of its progress."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.progress = Progress()
        self._name = name
        self._process = process
        self._answers: asyncio.Queue[ChildAnswer | None] = asyncio.Queue()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, plan: BenchPlan) -> Child:
        """Start a process and send its plan over stdin: a command line with secrets would be visible to all users."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "soundpost.tools.bench.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_MAX_LINE,
            # Ctrl-C is for the leading process alone, which then stops the others in order.
            start_new_session=True,
        )
        child = cls(f"{plan.role} {plan.index + 1}", process)
        await child.send(plan)
        return child

    async def send(self, command: ChildCommand) -> None:
        """Send a command to the process."""
        assert self._process.stdin is not None
        with suppress(ConnectionError):  # wait_for() reports a process that has ended
            self._process.stdin.write(encode(command) + b"\n")
            await self._process.stdin.drain()

    async def wait_for(self, shape: type[Expected]) -> Expected:
        """Return the next answer of type ``shape``. Raises SoundpostError if the process ends without one."""
        while (answer := await self._answers.get()) is not None:
            if isinstance(answer, shape):
                return answer
        self._answers.put_nowait(None)
        code = await self._process.wait()
        raise SoundpostError(
            f"the client process '{self._name}' ended unexpectedly ({code}); its output is above. Out of memory?"
        )

    async def end(self) -> None:
        """End the process; kill it after two seconds."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_END_TIMEOUT):
                    await self._process.wait()
        finally:  # when this is cancelled, too: an event loop must not end before the pipes of its children
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            await self._reader

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            answer = decode_child_answer(line)
            if isinstance(answer, Progress):
                self.progress = answer
            else:
                self._answers.put_nowait(answer)
        self._answers.put_nowait(None)


async def send_to_all(children: Sequence[Child], command: ChildCommand, shape: type[Expected]) -> list[Expected]:
    """Send a command to all children and return their answers."""
    for child in children:
        await child.send(command)
    return list(await asyncio.gather(*(child.wait_for(shape) for child in children)))
