"""Nginx's configuration on this machine: lines that say where Nginx finds the server behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

_FILES: Final = ("nginx.conf", "conf.d/*.conf", "sites-enabled/*", "snippets/*.conf")
_UPSTREAM: Final = re.compile(r"^\s*upstream\s+(\S+)\s*\{")
_SERVER: Final = re.compile(r"^\s*server\s+([^\s;{]+)[^;{]*;")
_PASS: Final = re.compile(r"^\s*(?:location\b.*\{\s*)?proxy_pass\s+https?://([^\s;/$]+)")
_CERTIFICATE: Final = re.compile(r"\bssl_certificate\s+([^\s;$]+)\s*;")
_COMMENT: Final = re.compile(r"(?:^|\s)#.*")
_MAX_LENGTH: Final = 1_000_000  # bytes of a file


class NginxLine(NamedTuple):
    """Line that names an address behind Nginx: ``server`` in an ``upstream`` block, or ``proxy_pass``."""

    file: Path
    number: int
    text: str
    address: str
    """Address as written: ``127.0.0.1:8080``, or ``unix:/run/soundpost.sock``."""


def lines_about(name: str, folder: Path) -> list[NginxLine]:
    """Return the lines of all files that speak of the site ``name``, or of an upstream ``soundpost``.

    Files that this user may not read are left out.
    """
    return [line for path, lines in _files_about(name, folder) for line in _addresses(path, lines)]


def certificates_of(name: str, folder: Path) -> list[Path]:
    """Return the files of certificates that the site ``name`` has by Nginx's configuration."""
    lines = [line for _, lines in _files_about(name, folder) for line in lines]
    return [folder / match[1] for line in lines for match in _CERTIFICATE.finditer(line)]


def _files_about(name: str, folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield the files that speak of a site, with their lines, without comments."""
    for path in sorted({path.resolve() for pattern in _FILES for path in folder.glob(pattern)}):
        try:
            text = path.read_bytes()[:_MAX_LENGTH].decode(errors="replace")
        except OSError:
            continue
        lines = [_COMMENT.sub("", line) for line in text.split("\n")]
        if _speaks_of(name, lines):
            yield path, lines


def _speaks_of(name: str, lines: list[str]) -> bool:
    site = re.compile(rf"\bserver_name\b[^;]*(?<![\w.-]){re.escape(name)}(?![\w.-])|^\s*upstream\s+soundpost\b")
    return any(site.search(line) for line in lines)


def _addresses(path: Path, lines: list[str]) -> Iterator[NginxLine]:
    upstreams = {match[1] for line in lines if (match := _UPSTREAM.match(line))}
    block = ""
    for number, line in enumerate(lines, 1):
        opened = _UPSTREAM.match(line)
        if opened:
            block = opened[1]
        rest = line[opened.end() :] if opened else line
        server, passed = _SERVER.match(rest), _PASS.match(line)
        if block and server:
            yield NginxLine(path, number, rest.strip(" \t}"), server[1])
        elif passed and passed[1] not in upstreams:
            yield NginxLine(path, number, line.strip(), passed[1])
        if "}" in rest:
            block = ""
