"""What a page needs to connect: options of laravel-echo at run time, and a script that sends ``X-Socket-ID``.

Run time, not build time: a page built once works wherever its server says it is.
"""

from soundpost.broadcasting.browser.echo_options import config_script, echo_options, script

__all__ = ["config_script", "echo_options", "script"]
