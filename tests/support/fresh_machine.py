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

REPOSITORY: Final = Path(__file__).parents[2]
NAME: Final = "ws.example.com"
"""Name that leads to the machine."""
_PROGRAMS: Final = ("unshare", "nsenter", "ip", "nginx", "caddy", "certbot", "supervisord", "curl", "openssl")
_PATH: Final = "/machine/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_START: Final = """\
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs {base}
cd {base}
mkdir upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
mount -t proc proc root/proc
mount --rbind /dev root/dev
ip link set lo up
trap '' CHLD
echo ready
exec chroot root cat
"""
_ACME: Final = """\
{
	admin off
	skip_install_trust
	auto_https disable_redirects
	storage file_system /machine/acme
	https_port 14000
}
https://acme.example.com:14000 {
	tls internal
	acme_server
}
"""
# What the page's commands need of Debian's archive, of PyPI, and of systemd.
_APT: Final = """\
#!/bin/sh
shift 2  # install -y
for package; do [ "$package" = python3-venv ] || dpkg-query --show "$package" || exit; done
"""
_PYTHON: Final = """\
#!/bin/sh
[ "$1 $2" = "-m venv" ] || exec {python} "$@"
{python} "$@" --without-pip || exit
cat > "$3/bin/pip" <<'END'
#!/bin/sh
here=$(dirname "$(dirname "$0")")
for folder in "$here"/lib/python*/site-packages; do printf '%s\\n' {sources} > "$folder/checkout.pth"; done
printf '#!%s\\nfrom soundpost.tools.cli.app import main\\nmain()\\n' "$here/bin/python" > "$here/bin/soundpost"
chmod 755 "$here/bin/soundpost"
END
chmod 755 "$3/bin/pip"
"""
_SYSTEMCTL: Final = """\
#!/bin/sh
case "$*" in
    "reload nginx") exec nginx -s reload ;;
    "reload caddy") exec caddy reload --config /etc/caddy/Caddyfile ;;
    "restart supervisor")
        supervisorctl pid >/dev/null 2>&1 && supervisorctl shutdown >/dev/null
        while [ -S /var/run/supervisor.sock ]; do sleep 0.1; done
        exec supervisord -c /etc/supervisor/supervisord.conf ;;
esac
echo "systemctl $*: no such service on this machine" >&2
exit 1
"""


class FreshMachine:
    """A machine whose root directory is ``root``; :meth:`run` runs commands there, as root."""

    def __init__(self, init: int) -> None:
        self._enter = [
            *_as_root(),
            "nsenter",
            "-t",
            str(init),
            "-m",
            "-n",
            "-p",
            "--root",
            "--",
            "env",
            "-i",
            "-C",
            "/",
        ]
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
        return [*self._enter, f"PATH={_PATH}", "HOME=/root", "LANG=C.UTF-8", *command]


@contextmanager
def fresh_machine() -> Iterator[FreshMachine]:
    """A machine, until the end of the test; the test is skipped where there can be none."""
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
            _furnish(machine)
            yield machine
        finally:
            process.communicate()  # its first process reads to the end of the input, and all others end with it


def _as_root() -> list[str]:
    return [] if os.geteuid() == 0 else ["sudo", "-n"]


def _init_of(pid: int) -> int:
    """The first process of the machine: a child's child with ``sudo``."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return _init_of(int(children[0])) if children else pid


def _furnish(machine: FreshMachine) -> None:
    """Start what is there before anybody follows the page: the authority, Nginx and Supervisor."""
    site = [path for path in sys.path if path.endswith("site-packages")]
    machine.write("/machine/Caddyfile", _ACME)
    sources = " ".join([str(REPOSITORY / "src"), *site])
    machine.write("/machine/bin/python3", _PYTHON.format(python=sys.executable, sources=sources), "755")
    machine.write("/machine/bin/apt", _APT, "755")
    machine.write("/machine/bin/systemctl", _SYSTEMCTL, "755")
    machine.write("/etc/hosts", f"127.0.0.1 localhost {NAME} www.example.com acme.example.com\n")
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
        "caddy start --config /machine/Caddyfile --adapter caddyfile >/machine/caddy.log 2>&1\n"
        "nginx\n"
        "supervisord -c /etc/supervisor/supervisord.conf"
    )
    root = "/machine/acme/pki/authorities/local/root.crt"
    until(lambda: machine.succeeds(f"test -s {root}"), "the authority has a certificate")
    machine.run(f"cat {root} >> /etc/ssl/certs/ca-certificates.crt")
    until(
        lambda: machine.succeeds("curl -sf https://acme.example.com:14000/acme/local/directory"), "the authority serves"
    )
