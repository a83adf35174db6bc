"""Options that every command of ``manage.py`` has, wherever they stand on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_WITH_VALUE: Final = ("--settings", "--pythonpath", "--verbosity", "-v")
_WITHOUT_VALUE: Final = ("--traceback", "--no-color", "--force-color", "--skip-checks")


def with_django_options_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command, with Django's options in front of the subcommand.

    Subcommands have parsers of their own, which know nothing of these options. Behind ``--`` nothing is an option.
    """
    first: list[str] = []
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        name, equals, _ = argument.partition("=")
        if argument == "--":
            rest += [argument, *remaining]
        elif argument in _WITHOUT_VALUE or (name in _WITH_VALUE and equals):
            first.append(argument)
        elif name in _WITH_VALUE:
            first += [argument, *(value for value in [next(remaining, None)] if value is not None)]
        else:
            rest.append(argument)
    return [*first, *rest]
