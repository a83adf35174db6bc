"""A machine of its own for a test: a copy of this one, with Debian's Nginx and Supervisor as installed.

Linux' namespaces and an overlay make the copy. What is changed there is gone afterwards, and ports and names are its
own. Caddy is its authority, which issues certificates by ACME, as Let's Encrypt does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from support.harness import until
from support.machine_programs import ACME, APT, PYTHON, SYSTEMCTL

REPOSITORY: Final = Path(__file__).parents[2]
NAME: Final = "ws.example.com"
"""Name that leads to the machine."""
_PROGRAMS: Final = ("unshare", "nsenter", "ip", "nginx", "caddy", "certbot", "supervisord", "curl", "openssl")
_PATH: Final = "/machine/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT: Final = ("HOME=/root", "LANG=C.UTF-8")
_AUTHORITY: Final = "/machine/acme/pki/authorities/local/root.crt"
_START: Final = """\
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs {base}
cd {base}
mkdir upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
mount -t proc proc root/proc
mount --rbind /dev root/dev
mount -o remount,bind,ro root/dev
ip link set lo up
trap '' CHLD
echo ready
exec chroot root cat
"""


class FreshMachine:
    """A machine whose root directory is ``root``; :meth:`run` runs commands there, as root."""

    def __init__(self, init: int) -> None:
        self.init = init
        inside = ("nsenter", "-t", str(init), "-m", "-n", "-p", "--root")
        self._enter = [*_as_root(), *inside, "--", "env", "-i", "-C", "/", f"PATH={_PATH}", *_ENVIRONMENT]
        self._directory = "/root"

    def run(self, commands: str) -> str:
        """Run ``commands`` in a shell that stops at the first failure; what they print.

        The next commands start in the directory that these leave, as in a terminal.
        """
        script = f"set -e\ncd {self._directory}\n{commands}\npwd > /machine/directory"
        done = self._told("bash", "-c", script)
        assert done.returncode == 0, f"{commands}\n{done.stdout}"
        self._directory = self._told("cat", "/machine/directory").stdout.strip()
        return done.stdout

    def succeeds(self, command: str) -> bool:
        """Tell whether a command ends with exit code 0."""
        return self._told("bash", "-c", command).returncode == 0

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command that reads what is written to its ``stdin``, and whose output is read from its ``stdout``."""
        return subprocess.Popen(self._command(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def write(self, path: str, text: str, mode: str = "644") -> None:
        """Write a file."""
        command = self._command(("sh", "-c", f"mkdir -p $(dirname {path}); cat > {path}; chmod {mode} {path}"))
        subprocess.run(command, input=text, text=True, check=True)

    def _told(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )

    def _command(self, command: tuple[str, ...]) -> list[str]:
        return [*self._enter, *command]


@contextmanager
def fresh_machine() -> Iterator[FreshMachine]:
    """A machine with Nginx, Supervisor and an authority, until the end of the test.

    The test is skipped where there can be none.
    """
    with _machine() as machine:
        machine.write("/etc/hosts", f"127.0.0.1 localhost {NAME} www.example.com acme.example.com\n")
        machine.write("/machine/Caddyfile", ACME)
        machine.run("caddy start --config /machine/Caddyfile --adapter caddyfile >/machine/caddy.log 2>&1")
        until(lambda: machine.succeeds(f"test -s {_AUTHORITY}"), "the authority has a certificate")
        machine.run(f"cat {_AUTHORITY} >> /etc/ssl/certs/ca-certificates.crt\nnginx")
        directory = "https://acme.example.com:14000/acme/local/directory"
        until(lambda: machine.succeeds(f"curl -sf {directory}"), "the authority serves")
        yield machine


@contextmanager
def machine_beside(other: FreshMachine, address: str, others_address: str) -> Iterator[FreshMachine]:
    """A machine with Supervisor in a private network, to which the other one is connected too."""
    with _machine() as machine:
        outside = [*_as_root(), "nsenter", "-t", str(other.init), "-n", "--"]
        link = f"machine{machine.init}"[-15:]
        other.run(
            "ip link show lan >/dev/null 2>&1 || ip link add lan type bridge\n"
            f"ip addr replace {others_address}/24 dev lan\nip link set lan up"
        )
        peer = ("type", "veth", "peer", "name", "eth0", "netns", str(machine.init))
        subprocess.run([*outside, "ip", "link", "add", link, *peer], check=True)
        other.run(f"ip link set {link} master lan up")
        machine.run(f"ip addr add {address}/24 dev eth0\nip link set eth0 up")
        machine.write("/etc/hosts", f"127.0.0.1 localhost\n{others_address} {NAME}\n")
        machine.write("/machine/authority.crt", other.run(f"cat {_AUTHORITY}"))
        machine.run("cat /machine/authority.crt >> /etc/ssl/certs/ca-certificates.crt")
        yield machine


@contextmanager
def _machine() -> Iterator[FreshMachine]:
    missing = [name for name in _PROGRAMS if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    unshare = [*_as_root(), "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine makes no namespaces")
    with tempfile.TemporaryDirectory(prefix="soundpost-machine-") as base:
        process = subprocess.Popen(
            [*unshare, "sh", "-c", _START.format(base=base)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None, "a pipe"
            assert process.stdout.readline() == "ready\n"
            machine = FreshMachine(_init_of(process.pid))
            _prepare(machine)
            yield machine
        finally:
            process.communicate()  # its first process reads to the end of the input, and all others end with it


def _as_root() -> list[str]:
    return [] if os.geteuid() == 0 else ["sudo", "-n"]


def _init_of(pid: int) -> int:
    """The first process of the machine: a child's child with ``sudo``."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return _init_of(int(children[0])) if children else pid


def _prepare(machine: FreshMachine) -> None:
    """Take away what this machine has of a deployment, and start Supervisor, as its package does."""
    site = [path for path in sys.path if path.endswith("site-packages")]
    sources = " ".join([str(REPOSITORY / "src"), *site])
    machine.write("/machine/bin/python3", PYTHON.format(python=sys.executable, sources=sources), "755")
    machine.write("/machine/bin/apt", APT, "755")
    machine.write("/machine/bin/systemctl", SYSTEMCTL, "755")
    # Everybody on the machine may read this Python and this checkout.
    paths = (REPOSITORY, Path(sys.base_prefix), *map(Path, site))
    folders = {str(folder) for path in paths for folder in (path, *path.parents)}
    machine.run(f"chmod o+x {' '.join(sorted(folders))}")
    machine.write(
        "/machine/certbot.ini",
        "server = https://acme.example.com:14000/acme/local/directory\n"
        "agree-tos = true\nregister-unsafely-without-email = true\nnon-interactive = true\n",
    )
    machine.run(
        "rm -rf /etc/letsencrypt/{live,archive,renewal,accounts} /etc/soundpost /opt/soundpost\n"
        "rm -f /etc/nginx/conf.d/soundpost.conf /etc/supervisor/conf.d/*.conf\n"
        "cat /machine/certbot.ini >> /etc/letsencrypt/cli.ini\n"
        "supervisord -c /etc/supervisor/supervisord.conf"
    )
