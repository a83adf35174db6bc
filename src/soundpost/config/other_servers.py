"""Keys, variables, commands and paths of other servers that people try here, each with the way to the same end.

The others are soketi, Pusher, Laravel Reverb and Centrifugo. Each advice is a sentence to end an error message with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from soundpost.documentation import page

_NOT_ALPHANUMERIC: Final = re.compile(r"[^a-z0-9]+")

_WEBHOOKS: Final = (
    "webhooks are sent by [[apps.webhooks]] of an app, with 'url', 'events' (their names) and 'channels' (patterns of "
    "names)"
)
_HISTORY: Final = (
    "channels keep their last events by [[apps.history]] of an app, with 'channels' (patterns of names), 'events' (how "
    "many) and 'age' (how long)"
)
_WATCHLIST: Final = (
    "watchlists need no setting: a user's list is 'watchlist' of the data that it signs in with. 'max_watchlist_size' "
    "is the largest number of users on a list"
)
_METRICS: Final = (
    "metrics have a port of their own: set port below [metrics], and Prometheus finds them there at /metrics. "
    "'soundpost status --json' has the numbers of a server too"
)
_JWT: Final = (
    "the server takes no JWTs. Your application's auth endpoint decides who may subscribe, and may ask for a bearer "
    "token there"
)
_KEYS: Final = (
    "an app has one key and one secret. To change them, edit soundpost.toml and run 'soundpost reload': connected "
    "clients stay, and the new secret counts at once"
)
_APPS: Final = (
    "apps are [[apps]] tables in soundpost.toml. To add, change or remove one, edit the file and run 'soundpost "
    "reload': connected clients of other apps stay. 'soundpost status' lists the apps"
)
_ADMIN: Final = (
    "there is no admin page. 'soundpost status' shows the state of a server, 'soundpost start --playground' serves a "
    "page to try it with"
)
_LOGS: Final = (
    "the server logs to stderr, so that its supervisor keeps the log: 'journalctl -u soundpost', 'supervisorctl tail "
    "soundpost stderr', 'docker logs'. 'soundpost start --debug' shows every message"
)
_INSTALL: Final = "'soundpost init' sets a project up: credentials, settings, the lines for its pages"
_START: Final = "'soundpost start' starts the server"
_UNLIMITED: Final = (
    "requests of applications are signed, and not limited. Limit them in the proxy in front, such as Nginx's limit_req"
)
_LARAVEL_ONLY: Final = "Laravel's Pulse and Telescope run in a Laravel application, not in this server: remove it"
_PUBLIC_ADDRESS: Final = (
    "the address for browsers is [server] public_url, such as https://ws.example.com; applications have it in their "
    "own settings"
)

_ADVICE_BY_PREFIX: Final = {
    "watchlist": _WATCHLIST,
    "metric": _METRICS,
    "prometheus": _METRICS,
    "statsd": _METRICS,
    "jwt": _JWT,
    "tokenhmac": _JWT,
    "admin": _ADMIN,
    "dashboard": _ADMIN,
    "pulse": _LARAVEL_ONLY,
    "telescope": _LARAVEL_ONLY,
}
_OF_HISTORY: Final = (
    "allowhistory",
    "allowposition",
    "allowrecover",
    "forceposition",
    "forcerecover",
    "history",
    "messagehistory",
    "persist",
    "recover",
    "replay",
    "rewind",
)
"""Beginnings of names for the history of channels: Centrifugo's, Ably's and AnyCable's."""
_KEYS_BY_NAME: Final = {
    "keys": _KEYS,
    "secrets": _KEYS,
    "oldkey": _KEYS,
    "oldsecret": _KEYS,
    "previouskey": _KEYS,
    "previouskeys": _KEYS,
    "previoussecret": _KEYS,
    "previoussecrets": _KEYS,
    "name": "an app has only id, key and secret here, no name: remove it",
    "options": _PUBLIC_ADDRESS,
    "cluster": _PUBLIC_ADDRESS,
    "usetls": _PUBLIC_ADDRESS,
    "forcetls": _PUBLIC_ADDRESS,
    "maxbackendeventspersecond": _UNLIMITED,
    "maxreadrequestspersecond": _UNLIMITED,
    "enableuserauthentication": "users can always sign in, if the application signs for them: remove it",
}
_RENAMED: Final = {
    "appid": "'id'",
    "appkey": "'key'",
    "appsecret": "'secret'",
    "enableclientmessages": 'accept_client_events_from = "members" (the default) or "none"',
    "enableclientevents": 'accept_client_events_from = "members" (the default) or "none"',
    "clientmessages": 'accept_client_events_from = "members" (the default) or "none"',
    "clientevents": 'accept_client_events_from = "members" (the default) or "none"',
    "maxpresencemembersperchannel": "'max_presence_members'",
    "maxpresencemembersizeinkb": "'max_user_info_size', in bytes",
    "maxeventchannelsatonce": "'max_channels_per_event'",
    "maxeventpayloadinkb": "'max_event_data_size', in bytes",
    "maxeventbatchsize": "'max_batch_size'",
    "userauthenticationtimeout": "'authorization_timeout', in seconds",
    "enablesubscriptioncount": "'subscription_count'",
    "ssl": "[server.tls] with 'certificate' and 'key'",
    "scalingchannel": "[scaling] 'prefix'",
}
_COMMANDS: Final = {
    "webhook": "'soundpost webhooks' receives, tries and watches webhooks",
    "hooks": "'soundpost webhooks' receives, tries and watches webhooks",
    "app": _APPS,
    "apps": _APPS,
    "addapp": _APPS,
    "metrics": _METRICS,
    "stats": _METRICS,
    "log": _LOGS,
    "logs": _LOGS,
    "tail": _LOGS,
    "admin": _ADMIN,
    "dashboard": _ADMIN,
    "install": _INSTALL,
    "installbroadcasting": _INSTALL,
    "setup": _INSTALL,
    "serve": _START,
    "server": _START,
    "run": _START,
    "up": _START,
    "reverbstart": _START,
    "reverbrestart": "'soundpost restart' restarts the server",
    "publish": "'soundpost trigger CHANNEL EVENT DATA' publishes an event",
    "send": "'soundpost trigger CHANNEL EVENT DATA' publishes an event",
    "subscribe": "'soundpost listen CHANNEL' prints events as they come",
}
_PATHS: Final = {"/metrics": _METRICS, "/stats": _METRICS, "/usage": _METRICS, "/admin": _ADMIN, "/dashboard": _ADMIN}
_SOKETI_WEBHOOKS: Final = re.compile(r"SOKETI_(?:DEFAULT_APP_)?WEBHOOKS\w*")
_PREFIXES: Final = ("SOUNDPOST_APP_", "SOUNDPOST_SERVER_", "SOUNDPOST_SCALING_", "SOUNDPOST_")


