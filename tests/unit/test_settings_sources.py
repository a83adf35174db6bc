"""Server, command line and applications read the same places, in the same order.

The order is: code or command line, environment, ``.env``, ``soundpost.toml``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from soundpost.broadcasting.settings import (
    BroadcastSettings,
    settings_from,
    settings_from_environment,
    settings_over_environment,
)
from soundpost.environment.interpolation import interpolate
from soundpost.errors import ConfigurationError
from soundpost.tools.cli.addresses import browser_address, published_address
from support.configuration import APP, APP_TABLE, Directory

SECOND_APP = APP_TABLE.replace("1", "2")
TLS = 'tls = { certificate = "c.pem" }\nport = 8443\n'
PUBLIC_URL = 'public_url = "https://ws.example.com"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Directory:
    """The working directory of an application whose environment says nothing."""
    monkeypatch.chdir(tmp_path)
    return Directory(tmp_path)


def credentials(settings: BroadcastSettings) -> tuple[str, str, str]:
    connection = settings.connection()
    return connection.app_id, connection.key, connection.secret


class TestAnApplication:
    def test_a_plain_script_beside_soundpost_toml_is_configured(self, folder: Directory) -> None:
        folder.toml("[server]\nport = 9000\n" + APP_TABLE)
        settings = settings_from_environment()
        assert credentials(settings) == ("1", "key-1", "secret-1")
        assert settings.connection().base_url == "http://127.0.0.1:9000"

    def test_a_plain_script_beside_dotenv_is_configured(self, folder: Directory) -> None:
        folder.dotenv(
            "SOUNDPOST_APP_ID=1\nREVERB_APP_KEY=key-1\nSOUNDPOST_APP_SECRET='secret-1'\nSOUNDPOST_PORT=9000\n"
        )
        settings = settings_from_environment()
        assert credentials(settings) == ("1", "key-1", "secret-1")
        assert settings.connection().port == 9000

    def test_each_source_wins_over_the_next(self, folder: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.toml("[server]\nport = 1\npath = '/toml'\nhost = '10.0.0.1'\n" + APP_TABLE)
        folder.dotenv("SOUNDPOST_PORT=2\nSOUNDPOST_PATH=/dotenv\n")
        monkeypatch.setenv("SOUNDPOST_PORT", "3")
        assert settings_from_environment().connection().base_url == "http://10.0.0.1:3/dotenv"
        framework = settings_over_environment({"port": 4}, {}, "settings")
        assert framework.connection().base_url == "http://10.0.0.1:4/dotenv"

    def test_a_url_is_not_mixed_with_a_lower_source(self, folder: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.toml("[server]\nport = 9000\npath = '/toml'\n" + APP_TABLE)
        monkeypatch.setenv("SOUNDPOST_URL", "https://k:s@example.com/apps/9")
        settings = settings_from_environment()
        assert credentials(settings) == ("9", "k", "s")
        assert settings.connection().base_url == "https://example.com:443"

    def test_credentials_win_over_a_url_below_them(self, folder: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.dotenv("SOUNDPOST_URL=https://k:s@example.com/apps/9\n")
        for name in ("ID", "KEY", "SECRET"):
            monkeypatch.setenv(f"SOUNDPOST_APP_{name}", name.lower())
        settings = settings_from_environment()
        assert credentials(settings) == ("id", "key", "secret")
        assert settings.connection().host == "127.0.0.1"

    def test_an_app_of_the_environment_is_looked_up_in_the_file(
        self, folder: Directory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder.toml("[server]\nport = 9000\n" + APP_TABLE + SECOND_APP)
        monkeypatch.setenv("SOUNDPOST_APP_ID", "2")
        assert credentials(settings_from_environment()) == ("2", "key-2", "secret-2")

    @pytest.mark.parametrize("source", ["environment", ".env"])
    def test_the_server_s_own_variables_move_the_application_too(
        self, folder: Directory, monkeypatch: pytest.MonkeyPatch, source: str
    ) -> None:
        folder.toml("[server]\nport = 9000\npath = '/toml'\n" + APP_TABLE)
        variables = {"SOUNDPOST_SERVER_PORT": "9001", "REVERB_SERVER_HOST": "0.0.0.0", "SOUNDPOST_SERVER_PATH": "ws"}
        if source == ".env":
            folder.dotenv("".join(f"{name}={value}\n" for name, value in variables.items()))
        for name, value in variables.items() if source == "environment" else ():
            monkeypatch.setenv(name, value)
        loaded = folder.load(variables if source == "environment" else {})
        assert settings_from_environment().connection().base_url == "http://127.0.0.1:9001/ws"
        assert published_address(loaded).url == "http://127.0.0.1:9001/ws"

    def test_the_server_s_own_variables_count_without_a_file(
        self, folder: Directory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in {
            **APP,
            "SOUNDPOST_SERVER_PORT": "9001",
            "SOUNDPOST_SERVER_TLS_CERTIFICATE": "c.pem",
        }.items():
            monkeypatch.setenv(name, value)
        assert settings_from_environment().connection().base_url == "https://127.0.0.1:9001"
        monkeypatch.setenv("SOUNDPOST_PORT", "9002")
        assert settings_from_environment().connection().base_url == "https://127.0.0.1:9002"

    def test_the_server_s_own_variables_alone_configure_no_application(
        self, folder: Directory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOUNDPOST_SERVER_PORT", "9001")
        assert settings_from_environment().connections == {}

    def test_the_id_of_no_app_in_the_file_is_an_error(self, folder: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.toml(APP_TABLE + SECOND_APP)
        monkeypatch.setenv("SOUNDPOST_APP_ID", "9")
        with pytest.raises(ConfigurationError, match=r"^soundpost\.toml has no app with the id '9'; it has 1 and 2$"):
            settings_from_environment()

    def test_whole_credentials_of_another_app_leave_the_server_as_it_is(
        self, folder: Directory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder.toml(f"[server]\nport = 9000\n{PUBLIC_URL}" + APP_TABLE)
        variables = {"SOUNDPOST_APP_ID": "7", "SOUNDPOST_APP_KEY": "k", "SOUNDPOST_APP_SECRET": "s"}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        settings = settings_from_environment()
        assert credentials(settings) == ("7", "k", "s")
        assert (
            settings.connection().base_url == "http://127.0.0.1:9000" == published_address(folder.load(variables)).url
        )
        assert settings.browser().host == "ws.example.com"

    @pytest.mark.parametrize("app", ["", "[[apps]]\nmax_connections = 5\n"])
    def test_a_file_without_an_id_has_the_address_for_an_app_of_the_environment(
        self, folder: Directory, monkeypatch: pytest.MonkeyPatch, app: str
    ) -> None:
        folder.toml(f"[server]\nport = 9000\npath = '/ws'\n{PUBLIC_URL}{app}")
        for name in ("ID", "KEY", "SECRET"):
            monkeypatch.setenv(f"SOUNDPOST_APP_{name}", name.lower())
        settings = settings_from_environment()
        assert settings.connection().base_url == "http://127.0.0.1:9000/ws"
        assert settings.browser().host == "ws.example.com"

    def test_a_file_without_apps_configures_no_application(self, folder: Directory) -> None:
        folder.toml("[server]\nport = 9000\n")
        assert settings_from_environment().connections == {}

    def test_limits_of_the_app_are_the_application_s_too(self, folder: Directory) -> None:
        folder.toml(APP_TABLE + "max_user_info_size = 2048\nmax_message_size = 100\n")
        connection = settings_from_environment().connection()
        assert (connection.max_user_info_size, connection.max_message_size) == (2048, 100)

    @pytest.mark.parametrize(
        ("server", "base_url"),
        [
            ('host = "0.0.0.0"', "http://127.0.0.1:8080"),
            ('host = "::"', "http://[::1]:8080"),
            ('host = "10.0.0.5"\nport = 9000\npath = "ws/"', "http://10.0.0.5:9000/ws"),
            ("port = 0", "http://127.0.0.1:8080"),
            (TLS, "https://127.0.0.1:8443"),
            ('hostname = "ws.example.com"\ntls = { certificate = "c.pem" }', "https://ws.example.com:8080"),
            ('hostname = "ws.example.com"', "http://127.0.0.1:8080"),
            (f'{TLS}public_url = "https://ws.example.com:8443"', "https://ws.example.com:8443"),
            (f'{TLS}public_url = "https://ws.example.com"', "https://127.0.0.1:8443"),
        ],
    )
    def test_the_address_is_where_this_machine_reaches_the_server(
        self, folder: Directory, server: str, base_url: str
    ) -> None:
        folder.toml(f"[server]\n{server}\n{APP_TABLE}")
        assert settings_from_environment().connection().base_url == base_url
        if "port = 0" not in server:
            assert published_address(folder.load()).url == base_url

    def test_a_scheme_may_have_capital_letters(self, folder: Directory) -> None:
        folder.toml(APP_TABLE)
        folder.dotenv("SOUNDPOST_SCHEME=HTTP\nSOUNDPOST_PUBLIC_SCHEME=HTTPS\n")
        settings = settings_from_environment()
        assert (settings.connection().scheme, settings.browser().scheme) == ("http", "https")

    def test_references_to_variables_are_filled(self, folder: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.toml(APP_TABLE.replace("secret-1", "${MY_SECRET}").replace("key-1", "${MY_KEY:-usual}"))
        folder.dotenv("MY_SECRET=from-dotenv\n")
        assert credentials(settings_from_environment()) == ("1", "usual", "from-dotenv")

    def test_an_unset_reference_is_a_missing_value(self, folder: Directory) -> None:
        folder.toml(APP_TABLE.replace("secret-1", "${MY_SECRET}"))
        assert settings_from_environment().connection().missing() == ["secret"]

    def test_options_that_only_the_server_knows_are_not_checked(self, folder: Directory) -> None:
        folder.toml('[server]\nworkers = "many"\nnew = 1\n[scaling]\nredis = "${REDIS_URL}"\n' + APP_TABLE)
        assert credentials(settings_from_environment()) == ("1", "key-1", "secret-1")

    @pytest.mark.parametrize("text", ["[server", "[[apps]]\nid = \n", "\x00"])
    def test_a_broken_file_that_is_needed_is_an_error(self, folder: Directory, text: str) -> None:
        folder.toml(text)
        with pytest.raises(ConfigurationError, match=r"^soundpost\.toml: not valid TOML"):
            settings_from_environment()

    @pytest.mark.parametrize("text", ["a = " + "[" * 50_000, f"a = {'9' * 5_000}"])
    def test_a_file_beyond_the_limits_of_the_parser_is_an_error_too(self, folder: Directory, text: str) -> None:
        folder.toml(text)
        with pytest.raises(ConfigurationError, match=r"^soundpost\.toml: a number in it is too long, or its tables"):
            settings_from_environment()

    def test_a_limit_without_end_is_no_limit(self, folder: Directory) -> None:
        folder.toml(APP_TABLE + "max_message_size = inf\n")
        with pytest.raises(ConfigurationError, match=r"'max_message_size': inf is not a limit"):
            settings_from_environment()

    def test_references_cannot_double_a_value_again_and_again(self) -> None:
        long = "x" * 600_000
        assert interpolate("${A}${A}", {"A": long}.get) == long + "${A}"

    def test_defaults_that_never_end_are_read_in_no_time(self, folder: Directory) -> None:
        folder.toml(APP_TABLE)
        folder.dotenv("A=" + "${A:-" * 100_000 + "\nSOUNDPOST_APP_SECRET=s\n")
        assert credentials(settings_from_environment()) == ("1", "key-1", "s")

    def test_a_dotenv_that_cannot_be_read_is_named_if_credentials_are_missing(
        self, folder: Directory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder.dotenv("what is this\n")
        assert settings_from_environment().connections == {}
        assert ".env: line 1 is not NAME=value" in caplog.text
        caplog.clear()
        folder.toml(APP_TABLE)
        assert settings_from_environment().connection().key == "key-1"
        assert caplog.text == ""

    def test_a_broken_file_that_is_not_needed_is_left_alone(
        self, folder: Directory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder.toml("[server")
        monkeypatch.setenv("SOUNDPOST_URL", "https://k:s@example.com/apps/9")
        assert credentials(settings_from_environment()) == ("9", "k", "s")

    @pytest.mark.parametrize("text", ["apps = 1", "apps = [1, 2]", "server = 5", '[[apps]]\nid = "1"\nkey = "k"'])
    def test_strange_documents_configure_nothing_whole(self, folder: Directory, text: str) -> None:
        folder.toml(text)
        settings = settings_from_environment()
        assert settings.connections == {} or settings.connection().missing()

    def test_a_wrong_value_is_named_with_its_file(self, folder: Directory) -> None:
        folder.toml("[server]\nport = 99999\n" + APP_TABLE)
        with pytest.raises(ConfigurationError, match=r"soundpost\.toml.* 99999 is not a port"):
            settings_from_environment()

    def test_a_working_directory_that_is_gone_has_no_files(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gone = tmp_path / "release-1"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        assert settings_from_environment().connections == {}


class TestPublicUrl:
    def test_server_and_application_say_the_same(self, folder: Directory) -> None:
        folder.toml(f"[server]\n{PUBLIC_URL}" + APP_TABLE)
        browser = settings_from_environment().browser()
        assert browser.base_url == "https://ws.example.com:443" == browser_address(folder.load()).url

    @pytest.mark.parametrize("source", ["toml", "environment", "dotenv", "framework", "configure"])
    @pytest.mark.parametrize(
        ("url", "base_url"),
        [
            ("https://ws.example.com", "https://ws.example.com:443"),
            ("wss://ws.example.com/", "https://ws.example.com:443"),
            ("https://example.com:8443/realtime/", "https://example.com:8443/realtime"),
            ("http://10.0.0.5:8080", "http://10.0.0.5:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ],
    )
    def test_forms(
        self, folder: Directory, monkeypatch: pytest.MonkeyPatch, source: str, url: str, base_url: str
    ) -> None:
        folder.toml(f'[server]\npublic_url = "{url}"\n{APP_TABLE}' if source == "toml" else APP_TABLE)
        if source == "environment":
            monkeypatch.setenv("SOUNDPOST_PUBLIC_URL", url)
        if source == "dotenv":
            folder.dotenv(f"SOUNDPOST_PUBLIC_URL={url}\n")
        settings = settings_from_environment()
        if source == "framework":
            settings = settings_over_environment({"public_url": url}, {}, "settings")
        if source == "configure":
            settings = settings_from({"app_id": "1", "key": "k", "secret": "s", "public_url": url})
        assert settings.browser().base_url == base_url

    @pytest.mark.parametrize(
        ("url", "fault"),
        [
            ("ws.example.com", "an address such as 'https://ws.example.com' is expected"),
            ("ftp://ws.example.com", "an address such as 'https://ws.example.com' is expected"),
            ("https://", "a host name or address"),
            ("https://user:hidden@ws.example.com", "leave out user name and password"),
            ("https://ws.example.com/?a=1", "leave out what follows the path"),
            ("https://ws.example.com/#x", "leave out what follows the path"),
            ("https://ws.example.com:0", "a port is a number from 1 to 65535"),
            ("https://ws.example.com:99999", "a port is a number from 1 to 65535"),
            ("http://0.0.0.0:8080", "no browser can connect to it"),
            ("https://ws.example.com/a b", "white space"),
            ("https://ws.example.com/../x", "is not a path that stays as it is"),
        ],
    )
    def test_faults_are_named_alike(self, folder: Directory, url: str, fault: str) -> None:
        folder.toml(f'[server]\npublic_url = "{url}"\n{APP_TABLE}')
        with pytest.raises(ConfigurationError) as of_the_application:
            settings_from_environment()
        for message in (folder.error(), str(of_the_application.value)):
            assert "public_url" in message
            assert fault in message
            assert "hidden" not in message

    def test_single_variables_replace_parts_of_it(self, folder: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.toml(f"[server]\n{PUBLIC_URL}" + APP_TABLE)
        monkeypatch.setenv("SOUNDPOST_PUBLIC_PORT", "8443")
        assert settings_from_environment().browser().base_url == "https://ws.example.com:8443"
        assert browser_address(folder.load({"SOUNDPOST_PUBLIC_PORT": "8443"})).url == "https://ws.example.com:8443"

    def test_a_url_replaces_single_variables_of_lower_sources(
        self, folder: Directory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder.toml(APP_TABLE).dotenv("SOUNDPOST_PUBLIC_HOST=old.example.com\nSOUNDPOST_PUBLIC_PORT=8443\n")
        monkeypatch.setenv("SOUNDPOST_PUBLIC_URL", "https://new.example.com")
        assert settings_from_environment().browser().base_url == "https://new.example.com:443"
        loaded = folder.load({"SOUNDPOST_PUBLIC_URL": "https://new.example.com"})
        assert browser_address(loaded).url == "https://new.example.com:443"

    def test_without_a_path_it_has_that_of_the_server(self, folder: Directory) -> None:
        folder.toml(f"[server]\npath = '/ws'\n{PUBLIC_URL}" + APP_TABLE)
        assert settings_from_environment().browser().base_url == "https://ws.example.com:443/ws"
        assert browser_address(folder.load()).url == "https://ws.example.com:443/ws"

    def test_the_application_itself_publishes_inside(self, folder: Directory) -> None:
        folder.toml(f"[server]\n{PUBLIC_URL}" + APP_TABLE)
        assert settings_from_environment().connection().base_url == "http://127.0.0.1:8080"
        assert published_address(folder.load()).url == "http://127.0.0.1:8080"
