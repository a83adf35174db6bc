"""Pauses of the loop by garbage collection: ``python benchmarks/garbage.py [--connections 15000]``.

A server that times its own collections, while so many clients connect, a quarter of them leave and come back, and
events go to all of them.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from pathlib import Path

from processes import FRAME, Publisher, clients, free_port, on_one_core


def serve(port: int) -> None:
    """Serve, and print every collection's generation and milliseconds at the end."""
    began = 0.0
    pauses: dict[int, list[float]] = {0: [], 1: [], 2: []}

    def timed(phase: str, info: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.perf_counter()
        else:
            pauses[info["generation"]].append((time.perf_counter() - began) * 1e3)

    sys.argv = ["serve.py", str(port)]
    code = compile((Path(__file__).with_name("serve.py")).read_text(), "serve.py", "exec")
    gc.callbacks.append(timed)
    exec(code, {"__name__": "__main__"})
    print(json.dumps({str(age): [len(found), max(found, default=0.0)] for age, found in pauses.items()}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=15_000)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    on_one_core()
    port, count = free_port(), options.connections
    command = ["taskset", "-c", "0", sys.executable, __file__, "--serve", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    server.stdout.readline()
    with clients(port) as swarm:
        swarm.do(f"connect {count} bench")
        publish = Publisher(port)
        for _ in range(5):
            swarm.do(f"disconnect {count // 4}")
            swarm.do(f"connect {count // 4} bench")
            publish()
            swarm.do(f"received {len(FRAME) * count}")
    server.terminate()
    for age, (number, longest) in json.loads(server.stdout.read().splitlines()[-1]).items():
        print(f"generation {age}: {number} collections, the longest {longest:.1f} ms")


if __name__ == "__main__":
    main()
