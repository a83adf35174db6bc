"""Reasons why Redis cannot be reached or used, in words that name the key, command or scheme, and the way out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import ssl
from typing import Final

import hiredis

from soundpost.backplane.redis.login import Address, Login
from soundpost.documentation import page

_PROBE_TIMEOUT: Final = 1.0
_ERROR_NUMBER: Final = re.compile(r"\[Errno (\d+)\]")
_LIMITED: Final = ("NOPERM", "can't access at least one", "can't run this command", "can't publish", "no permissions")
_PASSES: Final = re.compile(
    r"\b(STALE|NOSCRIPT|OOM|BUSY|LOADING|READONLY|MISCONF|MASTERDOWN|CLUSTERDOWN|MOVED|ASK|TRYAGAIN|NOREPLICAS)\b"
)
EMPTIED: Final = "its histories have begun anew: was it emptied?"
"""Reason to connect anew if Redis has lost its histories, or another host has begun others."""
_RIGHTS: Final = f"what a user of Redis must be allowed: {page('scaling', 'rights-in-redis')}"


def refused(error: Exception, command: str, on: bytes | str = "") -> str:
    """Return a refusal in words, with the command and the key or topic, which the server's text may leave out."""
    text = str(error)
    if text.startswith("READONLY"):
        return f"{text} It is a replica: name the master, or the sentinels (redis-sentinel://host:26379/0#master)"
    if not any(sign in text for sign in _LIMITED):
        return text
    where = on.decode(errors="replace") if isinstance(on, bytes) else on
    return f"{text} ({command}{f' on {where}' if where else ''}; {_RIGHTS})"


def passing_code(error: hiredis.ReplyError) -> str | None:
    """Return the code of a refusal that passes with time or with another connection; None for another refusal.

    Such a refusal concerns all commands alike. STALE is of our own scripts.
    """
    found = _PASSES.search(str(error))
    return None if found is None else found[0]


async def why(error: Exception, address: Address, login: Login) -> str:
    """Return the reason why there is no connection, in words."""
    if isinstance(error, hiredis.ReplyError):
        return refused(error, "HELLO")
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"TLS failed: its certificate is not trusted: {error.verify_message}: name whom to trust in "
            "scaling.ca_certificate (or ssl_ca_certs in the URL)"
        )
    if isinstance(error, ConnectionRefusedError) or (isinstance(error, OSError) and login.unix_socket is not None):
        return in_words(error)
    other = await _speaks_otherwise(address, login)
    if other is not None:
        return other
    if isinstance(error, TimeoutError):
        return f"no answer within {login.connect_timeout:g} s (wrong address, a firewall, or a server that hangs)"
    return f"TLS failed: {error}" if isinstance(error, ssl.SSLError) else in_words(error)


def in_words(error: Exception) -> str:
    """Return an error of the operating system without numbers and addresses; the text of any other error."""
    if isinstance(error, socket.gaierror):
        return f"the host name is not known ({error.strerror})"
    if not isinstance(error, OSError) or isinstance(error, ssl.SSLError):
        return str(error)
    # asyncio puts the errors of several addresses of one name into one text.
    numbers = [int(number) for number in _ERROR_NUMBER.findall(str(error))] or [error.errno or 0]
    words = dict.fromkeys(os.strerror(number) for number in numbers if number)
    return ", ".join(words) or str(error)


async def _speaks_otherwise(address: Address, login: Login) -> str | None:
    """Return the fault if the server speaks plainly where TLS is wanted, or TLS where it is not; None if neither."""
    if login.unix_socket is not None:
        return None
    probe = _speaks_plainly if login.tls is not None else _speaks_tls
    with contextlib.suppress(OSError, TimeoutError, ValueError):
        async with asyncio.timeout(_PROBE_TIMEOUT):
            if await probe(address):
                return (
                    "TLS failed: it speaks plainly: write redis:// in place of rediss://"
                    if login.tls is not None
                    else "it speaks TLS: write rediss:// in place of redis://"
                )
    return None


async def _speaks_plainly(address: Address) -> bool:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        writer.write(b"PING\r\n")
        return (await reader.read(1)) in (b"+", b"-")  # PONG, or that a password is needed
    finally:
        writer.close()


async def _speaks_tls(address: Address) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the default context reads all authorities, which takes 30 ms
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is said to it
    try:
        _, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
    except ssl.SSLError as error:
        return "WRONG_VERSION" not in str(error) and "ALERT" in str(error).upper()
    writer.close()
    return True
