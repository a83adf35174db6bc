"""Patterns of channel names: ``orders.{order_id:int}``. A pattern matches a whole name, never a part.

Converters are ``str`` (no dot, the default), ``int``, ``slug``, ``uuid``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar, Final, NamedTuple
from uuid import UUID

from soundpost.errors import RouteError

_PART: Final = re.compile(r"\{([^{}]*)\}")
_PARAMETER: Final = re.compile(r"([A-Za-z_]\w*)(?::(\w+))?")
_LITERAL: Final = re.compile(r"[-a-zA-Z0-9_=@,.;]*")
_PREFIX: Final = re.compile(r"(private-|presence-|encrypted-|cache-|#)")


class PatternStep(NamedTuple):
    """One letter of a name, out of ``letters``; one or more letters if the step ``repeats``."""

    letters: frozenset[str]
    repeats: bool = False


class Converter(NamedTuple):
    """A type of parameter: the text that it matches, and the function that converts the text."""

    regex: str
    convert: Callable[[str], Any]
    steps: tuple[PatternStep, ...]
    """The ``regex`` as steps, by which overlaps of two patterns are found."""


_DIGITS: Final = frozenset("0123456789")
_LOWER: Final = frozenset("abcdefghijklmnopqrstuvwxyz")
_LETTERS: Final = _LOWER | {letter.upper() for letter in _LOWER}
_HEX: Final = _DIGITS | frozenset("abcdefABCDEF")
_UUID: Final = tuple(PatternStep(frozenset("-") if at in (8, 13, 18, 23) else _HEX) for at in range(36))
CONVERTERS: Final = {
    "str": Converter(
        r"[-a-zA-Z0-9_=@,;]+", str, (PatternStep(_LETTERS | _DIGITS | frozenset("-_=@,;"), repeats=True),)
    ),
    "int": Converter(r"[0-9]{1,19}", int, (PatternStep(_DIGITS, repeats=True),)),
    "slug": Converter(r"[-a-zA-Z0-9_]+", str, (PatternStep(_LETTERS | _DIGITS | frozenset("-_"), repeats=True),)),
    "uuid": Converter(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}", UUID, _UUID),
}


class Pattern:
    """A pattern of channel names, matched against names without their prefixes. Raises RouteError for a wrong one."""

    what: ClassVar[str] = "channel route"
    """Name of the thing that has the pattern, for errors."""

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise RouteError(f"{self.what} {text!r:.100}: its pattern is a text, as in 'orders.{{order_id:int}}'")
        self.text = text
        self.parameters: dict[str, Converter] = {}
        self.parts: list[str | Converter] = []
        self._check_prefix(text)
        self._read(text)
        self._regex = re.compile("".join(map(self._regex_of, self.parts)), re.DOTALL)

    def match(self, name: str) -> dict[str, Any] | None:
        """Return the converted parameters in a name; None if the name does not match."""
        found = self._regex.fullmatch(name)
        if found is None:
            return None
        values = zip(self.parameters.items(), found.groups(), strict=True)
        return {parameter: converter.convert(text) for (parameter, converter), text in values}

    def overlaps(self, other: Pattern) -> str | None:
        """Return a name that both patterns match; None if there is no such name."""
        return _common(self._steps(), other._steps())

    def _check_prefix(self, text: str) -> None:
        prefix = _PREFIX.match(text)
        if prefix:
            raise RouteError(
                f"{self.what} {text!r}: leave out the prefix {prefix[0]!r}; whether it is private or presence is "
                "said by the decorator, and cache and encrypted channels match too"
            )

    @staticmethod
    def _regex_of(part: str | Converter) -> str:
        return re.escape(part) if isinstance(part, str) else f"({part.regex})"

    def _read(self, text: str) -> None:
        position = 0
        for part in _PART.finditer(text):
            self._add_literal(text[position : part.start()])
            position = part.end()
            parameter = _PARAMETER.fullmatch(part[1])
            if parameter is None:
                raise RouteError(f"{self.what} {text!r}: {part[0]} is not a parameter: {{name}} or {{name:int}}")
            name, kind = parameter[1], parameter[2] or "str"
            if kind not in CONVERTERS:
                raise RouteError(f"{self.what} {text!r}: unknown converter {kind!r}: {', '.join(CONVERTERS)}")
            if name in self.parameters:
                raise RouteError(f"{self.what} {text!r}: the parameter {name!r} is there twice")
            if self.parts and not isinstance(self.parts[-1], str):
                raise RouteError(f"{self.what} {text!r}: two parameters need something between them, a dot say")
            self.parameters[name] = CONVERTERS[kind]
            self.parts.append(CONVERTERS[kind])
        self._add_literal(text[position:])
        if not self.parts:
            raise RouteError(f"{self.what} '': a name is needed")

    def _add_literal(self, text: str) -> None:
        if not _LITERAL.fullmatch(text):
            raise RouteError(f"{self.what} {self.text!r}: {text!r} has characters that no channel name may have")
        if text:
            self.parts.append(text)

    def _steps(self) -> list[PatternStep]:
        steps: list[PatternStep] = []
        for part in self.parts:
            steps += [PatternStep(frozenset(letter)) for letter in part] if isinstance(part, str) else part.steps
        return steps


def _common(one: list[PatternStep], other: list[PatternStep]) -> str | None:
    """Return a text that both match, found step by step through the pairs of positions; None if there is none."""
    start = (0, 0, False, False)  # positions, and whether the step there has matched a letter already
    seen = {start}
    ways = [(start, "")]
    while ways:
        (i, j, i_begun, j_begun), text = ways.pop()
        if i == len(one) and j == len(other):
            return text
        following: list[tuple[tuple[int, int, bool, bool], str]] = []
        if i_begun:
            following.append(((i + 1, j, False, j_begun), text))
        if j_begun:
            following.append(((i, j + 1, i_begun, False), text))
        if i < len(one) and j < len(other):
            letters = one[i].letters & other[j].letters
            if letters:
                i_next = (i, True) if one[i].repeats else (i + 1, False)
                j_next = (j, True) if other[j].repeats else (j + 1, False)
                following.append(((i_next[0], j_next[0], i_next[1], j_next[1]), text + min(letters)))
        for state, so_far in following:
            if state not in seen:
                seen.add(state)
                ways.append((state, so_far))
    return None
