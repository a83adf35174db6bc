"""docs/deployment.md from its first line to its last, on a machine of its own, with certbot and an authority."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from support.fresh_machine import FreshMachine, fresh_machine
from support.harness import TIMEOUT, until

PAGE: Final = (Path(__file__).parents[2] / "docs/deployment.md").read_text()
# Connects over TLS without a pause until its input ends; prints each certificate it meets, and how often it failed.
KNOCKING: Final = """\
import hashlib, select, socket, ssl, sys
context, seen, failures = ssl.create_default_context(), [], 0
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        plain = socket.create_connection(("127.0.0.1", 443), 5)
        with context.wrap_socket(plain, server_hostname="ws.example.com") as tls:
            found = hashlib.sha256(tls.getpeercert(True)).hexdigest()
    except OSError as error:
        failures += 1
        print(error, flush=True)
        continue
    if found not in seen:
        seen.append(found)
        print("certificate", len(seen), flush=True)
print("failures", failures, flush=True)
"""


def commands(number: int) -> list[str]:
    """The commands of a numbered section of the page."""
    section = re.search(rf"^## {number}\..*?(?=^## )", PAGE, re.DOTALL | re.MULTILINE)
    assert section is not None
    block = re.search(r"```sh\n(.*?)```", section[0], re.DOTALL)
    assert block is not None
    return block[1].splitlines()


@pytest.fixture
def machine() -> Iterator[FreshMachine]:
    with fresh_machine() as machine:
        yield machine


def install(machine: FreshMachine) -> None:
    """Follow the page up to a server that runs."""
    for command in (*commands(1), *commands(2)):
        machine.run(command)
    until(lambda: machine.succeeds("curl -sf http://127.0.0.1:8080/up"), "the server runs", 2 * TIMEOUT)


def serves_tls(machine: FreshMachine) -> None:
    """Wait until Nginx, told to reload, has done so."""
    until(lambda: machine.succeeds("curl -sf https://ws.example.com/up"), "Nginx serves TLS", 2 * TIMEOUT)


def served_certificate(machine: FreshMachine, port: int = 443) -> str:
    """The fingerprint of the certificate that browsers are shown."""
    return machine.run(
        f"openssl s_client -connect 127.0.0.1:{port} -servername ws.example.com </dev/null 2>/dev/null |"
        "openssl x509 -noout -fingerprint"
    )


def printed_steps(machine: FreshMachine, command: str) -> list[str]:
    """The commands that a ``deploy`` command prints as next steps."""
    said = machine.run(f"{command} 2>&1 >/dev/null")
    steps = re.search(r"^Next.*?\n\n(.*?)\n\n", said, re.DOTALL | re.MULTILINE)
    assert steps is not None, said
    return [line.strip() for line in steps[1].splitlines() if not line.startswith("  #")]


@contextmanager
def knocking(machine: FreshMachine) -> Iterator[subprocess.Popen[str]]:
    """Somebody who connects over TLS all the time."""
    machine.write("/machine/knocking.py", KNOCKING)
    process = machine.start("python3", "/machine/knocking.py")
    assert process.stdout is not None, "a pipe"
    assert process.stdout.readline() == "certificate 1\n"
    yield process


def test_the_page_leads_to_a_healthy_deployment_and_may_be_followed_again(machine: FreshMachine) -> None:
    for number in (1, 2):
        install(machine)
        for command in commands(3):
            machine.run(command)
            machine.run("nginx -t")
        serves_tls(machine)
        said = machine.run(commands(5)[0])
        assert "As a browser: https://ws.example.com" in said
        assert printed_steps(machine, "soundpost deploy nginx") == ["nginx -t && systemctl reload nginx"]
        assert machine.run("ls /etc/letsencrypt/archive/ws.example.com | grep -c fullchain") == "1\n", "asked for once"
        if number == 1:
            # The authority's certificates are for half a day, not for ninety days.
            machine.run(
                "sed -i 's/.*renew_before_expiry.*/renew_before_expiry = 1 hour/' /etc/letsencrypt/renewal/*.conf"
            )
    assert "HTTP/1.1 308" in machine.run("curl -si http://ws.example.com/up")
    assert "Welcome to nginx" in machine.run("curl -s http://localhost/"), "Debian's default site is as it was"


def test_a_renewed_certificate_is_served_and_no_connection_is_refused(machine: FreshMachine) -> None:
    install(machine)
    for command in commands(3):
        machine.run(command)
    serves_tls(machine)
    with knocking(machine) as knocker:
        before = served_certificate(machine)
        machine.run("certbot renew --force-renewal --no-random-sleep-on-renew")
        until(lambda: served_certificate(machine) != before, "Nginx serves the new certificate")
        output, _ = knocker.communicate()
        assert output == "certificate 2\nfailures 0\n"


@pytest.mark.parametrize("others", ["none", "on both ports"])
def test_the_printed_steps_work_beside_other_sites(machine: FreshMachine, others: str) -> None:
    """Without a site that answers on port 80, and with one that answers for everybody on both ports."""
    install(machine)
    machine.run("rm /etc/nginx/sites-enabled/default")
    if others != "none":
        machine.run(
            "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=www.example.com -keyout /k.pem -out /c.pem 2>&1"
        )
        site = "listen {}; server_name www.example.com; location / {{ return 200 other; }}"
        machine.write(
            "/etc/nginx/sites-enabled/other",
            f"server {{ {site.format('80 default_server')} }}\n"
            f"server {{ {site.format('443 ssl default_server')}\n"
            "ssl_certificate /c.pem; ssl_certificate_key /k.pem; }\n",
        )
    machine.run("nginx -s reload")
    for command in printed_steps(machine, "soundpost deploy nginx --api internal"):
        machine.run(command)
        machine.run("nginx -t")
    serves_tls(machine)
    machine.run("cd /etc/soundpost && soundpost doctor")
    if others != "none":
        assert machine.run("curl -sk https://www.example.com/ http://www.example.com/") == "otherother"


def test_a_site_that_is_there_already_gets_the_locations(machine: FreshMachine) -> None:
    install(machine)
    for command in commands(3):
        machine.run(command)
    machine.run("rm /etc/nginx/conf.d/soundpost.conf")
    pem = "/etc/letsencrypt/live/ws.example.com"
    site = f"""\
