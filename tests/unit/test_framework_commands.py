"""Commands of frameworks at a site that is the server itself."""

from __future__ import annotations

import pytest

from soundpost.broadcasting.settings import settings_from
from soundpost.errors import ConfigurationError
from soundpost.tools.cli.framework_commands import arguments_for_embedded

APP = {"app_id": "1", "key": "app-key", "secret": "app-secret"}
EMBEDDED = settings_from({**APP, "driver": "embedded", "site_url": "http://127.0.0.1:8001"})
SERVER = settings_from(APP)


@pytest.mark.parametrize("command", ["start", "status", "top", "reload", "restart", "stop"])
def test_a_site_that_is_the_server_has_none_in_another_process(command: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        arguments_for_embedded(command, ["--dev"], EMBEDDED, "settings.SOUNDPOST")
    assert str(error.value).startswith(
        "the driver in settings.SOUNDPOST is 'embedded': the site itself is the server, at http://127.0.0.1:8001"
    )
    assert arguments_for_embedded(command, ["--help"], EMBEDDED, "settings.SOUNDPOST") == ["--help"]
    assert arguments_for_embedded(command, ["--dev"], SERVER, "settings.SOUNDPOST") == ["--dev"]


def test_webhooks_of_a_site_have_no_figures_elsewhere() -> None:
    with pytest.raises(ConfigurationError, match="the site itself is the server"):
        arguments_for_embedded("webhooks", ["status"], EMBEDDED, "settings.SOUNDPOST")
    assert arguments_for_embedded("webhooks", ["listen"], EMBEDDED, "settings.SOUNDPOST") == ["listen"]
    assert arguments_for_embedded("webhooks", ["status"], SERVER, "settings.SOUNDPOST") == ["status"]


@pytest.mark.parametrize("command", ["listen", "history"])
def test_what_asks_a_server_asks_the_site(command: str) -> None:
    place = "settings.SOUNDPOST"
    assert arguments_for_embedded(command, ["orders"], EMBEDDED, place) == ["--url", "http://127.0.0.1:8001", "orders"]
    assert arguments_for_embedded(command, ["--port=9", "orders"], EMBEDDED, place) == ["--port=9", "orders"]
    assert arguments_for_embedded(command, ["orders"], SERVER, place) == ["orders"]
