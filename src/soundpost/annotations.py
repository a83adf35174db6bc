"""Signatures and annotations that may have names for type checkers only.

Python 3.14 evaluates an annotation when it is asked for: ``user: User`` is a NameError then, where ``User`` is imported
below ``if TYPE_CHECKING``. Python 3.13 evaluates it at the definition, or never with ``from __future__ import
annotations``.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

if sys.version_info >= (3, 14):
    from annotationlib import Format

    def signature_of(function: Callable[..., Any]) -> inspect.Signature:
        """Return the signature of a function; a name that cannot be evaluated is a ``ForwardRef`` in it."""
        return inspect.signature(function, annotation_format=Format.FORWARDREF)

    def annotations_of(cls: type[Any]) -> dict[str, Any]:
        """Return a class's own annotations; a name that cannot be evaluated is a ``ForwardRef``."""
        return inspect.get_annotations(cls, format=Format.FORWARDREF)

else:

    def signature_of(function: Callable[..., Any]) -> inspect.Signature:
        """Return the signature of a function."""
        return inspect.signature(function)

    def annotations_of(cls: type[Any]) -> dict[str, Any]:
        """Return a class's own annotations."""
        return inspect.get_annotations(cls)