def advice_on_key(key: str) -> str:
    """Return the way to what an unknown key of the configuration is for elsewhere; empty if that is not known."""
    name = _plain(key.partition(".")[0])
    if name.startswith(_OF_HISTORY) and name != "history":
        return f"{_HISTORY}. See {page('configuration', 'history')}"
    if name.startswith("webhook") and name != "webhooks":
        return f"{_WEBHOOKS}. See {page('configuration', 'webhooks')}"
    if name in _RENAMED:
        return f"here that is {_RENAMED[name]}"
    advice = _KEYS_BY_NAME.get(name) or next(
        (advice for beginning, advice in _ADVICE_BY_PREFIX.items() if name.startswith(beginning)), ""
    )
    return _with_page(advice)


def advice_on_variable(name: str) -> str:
    """Return the advice on an unknown ``SOUNDPOST_…`` variable; empty if there is none."""
    prefix = next((each for each in _PREFIXES if name.startswith(each)), "")
    return advice_on_key(name.removeprefix(prefix))


def advice_on_command(name: str) -> str:
    """Return the advice on an unknown command; empty if there is none."""
    return _COMMANDS.get(_plain(name), "")


def advice_on_path(path: str) -> str:
    """Return the advice on a path that the server does not have; empty if there is none."""
    beginning = "/".join(path.split("/")[:2])
    advice = _PATHS.get(beginning, "")
    return _with_page(advice)


def _with_page(advice: str) -> str:
    """Return an advice with the page that says more; empty if there is none."""
    return f"{advice}. See {page('metrics' if advice is _METRICS else 'not-supported')}" if advice else ""


def warnings_of_unread_variables(variables: Mapping[str, str], source: str, *, has_app: bool) -> Iterator[str]:
    """Yield warnings of variables of other servers that have no effect here.

    ``source`` begins each warning. Pusher's variables are an application's too: they count only for a server that has
    no app (``has_app``).
    """
    soketi = [name for name in variables if name.startswith("SOKETI_") and not _SOKETI_WEBHOOKS.fullmatch(name)]
    if soketi:
        yield (
            f"{source}: {_named(soketi)} of soketi: not read here. The app is SOUNDPOST_APP_ID, SOUNDPOST_APP_KEY and "
            f"SOUNDPOST_APP_SECRET, or soundpost.toml ('soundpost init' writes one)"
        )
    hooks = [name for name in variables if _SOKETI_WEBHOOKS.fullmatch(name)]
    if hooks:
        yield (
            f"{source}: {_named(hooks)} of soketi: not read here. Write [[apps.webhooks]] in soundpost.toml: 'url' "
            "and 'headers' stay, 'event_types' are 'events', a filter for names that start with 'room-' is "
            "channels = ['room-*'], batches are there by themselves, and a 'lambda_function' is called by its URL. See "
            + page("webhooks")
        )
    if "REVERB_SCALING_CHANNEL" in variables:
        yield f"{source}: REVERB_SCALING_CHANNEL is not read here: set SOUNDPOST_SCALING_PREFIX"
    pusher = [name for name in ("PUSHER_APP_ID", "PUSHER_APP_KEY", "PUSHER_APP_SECRET") if variables.get(name)]
    if pusher and not has_app:
        yield (
            f"{source}: {_named(pusher)} of hosted Pusher: not read here. To serve the same app, set "
            + ", ".join(f'{name.replace("PUSHER", "SOUNDPOST")}="${{{name}}}"' for name in pusher)
        )


def _named(names: Iterable[str]) -> str:
    first, *others = names
    more = f" and {len(others)} more" if others else ""
    return f"{first}{more} {'are variables' if others else 'is a variable'}"


def _plain(name: str) -> str:
    return _NOT_ALPHANUMERIC.sub("", name.lower())
