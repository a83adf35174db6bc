"""Command line that writes the files of a ``soundpost deploy`` command, to run that command again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import typer

from soundpost.invocation import soundpost_command


def command_that_writes(context: typer.Context) -> str:
    """Return the command that runs in ``context`` with the options that were given, and with ``--write``."""
    program = context.find_root().info_name or "soundpost"
    words = [_program(program), *context.command_path.removeprefix(program).split()]
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            words += _words(parameter.opts[0], parameter.secondary_opts, context.params[name])
    return " ".join(words if "--write" in words else [*words, "--write"])


def _program(name: str) -> str:
    """Return the program as a shell finds it: ``soundpost``, or the one of a framework, such as ``manage.py``."""
    if name == "soundpost":
        return soundpost_command()
    return f"python {name}" if name.startswith("manage.py") else name


def _words(option: str, opposites: Sequence[str], value: object) -> list[str]:
    """Return an option as it is written on a command line."""
    if isinstance(value, bool):
        return [option] if value else list(opposites[:1])
    values = value if isinstance(value, list | tuple) else [value]
    return [word for each in values for word in (option, shlex.quote(str(each)))]
