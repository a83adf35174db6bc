"""The steps of docs/scaling.md on three machines: two with Soundpost, one with Nginx and Redis."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from support.fresh_machine import FreshMachine, fresh_machine, machine_beside
from support.harness import TIMEOUT, until

DOCS: Final = Path(__file__).parents[2] / "docs"
PROXY: Final = "10.0.0.10"
HOSTS: Final = ("10.0.0.1", "10.0.0.2")


def commands(page: str, heading: str) -> str:
    """The commands of a section of a page."""
    text = (DOCS / page).read_text()
    section = re.search(rf"^#+ {heading}.*?(?=^#+ |\Z)", text, re.DOTALL | re.MULTILINE)
    assert section is not None
    block = re.search(r"```sh\n(.*?)```", section[0], re.DOTALL)
    assert block is not None
    return block[1]


def copy_apps(source: FreshMachine, target: FreshMachine) -> None:
    """Give a machine the credentials of the first host."""
    target.run("rm -f /etc/soundpost/soundpost.toml")
    target.write("/etc/soundpost/soundpost.toml", source.run("cat /etc/soundpost/soundpost.toml"), "600")
    target.run("chown soundpost /etc/soundpost/soundpost.toml")


def start_host(host: FreshMachine, address: str, first: FreshMachine) -> None:
    """Set up a host by the pages, and wait until its server runs."""
    host.run(commands("deployment.md", "1. Install"))
    if host is not first:
        copy_apps(first, host)
    own = commands("scaling.md", "2. The first host").replace("SERVER_HOST=10.0.0.1", f"SERVER_HOST={address}")
    host.run(own)
    host.run(commands("deployment.md", "2. Keep it running"))
    until(lambda: host.succeeds(f"curl -sf http://{address}:8080/up"), "the host runs", 2 * TIMEOUT)


def test_the_steps_make_one_server_of_two_hosts() -> None:
    with ExitStack() as stack:
        proxy = stack.enter_context(fresh_machine())
        hosts = [stack.enter_context(machine_beside(proxy, address, PROXY)) for address in HOSTS]
        proxy.run(commands("scaling.md", "1. Redis"))
        for host, address in zip(hosts, HOSTS, strict=True):
            start_host(host, address, hosts[0])
        proxy.run(commands("deployment.md", "1. Install"))
        copy_apps(hosts[0], proxy)
        deploy = commands("scaling.md", "4. Nginx").strip()
        proxy.run(re.sub("soundpost deploy nginx --write", deploy, commands("deployment.md", "3. Nginx and TLS")))
        until(lambda: proxy.succeeds("curl -sf https://ws.example.com/up"), "Nginx serves TLS", 2 * TIMEOUT)
        for host, address in zip(hosts, HOSTS, strict=True):
            said = host.run(commands("scaling.md", "6. Check each host"))
            assert "As a browser: https://ws.example.com" in said
            assert "cluster: 2 hosts over Redis" in said
            assert f"As a backend: http://{address}:8080" in said
            assert not host.succeeds("curl -s http://127.0.0.1:8080/up"), "it listens on its private address only"
