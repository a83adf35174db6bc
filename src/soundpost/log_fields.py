"""Fields of a log line: the parts of a fact that programs read, beside the sentence for people."""

from __future__ import annotations


def fields(**values: object) -> dict[str, dict[str, object]]:
    """Return the ``extra`` of a logging call: ``log.info("stopped", extra=fields(seconds=1.5))``.

    Lines in JSON have the fields, lines of text the sentence alone. Values are of types that JSON has. Times are in
    seconds, sizes in bytes. No field may be named ``time``, ``level``, ``logger``, ``process``, ``message`` or
    ``exception``: every line has those.
    """
    return {"fields": values}
