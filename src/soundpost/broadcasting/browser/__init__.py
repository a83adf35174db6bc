"""What a page needs to connect: options of laravel-echo at run time, and a script that sends ``X-Socket-ID``.

Run time, not build time: a page built once works wherever its server says it is.
"""

from soundpost.broadcasting.browser.echo_options import echo_options, echo_script, script

__all__ = ["echo_options", "echo_script", "script"]
