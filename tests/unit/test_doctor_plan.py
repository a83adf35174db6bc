"""Plan of the doctor: whose word counts where options, named files and the folder say different things."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from soundpost.config.application import ApplicationServer
from soundpost.tools.cli import doctor_plan
from soundpost.tools.cli.calling_application import CallingApplication, called_by
from soundpost.tools.cli.doctor_options import DoctorOptions
from soundpost.tools.cli.doctor_plan import plan_of
from soundpost.tools.doctor import CheckPlan

SECRET: Final = "river-8-lantern"
TOML: Final = f'[server]\nhost = "127.0.0.1"\nport = 9000\n{{}}\n[[apps]]\nid = "1"\nkey = "k1"\nsecret = "{SECRET}"\n'
APP: Final = f"SOUNDPOST_APP_ID=1\nSOUNDPOST_APP_KEY=k1\nSOUNDPOST_APP_SECRET={SECRET}\n"
REVERB: Final = APP.replace("SOUNDPOST_", "REVERB_")
URL: Final = f"SOUNDPOST_URL=http://k1:{SECRET}@10.0.0.9:7000/apps/1\n"
VITE: Final = "VITE_REVERB_APP_KEY=k1\nVITE_REVERB_HOST=ws.example.com\nVITE_REVERB_PORT=443\n"
PUBLIC: Final = 'public_url = "https://ws.example.com"'
INSIDE: Final = "http://127.0.0.1:9000"


@dataclass
class Folder:
    """A folder with files in it, and options of the doctor."""

    files: dict[str, str]
    env: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)
    listens: bool = True
    options: dict[str, Any] = field(default_factory=dict)

    def plan(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> CheckPlan:
        """Return the plan of the doctor in this folder."""
        for name, text in self.files.items():
            (path / name).write_text(text)
            (path / name).chmod(0o600)
        monkeypatch.chdir(path)
        for name, text in self.environ.items():
            monkeypatch.setenv(name, text)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(path / "run"))
        monkeypatch.setattr(doctor_plan, "_listens", lambda base_url: self.listens)
        return plan_of(DoctorOptions(env=tuple(map(Path, self.env)), **self.options))


CASES: Final = {
    "a file beside a soundpost.toml of another port": (
        Folder({"soundpost.toml": TOML.format(""), "x.env": "SOUNDPOST_PORT=8080\n"}, ("x.env",)),
        (INSIDE, "http://127.0.0.1:8080", "x.env: SOUNDPOST_PORT"),
    ),
    "a whole backend beside a soundpost.toml": (
        Folder({"soundpost.toml": TOML.format(PUBLIC), "x.env": f"{APP}SOUNDPOST_PORT=8080\n"}, ("x.env",)),
        ("https://ws.example.com", "http://127.0.0.1:8080", "x.env: SOUNDPOST_PORT"),
    ),
    "a file beside a .env with another port": (
        Folder({".env": f"{APP}SOUNDPOST_PORT=7001\n", "x.env": f"{APP}SOUNDPOST_PORT=8080\n"}, ("x.env",)),
        ("http://127.0.0.1:7001", "http://127.0.0.1:8080", "x.env: SOUNDPOST_PORT"),
    ),
    "the same file as .env": (
        Folder({"soundpost.toml": TOML.format(""), ".env": "SOUNDPOST_PORT=8080\n"}),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", ".env: SOUNDPOST_PORT"),
    ),
    "a file without a configuration here": (
        Folder({"x.env": f"{APP}SOUNDPOST_PORT=8080\n"}, ("x.env",)),
        (None, "http://127.0.0.1:8080", "x.env: SOUNDPOST_PORT"),
    ),
    "the environment has another port than the file": (
        Folder({"x.env": f"{APP}SOUNDPOST_PORT=8080\n"}, ("x.env",), {"SOUNDPOST_PORT": "7002"}),
        (None, "http://127.0.0.1:8080", "x.env: SOUNDPOST_PORT"),
    ),
    "the environment above .env and soundpost.toml": (
        Folder(
            {"soundpost.toml": TOML.format(""), ".env": "SOUNDPOST_PORT=8080\n"}, environ={"SOUNDPOST_PORT": "7002"}
        ),
        ("http://127.0.0.1:7002", "http://127.0.0.1:7002", "environment: SOUNDPOST_PORT"),
    ),
    "two files: backend and frontend": (
        Folder({"a.env": f"{APP}SOUNDPOST_PORT=8080\n", "b.env": VITE}, ("a.env", "b.env")),
        ("https://ws.example.com", "http://127.0.0.1:8080", "a.env: SOUNDPOST_PORT"),
    ),
    "a Laravel backend": (
        Folder({"x.env": f"{REVERB}REVERB_HOST=ws.example.com\nREVERB_PORT=443\nREVERB_SCHEME=http\n"}, ("x.env",)),
        (None, "http://ws.example.com:443", "x.env: REVERB_HOST, REVERB_PORT, REVERB_SCHEME"),
    ),
    "a Laravel backend beside a soundpost.toml": (
        Folder(
            {"soundpost.toml": TOML.format(PUBLIC), "x.env": f"{REVERB}REVERB_HOST=ws.example.com\nREVERB_PORT=443\n"},
            ("x.env",),
        ),
        ("https://ws.example.com", "https://ws.example.com", "x.env: REVERB_HOST, REVERB_PORT"),
    ),
    "SOUNDPOST_URL in a file": (
        Folder({"soundpost.toml": TOML.format(""), "x.env": URL}, ("x.env",)),
        (INSIDE, "http://10.0.0.9:7000", "x.env: SOUNDPOST_URL"),
    ),
    "SOUNDPOST_URL in .env": (
        Folder({"soundpost.toml": TOML.format(""), ".env": URL}),
        (INSIDE, "http://10.0.0.9:7000", ".env: SOUNDPOST_URL"),
    ),
    "SOUNDPOST_URL in .env alone": (
        Folder({".env": URL}),
        ("http://10.0.0.9:7000", "http://10.0.0.9:7000", ".env: SOUNDPOST_URL"),
    ),
    "SOUNDPOST_URL with another port beside it": (
        Folder({"x.env": f"{URL}SOUNDPOST_PORT=8080\n"}, ("x.env",)),
        (None, "http://10.0.0.9:8080", "x.env: SOUNDPOST_URL, SOUNDPOST_PORT"),
    ),
    "public names in a file": (
        Folder({"x.env": f"{APP}SOUNDPOST_PUBLIC_HOST=ws.example.com\nSOUNDPOST_PUBLIC_SCHEME=https\n"}, ("x.env",)),
        ("https://ws.example.com", "https://ws.example.com", "x.env: SOUNDPOST_PUBLIC_HOST, SOUNDPOST_PUBLIC_SCHEME"),
    ),
    "SOUNDPOST_PUBLIC_URL in a file, beside another public_url": (
        Folder(
            {
                "soundpost.toml": TOML.format(PUBLIC),
                "x.env": f"{APP}SOUNDPOST_PUBLIC_URL=https://rt.example.com:8443\n",
            },
            ("x.env",),
        ),
        ("https://rt.example.com:8443", INSIDE, "the server's own address"),
    ),
    "public_url": (
        Folder({"soundpost.toml": TOML.format(PUBLIC)}),
        ("https://ws.example.com", INSIDE, "the server's own address"),
    ),
    "a frontend's variables in the folder's .env": (
        Folder({"soundpost.toml": TOML.format(""), ".env": VITE}),
        ("https://ws.example.com", INSIDE, "the server's own address"),
    ),
    "a source file": (
        Folder({"soundpost.toml": TOML.format(PUBLIC), "echo.js": "new Echo({ wsPort: 443 })"}, ("echo.js",)),
        ("https://ws.example.com", INSIDE, "the server's own address"),
    ),
    "--backend-url above a file": (
        Folder({"x.env": f"{APP}SOUNDPOST_PORT=8080\n"}, ("x.env",), options={"backend_url": "http://10.0.0.1:5000"}),
        (None, "http://10.0.0.1:5000", "--backend-url"),
    ),
    "--url above public_url, with the server here": (
        Folder({"soundpost.toml": TOML.format(PUBLIC)}, options={"url": "https://rt.example.com"}),
        ("https://rt.example.com", INSIDE, "the server's own address"),
    ),
    "--url, and a server here that does not run": (
        Folder({"soundpost.toml": TOML.format(PUBLIC)}, options={"url": "https://rt.example.com"}, listens=False),
        ("https://rt.example.com", "https://rt.example.com", "--url"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_whose_word_counts(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, (public, backend, told) = CASES[name]
    plan = folder.plan(tmp_path, monkeypatch)
    assert plan.public is None or plan.public.url == public
    assert (plan.public is None) == (public is None)
    assert plan.backend is not None
    assert (plan.backend.url, plan.backend_source) == (backend, told)
    if name != "a source file":
        assert (plan.key, plan.app_id, plan.secret) == ("k1", "1", SECRET)


def test_a_named_server_elsewhere_leaves_the_server_here_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"soundpost.toml": TOML.format(PUBLIC), "x.env": f"{APP}SOUNDPOST_HOST=10.0.0.5\n"}
    plan = Folder(files, ("x.env",), listens=False).plan(tmp_path, monkeypatch)
    assert (plan.inside, plan.settings, plan.public) == (None, None, None)


def test_a_named_backend_of_the_server_here_examines_that_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"soundpost.toml": TOML.format(PUBLIC), "x.env": f"{APP}SOUNDPOST_PORT=9000\n"}
    plan = Folder(files, ("x.env",), listens=False).plan(tmp_path, monkeypatch)
    assert plan.inside is not None
    assert plan.settings is not None


@pytest.mark.parametrize("app", [APP.replace("k1", "old"), APP.replace("APP_ID=1", "APP_ID=7")])
def test_a_named_backend_with_wrong_credentials_keeps_them(
    app: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"soundpost.toml": TOML.format(PUBLIC), "x.env": f"{app}SOUNDPOST_PORT=9000\n"}
    plan = Folder(files, ("x.env",)).plan(tmp_path, monkeypatch)
    assert f"SOUNDPOST_APP_ID={plan.app_id}\nSOUNDPOST_APP_KEY={plan.key}\n" in app
    assert plan.credential_sources["key"] == "x.env: SOUNDPOST_APP_KEY"
    assert plan.public is not None
    assert plan.public.url == "https://ws.example.com"


HOSTNAME: Final = 'hostname = "ws.example.com"'
UNKNOWN: Final = {
    "hostname, on loopback": (TOML.format(HOSTNAME), "https://ws.example.com"),
    "hostname and a path": (TOML.format(f'{HOSTNAME}\npath = "/ws"'), "https://ws.example.com/ws"),
    "a Unix socket": (TOML.format('unix_socket = "/run/s.sock"'), None),
    "a Unix socket and a hostname": (TOML.format(f'unix_socket = "/run/s.sock"\n{HOSTNAME}'), "https://ws.example.com"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_nothing_says_where_browsers_connect(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml, guess = UNKNOWN[name]
    plan = Folder({"soundpost.toml": toml}).plan(tmp_path, monkeypatch)
    assert plan.public == plan.inside
    assert plan.unknown_public is not None
    assert (plan.unknown_public.guess and plan.unknown_public.guess.url) == guess


@pytest.mark.parametrize(
    "files",
    [
        {"soundpost.toml": TOML.format("")},
        {"soundpost.toml": TOML.format('hostname = "localhost"')},
        {"soundpost.toml": TOML.format(HOSTNAME).replace("127.0.0.1", "0.0.0.0")},
        {"soundpost.toml": TOML.format(f"{HOSTNAME}\n{PUBLIC}")},
        {"soundpost.toml": TOML.format(HOSTNAME), ".env": VITE},
        {"soundpost.toml": TOML.format(HOSTNAME), ".env": "SOUNDPOST_PUBLIC_HOST=ws.example.com\n"},
        {"soundpost.toml": TOML.format(""), ".env": "SOUNDPOST_HOST=ws.example.com\nSOUNDPOST_SCHEME=https\n"},
    ],
)
def test_something_says_where_browsers_connect(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Folder(files).plan(tmp_path, monkeypatch).unknown_public is None


def called(path: Path, public: dict[str, Any] | None = None, **changes: str) -> AbstractContextManager[None]:
    """Be in a command of Django, whose settings have the app 5 and a server on port 18910."""
    server = ApplicationServer(
        name="Django",
        location="settings.SOUNDPOST",
        app={"id": "5", "key": "k5", "secret": "hill-2-copper", **changes},
        backend={"host": "127.0.0.1", "port": 18910, "scheme": "http", "path": ""},
        public=public or {},
        is_here=True,
    )
    return called_by(CallingApplication(server, path))


def test_settings_of_an_application_count_above_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with called(tmp_path):
        plan = Folder({"soundpost.toml": TOML.format(PUBLIC)}).plan(tmp_path, monkeypatch)
    assert plan.backend is not None
    assert plan.inside is not None
    assert (plan.backend.url, plan.backend_source) == ("http://127.0.0.1:18910", "settings.SOUNDPOST")
    assert plan.inside.url == "http://127.0.0.1:18910"
    assert (plan.key, plan.app_id, plan.secret) == ("k5", "5", "hill-2-copper")


def test_the_public_address_of_an_application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with called(tmp_path, {"host": "shop.example.com", "port": 443, "scheme": "https", "path": "/rt"}):
        plan = Folder({}).plan(tmp_path, monkeypatch)
    assert plan.public is not None
    assert (plan.public.url, plan.public_source) == ("https://shop.example.com/rt", "settings.SOUNDPOST")


def test_options_and_named_files_count_above_an_application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"x.env": f"{APP}SOUNDPOST_PORT=8080\n"}
    with called(tmp_path):
        plan = Folder(files, ("x.env",), options={"key": "other"}).plan(tmp_path, monkeypatch)
    assert plan.backend is not None
    assert (plan.backend.url, plan.key, plan.app_id) == ("http://127.0.0.1:8080", "other", "1")


def test_an_application_s_example_secret_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with called(tmp_path, secret="your-app-secret"):
        plan = Folder({}).plan(tmp_path, monkeypatch)
    assert plan.placeholders == ("the secret of app 5 in settings.SOUNDPOST",)
    assert plan.public_source == "settings.SOUNDPOST"


def test_nothing_to_examine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(typer.BadParameter, match="nothing to examine"):
        Folder({}).plan(tmp_path, monkeypatch)
