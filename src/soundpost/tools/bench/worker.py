"""Child process of a run: holds connections, or publishes. ``python -m soundpost.tools.bench.worker``.

Commands come over stdin; the process ends when stdin does.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

from soundpost.server.connections.open_files import raise_open_files_limit
from soundpost.tools.bench.cpu_usage import CpuMeter
from soundpost.tools.bench.messages import (
    BenchPlan,
    ChildAnswer,
    ChildCommand,
    ChildReady,
    Connect,
    Finish,
    Start,
    Stop,
    decode_child_command,
    encode,
)
from soundpost.tools.bench.publishing import Publishing
from soundpost.tools.bench.receivers import Receivers

_PROGRESS_PERIOD = 0.25
_MAX_LINE = 256 * 1024 * 1024


def _send_answer(answer: ChildAnswer) -> None:
    # Blocking: the leading process reads all the time.
    sys.stdout.buffer.write(encode(answer) + b"\n")
    sys.stdout.buffer.flush()


async def _send_progress(work: Receivers | Publishing) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_PERIOD)
        _send_answer(work.progress())


async def _run_command(work: Receivers | Publishing, cpu: CpuMeter, command: ChildCommand) -> None:
    if isinstance(command, Connect):
        cpu.connecting()
        await work.connect(command.limit)
        cpu.connected()
        _send_answer(work.progress())
        _send_answer(ChildReady())
    elif isinstance(command, Start):
        cpu.started()
        work.start(command.at)
        _send_answer(ChildReady())
    elif isinstance(command, Stop):
        stopped = await work.stop()
        cpu.stopped()
        _send_answer(stopped)
    elif isinstance(command, Finish):
        _send_answer(await work.finish(command) if isinstance(work, Receivers) else work.report())


async def main() -> None:
    """Run the commands from stdin one by one; a Stop cancels even the connecting."""
    lines = asyncio.StreamReader(limit=_MAX_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    plan = decode_child_command(await lines.readline())
    assert isinstance(plan, BenchPlan)
    raise_open_files_limit()
    cpu = CpuMeter(f"{plan.role} {plan.index + 1}" if plan.role == "receiver" else plan.role)
    work = Receivers(plan, cpu) if plan.role == "receiver" else Publishing(plan, cpu)
    async with asyncio.TaskGroup() as tasks:  # what fails in a task ends the process
        running = [tasks.create_task(_send_progress(work))]
        while line := await lines.readline():
            command = decode_child_command(line)
            if running[1:]:
                if isinstance(command, Stop):
                    running[1].cancel()
                await asyncio.wait(running[1:])
            running[1:] = [tasks.create_task(_run_command(work, cpu, command))]
        for task in running:
            task.cancel()


if __name__ == "__main__":
    uvloop.run(main())
