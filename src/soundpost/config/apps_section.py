"""Apps from the values of all sources, checked: complete, valid, and each id and key only once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from soundpost.config.credentials import generate
from soundpost.config.options import OPTIONS, Setting, Values
from soundpost.core.app_settings import AppSettings
from soundpost.environment import names_of
from soundpost.environment.toml_document import no_such_app
from soundpost.errors import ConfigurationError
from soundpost.wire.addresses import identifier_fault

_CREDENTIALS: Final = (("app", "id"), ("app", "key"), ("app", "secret"))


def with_variables(apps: list[Values], variables: Values, warnings: list[str]) -> list[Values]:
    """Return the file's ``apps``; ``variables`` replace values of the app with their id, or of the first app.

    Raises ConfigurationError for the id of no app in the file, unless a key comes with it.
    """
    if not variables:
        return apps
    if not apps:
        return [variables]
    wanted = variables.get(("app", "id"))
    ids = [app["app", "id"].value if ("app", "id") in app else "" for app in apps]
    index = ids.index(wanted.value) if wanted is not None and wanted.value in ids else 0
    if wanted is not None and ("app", "key") not in variables and "" not in ids and wanted.value not in ids:
        raise ConfigurationError(f"{wanted.location}={wanted.value!r}: {no_such_app(wanted.value, ids)}")
    if wanted is not None and ids[index] not in ("", wanted.value):
        replaced = apps[index]["app", "id"]
        warnings.append(f"{wanted.location}={wanted.value!r} takes the place of {replaced.location}={replaced.value!r}")
    return [{**app, **variables} if number == index else app for number, app in enumerate(apps)]


def have_no_credentials(apps: list[Values]) -> bool:
    """Return whether no source gives a credential of an app."""
    return len(apps) <= 1 and not any(keys in app for app in apps for keys in _CREDENTIALS)


def generated(options: Values) -> Values:
    """Return the values of an app with new credentials and these ``options``."""
    fresh = zip(_CREDENTIALS, generate(), strict=True)
    return {**options, **{keys: Setting(value, "generated") for keys, value in fresh}}


def build_apps(apps: Sequence[Values], locations: Sequence[str], warnings: list[str]) -> tuple[AppSettings, ...]:
    """Return the apps. Raises ConfigurationError for an incomplete app, and for an id or key that occurs twice.

    ``locations`` has the name of each app in messages: a missing value has no location of its own.
    """
    for app, location in zip(apps, locations, strict=True):
        _check_complete(app, location)
        _replace_all_by_members(app, warnings)
        _check_allowed_origins(app)
        for keys in (("app", "id"), ("app", "key")):
            fault = identifier_fault(app[keys].value)
            if fault is not None:
                raise ConfigurationError(f"{app[keys].location}={app[keys].value!r}: {fault}")
        app_id = app["app", "id"]
        if not (app_id.value.isascii() and app_id.value.isdigit()):
            warnings.append(
                f"{app_id.location}={app_id.value!r}: official Pusher SDKs want an app id of digits, such as 123456"
            )
    for keys in (("app", "id"), ("app", "key")):
        _check_unique(apps, keys)
    return tuple(msgspec.convert(nested(app), AppSettings) for app in apps)


def nested(values: Values) -> dict[str, Any]:
    """Return a section's values in nested tables: ``("server", "tls", "key")`` becomes ``{"tls": {"key": …}}``."""
    result: dict[str, Any] = {}
    for keys, setting in values.items():
        table = result
        for key in keys[1:-1]:
            table = table.setdefault(key, {})
        table[keys[-1]] = setting.value
    return result


def _check_complete(app: Values, location: str) -> None:
    missing = [keys[1] for keys in _CREDENTIALS if keys not in app]
    if not missing:
        return
    given = [app[keys].location for keys in _CREDENTIALS if keys in app]
    if location:
        raise ConfigurationError(f"{location}: {_and(missing)} missing: every app needs id, key and secret")
    reverb = any("REVERB_" in where for where in given)
    names = [_variable(name, reverb) for name in missing]
    raise ConfigurationError(f"{_and(given)} set, but {_and(names)} missing: an app needs id, key and secret")


def _and(names: list[str]) -> str:
    return f"{names[0]} is" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} are"


def _variable(name: str, reverb: bool) -> str:
    ours, reverbs = names_of(OPTIONS["app", name].variable)
    return reverbs if reverb else ours


def _replace_all_by_members(app: Values, warnings: list[str]) -> None:
    keys = ("app", "accept_client_events_from")
    if keys in app and app[keys].value == "all":
        location = app[keys].location
        warnings.append(
            f"{location}='all' is taken as 'members': with 'all' everybody who has the app's key could publish to "
            "private channels without a subscription"
        )
        app[keys] = Setting("members", location)


def _check_allowed_origins(app: Values) -> None:
    keys = ("app", "allowed_origins")
    missing = app.get(("app", "allow_missing_origin"))
    if keys in app and not app[keys].value and not (missing is not None and missing.value):
        raise ConfigurationError(
            f"{app[keys].location}: allowed_origins is empty, so nobody could connect: write hosts ('example.com'), "
            "'*' for everybody, or set allow_missing_origin for clients other than browsers"
        )


def _check_unique(apps: Sequence[Values], keys: tuple[str, str]) -> None:
    seen: dict[str, Setting] = {}
    for app in apps:
        setting = app[keys]
        first = seen.setdefault(setting.value, setting)
        if first is not setting:
            raise ConfigurationError(
                f"{setting.location}={setting.value!r} is the same as {first.location}: each app needs its own"
            )