server {{
    listen 443 ssl;
    server_name ws.example.com;
    ssl_certificate {pem}/fullchain.pem;
    ssl_certificate_key {pem}/privkey.pem;
    #include
    location / {{ return 200 mine; }}
}}
"""
    machine.write("/etc/nginx/sites-enabled/mine", site)
    machine.run("nginx -t && nginx -s reload")
    machine.run("soundpost deploy nginx --also-site --write && nginx -t")
    machine.run("sed -i 's|#include|include /etc/nginx/snippets/soundpost.conf;|' /etc/nginx/sites-enabled/mine")
    for command in printed_steps(machine, "soundpost deploy nginx --also-site"):
        machine.run(command)
    machine.run("cd /etc/soundpost && soundpost doctor")
    assert machine.run("curl -s https://ws.example.com/page") == "mine"


def test_without_a_proxy_the_server_has_the_certificate(machine: FreshMachine) -> None:
    machine.run("nginx -s stop")
    until(lambda: not machine.succeeds("curl -s http://localhost/"), "Nginx has left port 80")
    without = re.search(r"### Without a proxy.*?```sh\n(.*?)```", PAGE, re.DOTALL)
    assert without is not None
    for command in (*commands(1), *without[1].splitlines(), *without[1].splitlines(), *commands(2)):
        machine.run(command)
    until(lambda: machine.succeeds("curl -sf https://ws.example.com:8443/up"), "the server speaks TLS", 2 * TIMEOUT)
    said = machine.run(commands(5)[0])
    assert "As a browser: https://ws.example.com:8443" in said
    assert "As a backend: https://ws.example.com:8443" in said
    before = served_certificate(machine, 8443)
    machine.run("certbot renew --force-renewal --no-random-sleep-on-renew")
    until(lambda: served_certificate(machine, 8443) != before, "the new certificate is used", 3 * TIMEOUT)


def test_caddy_gets_its_certificate_by_itself(machine: FreshMachine) -> None:
    install(machine)
    machine.run("nginx -s stop")
    acme = "{\n\tacme_ca https://acme.example.com:14000/acme/local/directory\n}\n"
    machine.write("/etc/caddy/Caddyfile", f"{acme}:80 {{\n\trespond other\n}}\n")
    until(lambda: not machine.succeeds("curl -s http://localhost/"), "Nginx has left port 80")
    machine.run("caddy start --config /etc/caddy/Caddyfile >/machine/caddy-site.log 2>&1")
    machine.run("soundpost deploy caddy --write")
    for _ in range(2):
        for command in printed_steps(machine, "soundpost deploy caddy"):
            machine.run(command)
    until(lambda: machine.succeeds("curl -sf https://ws.example.com/up"), "Caddy has its certificate", 3 * TIMEOUT)
    machine.run("cd /etc/soundpost && soundpost doctor")
    assert machine.run("curl -s http://localhost/") == "other"
    assert machine.run("grep -c soundpost.caddy /etc/caddy/Caddyfile") == "1\n"
