"""Help of the commands in the usual form: ``trigger CHANNEL EVENT [DATA]``, ``--port NUMBER``, paragraphs wrapped once.

Typer would show Python's types (``<list[Path]>``, ``<int range>``), ``{channel}``, and the line breaks of a docstring.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from typer.core import TyperCommand, TyperGroup

_LITERAL: Final = "\b"
"""Beginning of a paragraph whose lines stay as they are."""
_TABLE: Final = re.compile(r"\[\[([a-z.]+)\]\]")


class PlainCommand(TyperCommand):
    """A command whose help is in the usual form."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.help = unwrapped(self.help)

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, with the names of their values in the usual form."""
        return _plain(super().get_params(ctx), ctx)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line."""
        return _usage(super().collect_usage_pieces(ctx), self.get_params(ctx))


class PlainGroup(TyperGroup):
    """A group of commands whose help is in the usual form."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.help = unwrapped(self.help)

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, with the names of their values in the usual form."""
        return _plain(super().get_params(ctx), ctx)


def unwrapped(text: str | None) -> str | None:
    """Return a help text with one line for each paragraph, but for those that begin with ``\\b``.

    Names of tables (``[[apps]]``) are escaped: they would be taken for markup.
    """
    if text is None:
        return None
    paragraphs = _TABLE.sub(r"[\\[\1]]", text).split("\n\n")
    return "\n\n".join(each if each.startswith(_LITERAL) else " ".join(each.split("\n")) for each in paragraphs)


def _plain(params: list[Any], ctx: Any) -> list[Any]:
    for param in params:
        if param.param_type_name == "argument":
            param.metavar = _argument_name(param)
            param.display_type_rich = _nothing
        elif param.metavar is None and hasattr(param, "display_type"):  # older releases of Typer write TEXT themselves
            param.metavar = "" if param.is_flag else _value_name(param.display_type(ctx))
        param._get_number_range_help_str = _nothing
    return params


def _usage(pieces: Iterable[str], params: Iterable[Any]) -> list[str]:
    """Return the usage line's parts that are not arguments, and then the arguments, the optional ones in brackets."""
    usage = [piece for piece in pieces if piece.startswith("[OPTIONS")]
    for param in params:
        if param.param_type_name == "argument":
            name = _argument_name(param) + ("" if param.nargs == 1 else "...")
            usage.append(name if param.required else f"[{name}]")
    return usage


def _argument_name(param: Any) -> str:
    return str(param.metavar or param.name).upper().rstrip(".")


def _value_name(display_type: str) -> str:
    """Return the name of a value of a type such as ``<int>``: the words of a choice, NUMBER, FILE or TEXT."""
    kind = display_type.strip("<>").lower()
    if "|" in kind:
        return kind
    if kind.startswith(("int", "float")):
        return "NUMBER"
    return "FILE" if "path" in kind else "TEXT"


def _nothing(ctx: Any = None) -> str:
    return ""
