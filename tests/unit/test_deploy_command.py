"""``soundpost deploy``: what is printed and written, and what never is."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from soundpost.broadcasting.browser.echo_options import echo_options
from soundpost.broadcasting.settings import settings_from
from soundpost.broadcasting.settings.from_environment import settings_from_environment
from soundpost.config import load
from soundpost.environment.toml_document import FILE_NAME
from soundpost.errors import ConfigurationError
from soundpost.invocation import soundpost_command
from soundpost.tools.cli.app import app
from soundpost.tools.cli.calling_application import CallingApplication, called_by
from soundpost.tools.cli.framework_commands import application_server
from soundpost.tools.deploy import DeployPlan
from soundpost.tools.deploy.certificates import renewal_steps, state_of
from soundpost.tools.deploy.nginx import deployment
from soundpost.tools.deploy.nginx_options import NginxOptions
from soundpost.tools.deploy.plan import ConfigFile
from soundpost.tools.deploy.writing import is_unedited, with_checksum, write
from support.command_line import CommandLine, command_line

__all__ = ["command_line"]

TARGETS = ["nginx", "caddy", "supervisor", "systemd", "docker", "compose", "kubernetes"]
SECRET = "never-to-be-seen"
TOML = f"""\
[server]
port = 9000
path = "/ws"
hostname = "ws.example.com"

[[apps]]
id = "123456"
key = "app-key"
secret = "{SECRET}"
"""


@pytest.fixture
def configured(command_line: CommandLine) -> CommandLine:
    file = command_line.directory / "soundpost.toml"
    file.write_text(TOML)
    file.chmod(0o600)
    return command_line


@pytest.mark.parametrize("target", TARGETS)
def test_printed_is_the_configuration_and_beside_it_what_to_do(configured: CommandLine, target: str) -> None:
    result = configured.run("deploy", target)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(("#", ";"))
    assert "9000" in result.stdout + result.stderr + env_lines(configured, target)
    assert "\nNext" in result.stderr


def env_lines(configured: CommandLine, *command: str) -> str:
    """Return the .env lines that a target prints, or that the command that it names prints."""
    said = configured.run("deploy", *command).stderr
    named = re.search(r"The \.env lines of your application: .*?(deploy env.*)", said)
    if named is None:
        return said.partition("Backend and frontend, .env\n\n")[2]
    assert "SOUNDPOST_APP_ID" not in said, "once is enough"
    result = configured.run(*named[1].split())
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_whole_env_file_is_printed_for_every_target(configured: CommandLine, target: str) -> None:
    printed = env_lines(configured, target)
    lines = {line.strip() for line in printed.splitlines()}
    host = "soundpost" if target == "kubernetes" else "127.0.0.1"
    assert {
        "SOUNDPOST_APP_ID=123456",
        "SOUNDPOST_APP_KEY=app-key",
        f"SOUNDPOST_HOST={host}",
        "SOUNDPOST_PORT=9000",
        "SOUNDPOST_SCHEME=http",
        "SOUNDPOST_PATH=/ws",
        "SOUNDPOST_PUBLIC_URL=https://ws.example.com/ws",
        f"REVERB_HOST={host}",
        "REVERB_PORT=9000",
        "VITE_REVERB_HOST=ws.example.com",
        "VITE_REVERB_PORT=443",
        "VITE_REVERB_SCHEME=https",
    } <= lines


def test_a_site_with_the_printed_env_lines_tells_browsers_the_public_address(configured: CommandLine) -> None:
    printed = env_lines(configured, "nginx")
    pairs = (line.strip().partition("=") for line in printed.splitlines())
    settings = settings_from_environment({name: value for name, equals, value in pairs if equals})
    options = echo_options(settings, request_host="127.0.0.1:8000")
    assert (options["wsHost"], options["wssPort"], options["forceTLS"]) == ("ws.example.com", 443, True)
    assert options["wsPath"] == "/ws"
    assert [connection.port for connection in settings.connections.values()] == [9000]


@pytest.mark.parametrize("given", ["fd00::1", "[FD00::1]"])
@pytest.mark.parametrize(("target", "site"), [("nginx", "server_name [fd00::1];"), ("caddy", "\n[fd00::1] {")])
def test_an_ipv6_address_is_served_as_browsers_send_it(
    configured: CommandLine, target: str, site: str, given: str
) -> None:
    result = configured.run("deploy", target, "--server-name", given)
    assert result.exit_code == 0, result.stderr
    assert site in result.stdout
    assert "letsencrypt/live/[" not in result.stdout


@pytest.mark.parametrize("target", TARGETS)
def test_public_url_is_the_address_of_browsers_in_every_target(configured: CommandLine, target: str) -> None:
    file = configured.directory / "soundpost.toml"
    named = TOML.replace('hostname = "ws.example.com"', 'public_url = "https://live.example.org:8443/ws"')
    file.write_text(named)
    result = configured.run("deploy", target)
    assert "SOUNDPOST_PUBLIC_URL=https://live.example.org:8443/ws" in env_lines(configured, target)
    assert "browsers get" not in result.stderr
    assert "public_url =" not in result.stderr


def test_a_missing_public_url_is_a_step(configured: CommandLine) -> None:
    step = '# so that pages and the doctor know the address: public_url = "https://ws.example.com/ws" in [server]'
    assert step in configured.run("deploy", "nginx").stderr


def test_another_public_url_than_the_proxy_serves_is_warned_of(configured: CommandLine) -> None:
    file = configured.directory / "soundpost.toml"
    file.write_text(TOML.replace("hostname", "public_url").replace("ws.example.com", "https://ws.example.com"))
    result = configured.run("deploy", "caddy", "--server-name", "www.example.com")
    assert (
        "warning: browsers connect to https://ws.example.com/ws, but this proxy serves https://www.example.com/ws: "
        'set public_url = "https://www.example.com/ws" under [server]'
    ) in result.stderr
    file.write_text(TOML.replace("hostname", "public_url").replace("ws.example.com", "https://ws.example.com/live"))
    result = configured.run("deploy", "nginx")
    assert "browsers get the path '/live', but the server's path is '/ws'" in result.stderr


def test_a_service_without_a_proxy_has_its_public_url(configured: CommandLine) -> None:
    file = configured.directory / "soundpost.toml"
    file.write_text(TOML.replace("hostname", "public_url").replace("ws.example.com", "http://10.0.0.7:9000"))
    assert "SOUNDPOST_PUBLIC_URL=http://10.0.0.7:9000/ws" in env_lines(configured, "systemd")
    file.write_text(TOML.replace("port = 9000", 'port = 9000\ntls = { certificate = "/c.pem", key = "/k.pem" }'))
    assert "VITE_REVERB_PORT" in (said := env_lines(configured, "supervisor"))
    assert "SOUNDPOST_HOST=ws.example.com\nSOUNDPOST_PORT=9000\nSOUNDPOST_SCHEME=https" in said


def test_the_env_lines_of_a_proxy_are_those_of_its_options(configured: CommandLine) -> None:
    said = env_lines(configured, "nginx", "--server-name", "www.example.com", "--listen", "8443")
    assert "SOUNDPOST_PUBLIC_URL=https://www.example.com:8443/ws" in said
    said = env_lines(configured, "caddy", "--node", "10.0.0.1:8080", "--node", "10.0.0.2:8080")
    assert "SOUNDPOST_HOST=10.0.0.1\nSOUNDPOST_PORT=8080" in said
    assert "SOUNDPOST_PUBLIC_URL=https://ws.example.com/ws" in said


def test_the_secret_is_to_be_filled_in_unless_it_is_asked_for(configured: CommandLine) -> None:
    said = configured.run("deploy", "env").stdout
    file = configured.directory / "soundpost.toml"
    assert said.startswith(
        f"# Fill the secret in: it is in {file}. 'soundpost deploy env --show-secret' prints it.\n"
        "SOUNDPOST_APP_ID=123456\n"
    )
    assert said.count("_APP_SECRET=<secret-of-app-123456>\n") == 2
    assert SECRET not in said
    said = configured.run("deploy", "env", "--show-secret").stdout
    assert said.count(f"_APP_SECRET={SECRET}\n") == 2
    assert "Fill" not in said
    file.write_text(TOML.replace(SECRET, "with space $HOME #1"))
    (configured.directory / "site").mkdir()
    (configured.directory / "site/.env").write_text(configured.run("deploy", "env", "--show-secret").stdout)
    (app_there,) = load(environ={}, directory=configured.directory / "site").settings.apps
    assert app_there.secret == "with space $HOME #1"


def test_what_laravel_has_no_variable_for_is_said(configured: CommandLine) -> None:
    said = configured.run("deploy", "env").stdout
    assert "write wsPath: '/ws' in resources/js/echo.js" in said
    assert "Laravel publishes without /ws" in said
    (configured.directory / "soundpost.toml").write_text(TOML.replace('path = "/ws"', ""))
    assert "wsPath" not in configured.run("deploy", "env").stdout


@pytest.mark.parametrize("target", TARGETS)
def test_a_secret_is_never_printed(configured: CommandLine, target: str) -> None:
    result = configured.run("deploy", target)
    assert SECRET not in result.stdout + result.stderr


@pytest.mark.parametrize("target", TARGETS)
def test_written_files_that_hold_a_secret_are_the_owners_only(configured: CommandLine, target: str) -> None:
    root = configured.directory / "root"
    result = configured.run("deploy", target, "--write", "--root", str(root))
    assert result.exit_code == 0, result.stderr
    written = [path for path in root.rglob("*") if path.is_file()]
    assert written
    for path in written:
        assert f"Wrote {path}" in result.stdout
        if SECRET in path.read_text():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    holders = {str(path.relative_to(root)) for path in written if SECRET in path.read_text()}
    assert holders == {
        "compose": {"secrets/app_secret"},
        "kubernetes": {"soundpost-secret.yaml"},
    }.get(target, set())


@pytest.mark.parametrize(
    ("target", "places"),
    [
        (("nginx",), {"etc/nginx/conf.d/soundpost.conf"}),
        (("nginx", "--also-site"), {"etc/nginx/conf.d/soundpost.conf", "etc/nginx/snippets/soundpost.conf"}),
        (("nginx", "--whole"), {"etc/nginx/nginx.conf"}),
        (("caddy",), {"etc/caddy/soundpost.caddy"}),
        (("supervisor",), {"etc/supervisor/conf.d/soundpost.conf"}),
        (("systemd",), {"etc/systemd/system/soundpost.service"}),
        (("docker",), {"Dockerfile"}),
        (("compose",), {"compose.yaml", "Dockerfile", "secrets/app_secret"}),
        (("compose", "--with-nginx"), {"compose.yaml", "Dockerfile", "secrets/app_secret", "nginx.conf"}),
        (("kubernetes",), {"soundpost.yaml", "soundpost-secret.yaml"}),
    ],
)
def test_written_to_the_usual_place(configured: CommandLine, target: tuple[str, ...], places: set[str]) -> None:
    root = configured.directory / "root"
    assert configured.run("deploy", *target, "--write", "--root", str(root)).exit_code == 0
    assert {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} == places


def test_a_file_that_exists_is_left_alone(configured: CommandLine) -> None:
    mine = configured.directory / "Dockerfile"
    mine.write_text("FROM mine\n")
    result = configured.run("deploy", "compose", "--write")
    assert result.exit_code == 1
    assert result.stderr.endswith(
        "soundpost: Dockerfile: there already, with another text that was not written here or was edited since; "
        "nothing was written. --force replaces it\n"
    )
    assert mine.read_text() == "FROM mine\n"
    assert not (configured.directory / "compose.yaml").exists()


def test_force_replaces_it(configured: CommandLine) -> None:
    mine = configured.directory / "Dockerfile"
    mine.write_text("FROM mine\n")
    assert configured.run("deploy", "compose", "--write", "--force").exit_code == 0
    assert "FROM python" in mine.read_text()
    assert {path.name for path in configured.directory.iterdir()} == {
        "Dockerfile",
        "compose.yaml",
        "secrets",
        "soundpost.toml",
    }


CERTBOT = (
    "certbot certonly --webroot -w /var/www/html -d ws.example.com --keep-until-expiring "
    "--deploy-hook 'systemctl reload nginx'"
)


def test_without_a_certificate_nginx_serves_plain_http_first(configured: CommandLine) -> None:
    complete = configured.run("deploy", "nginx", "--no-ipv6")
    lines = [line.strip() for line in complete.stderr.splitlines()]
    command = next(line for line in lines if line.endswith("deploy nginx --no-ipv6 --write"))
    order = [command, "nginx -t && systemctl reload nginx", CERTBOT, command, "nginx -t && systemctl reload nginx"]
    assert [line for line in lines if line in order] == order
    assert f"# {CERTBOT}" in complete.stdout
    assert "ssl_certificate " in complete.stdout


@pytest.mark.parametrize(
    ("program", "command"),
    [("manage.py soundpost", "python manage.py soundpost"), ("flask soundpost", "flask soundpost")],
)
def test_the_command_to_run_again_is_the_one_of_the_framework(
    configured: CommandLine, program: str, command: str
) -> None:
    options = ("--api", "internal", "--api-from", "10.0.0.0/8", "--api-from", "::1", "--config", "soundpost.toml")
    result = CliRunner().invoke(app, ["deploy", "nginx", *options], prog_name=program)
    assert f"  {command} deploy nginx {' '.join(options)} --write\n" in result.stderr


def test_the_file_for_plain_http_is_replaced_once_the_certificate_is_there(
    configured: CommandLine, tmp_path: Path
) -> None:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    plan = DeployPlan(settings=load(environ={}, directory=configured.directory).settings, server_name="ws.example.com",
                      certificate=str(chain), key=str(key))  # fmt: skip
    root = tmp_path / "root"

    def written() -> str:
        options = NginxOptions(certificate=state_of(plan), writes=True)
        ((path, _),) = write(deployment(plan, options).files, root, force=False)
        return path.read_text()

    assert "ssl" not in written()
    assert "listen 80;" in written()
    assert "location /.well-known/acme-challenge/ { root /var/www/html; }" in written()
    chain.touch()
    assert "ssl" not in written()
    key.touch()
    assert f"ssl_certificate     {chain};" in written()
    assert "listen 80;" in written()
    (file,) = (path for path in root.rglob("*") if path.is_file())
    file.write_text(file.read_text().replace("listen 80;", "listen 81;"))
    with pytest.raises(ConfigurationError, match="--force replaces it"):
        written()


@pytest.mark.parametrize("target", TARGETS)
def test_a_file_that_nobody_edited_is_replaced_after_a_change_of_the_settings(
    configured: CommandLine, target: str
) -> None:
    root = configured.directory / "root"
    command = ("deploy", target, "--write", "--root", str(root))
    assert configured.run(*command).exit_code == 0
    before = {path: path.read_text() for path in root.rglob("*") if path.is_file()}
    changed_toml = TOML.replace("port = 9000", "port = 9001\ndrain_time = 60")
    configured.directory.joinpath("soundpost.toml").write_text(changed_toml)
    result = configured.run(*command)
    assert result.exit_code == 0, result.stderr
    changed = [path for path, text in before.items() if path.read_text() != text]
    assert changed
    for path in changed:
        assert f"Wrote {path}\n" in result.stdout
    changed[0].write_text("# by hand\n" + changed[0].read_text())
    assert configured.run(*command).exit_code == 1
    assert configured.run(*command, "--force").exit_code == 0
    assert configured.run(*command).exit_code == 0


@pytest.mark.parametrize("edit", [lambda text: text + "\n", lambda text: text.replace("0", "1", 1), str.upper])
def test_an_edited_file_is_not_taken_for_a_written_one(edit: Callable[[str], str]) -> None:
    text = with_checksum(ConfigFile(Path("a"), "; listen 80\n"))
    assert text.splitlines()[1].startswith("; Written by soundpost deploy")
    assert is_unedited(text)
    assert not is_unedited(edit(text))
    assert not is_unedited("; listen 80\n")
    assert not is_unedited("")


def test_a_printed_file_that_was_put_there_by_hand_is_as_it_should_be(configured: CommandLine) -> None:
    (configured.directory / "Dockerfile").write_text(configured.run("deploy", "docker").stdout)
    result = configured.run("deploy", "docker", "--write")
    assert (result.exit_code, result.stdout) == (0, "Dockerfile is up to date\n")


def test_a_certificate_of_another_authority_is_put_there_by_hand(configured: CommandLine) -> None:
    said = configured.run("deploy", "nginx", "--certificate", "/no/chain.pem", "--key", "/no/key.pem").stderr
    assert "# put the certificate with its whole chain into /no/chain.pem, the key into /no/key.pem" in said
    assert "certbot" not in said
    result = configured.run("deploy", "nginx", "--certificate", "/no/chain.pem")
    assert (result.exit_code, "--certificate and --key go together" in result.stderr) == (1, True)


def test_a_certificate_that_cannot_be_looked_at_is_not_said_to_be_missing(configured: CommandLine) -> None:
    unseen = f"/{'a' * 1000}"  # as in a folder that is closed to this user
    said = configured.run("deploy", "nginx", "--certificate", unseen, "--key", unseen).stderr
    assert "not there yet" not in said
    assert f"# Nginx starts only if {unseen} is there" in said


def test_without_plain_http_the_name_is_proved_by_dns(configured: CommandLine) -> None:
    said = configured.run("deploy", "nginx", "--http-port", "0").stderr
    assert "certbot certonly --manual --preferred-challenges dns -d ws.example.com" in said


def test_below_another_root_nginx_has_its_certificate_later(configured: CommandLine) -> None:
    result = configured.run("deploy", "nginx", "--write", "--root", "image")
    assert "certbot" not in result.stderr
    assert "ssl_certificate " in (configured.directory / "image/etc/nginx/conf.d/soundpost.conf").read_text()


def test_compose_with_nginx_gets_its_certificate_through_nginx(configured: CommandLine) -> None:
    result = configured.run("deploy", "compose", "--with-nginx", "--write")
    folder = configured.directory
    assert "ssl_certificate " not in (folder / "nginx.conf").read_text()
    lines = [line.strip() for line in result.stderr.splitlines()]
    compose = f"docker compose -f {folder}/compose.yaml"
    order = [
        "docker compose up -d --build",
        CERTBOT.replace("systemctl reload nginx", f"{compose} exec -T nginx nginx -s reload"),
        f"{soundpost_command()} deploy compose --with-nginx --write",
        f"{compose} restart nginx",
    ]
    assert [line for line in lines if line in order] == order


def test_a_site_of_the_same_name_is_not_put_out_of_service(configured: CommandLine) -> None:
    nginx = configured.directory / "root/etc/nginx"
    (nginx / "sites-enabled").mkdir(parents=True)
    (nginx / "sites-enabled/default").write_text("server { server_name _; }\n# server_name ws.example.com;\n")
    (nginx / "sites-enabled/other").write_text("server { server_name www.ws.example.com; }\n")
    command = ("deploy", "nginx", "--root", "root")
    for _ in range(2):
        assert configured.run(*command, "--write").exit_code == 0
    (nginx / "conf.d/soundpost.conf").unlink()
    (nginx / "sites-enabled/mine").write_text("server { server_name\n  example.com ws.example.com; }\n")
    said = "ws.example.com has a site in Nginx already, in root/etc/nginx/sites-enabled/mine, which a second file"
    assert f"warning: {said}" in configured.run(*command).stderr
    result = configured.run(*command, "--write")
    assert (result.exit_code, said in result.stderr, "--also-site" in result.stderr) == (1, True, True)
    assert not (nginx / "conf.d/soundpost.conf").exists()
    for option in ("--also-site", "--force"):
        assert configured.run(*command, "--write", option).exit_code == 0


@pytest.mark.parametrize(
    ("renewal", "reason"),
    [
        ("authenticator = standalone\nrenew_hook = systemctl reload nginx\n", "as Nginx has port 80"),
        ("authenticator = webroot\n", "nothing tells Nginx about a renewed certificate"),
        ("authenticator = webroot\nrenew_hook = systemctl reload nginx\n", None),
        ("authenticator = nginx\ninstaller = nginx\n", None),
        (None, None),
    ],
)
def test_a_certificate_that_would_not_be_renewed_is_noticed(
    configured: CommandLine, tmp_path: Path, renewal: str | None, reason: str | None
) -> None:
    plan = DeployPlan(settings=load(environ={}, directory=configured.directory).settings, server_name="ws.example.com")
    if renewal is not None:
        (tmp_path / "renewal").mkdir()
        (tmp_path / "renewal/ws.example.com.conf").write_text(renewal)
    steps = renewal_steps(plan, "systemctl reload nginx", tmp_path)
    if reason is None:
        assert steps == []
        return
    assert reason in steps[0]
    assert steps[-1] == CERTBOT.replace("--keep-until-expiring", "--force-renewal")
    if "webroot" in str(renewal):
        (tmp_path / "renewal-hooks/deploy").mkdir(parents=True)
        (tmp_path / "renewal-hooks/deploy/reload").touch()
        assert renewal_steps(plan, "systemctl reload nginx", tmp_path) == []


def test_written_twice_is_no_error(configured: CommandLine) -> None:
    configured.run("deploy", "docker", "--write")
    result = configured.run("deploy", "docker", "--write")
    assert result.exit_code == 0
    assert result.stdout == "Dockerfile is up to date\n"


def test_where_it_may_not_write_it_says_so(configured: CommandLine) -> None:
    (configured.directory / "root").write_text("a file")
    result = configured.run("deploy", "systemd", "--write", "--root", "root")
    assert result.exit_code == 1
    assert "root/etc/systemd/system/soundpost.service cannot be written: " in result.stderr


@pytest.mark.parametrize("target", ["nginx", "caddy", "kubernetes"])
def test_a_proxy_needs_a_name(command_line: CommandLine, target: str) -> None:
    command_line.run("init")
    result = command_line.run("deploy", target)
    assert result.exit_code == 1
    assert "give --server-name ws.example.com" in result.stderr


def test_the_name_laravel_publishes_to_is_taken_unless_it_is_local(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    command_line.run("init")
    monkeypatch.setenv("REVERB_HOST", "localhost")
    assert command_line.run("deploy", "nginx").exit_code == 1
    monkeypatch.setenv("REVERB_HOST", "ws.example.org")
    assert "server_name ws.example.org;" in command_line.run("deploy", "nginx").stdout


def test_a_name_in_another_script_is_the_one_that_browsers_send(command_line: CommandLine) -> None:
    command_line.run("init")
    file = command_line.directory / "soundpost.toml"
    file.write_text(f'[server]\npublic_url = "https://faß.example"\n{file.read_text().replace("[server]", "")}')
    from_file = command_line.run("deploy", "nginx")
    assert "server_name xn--fa-hia.example;" in from_file.stdout
    assert "browsers connect to" not in from_file.stderr
    given = command_line.run("deploy", "nginx", "--server-name", "Bücher.example")
    assert "server_name xn--bcher-kva.example;" in given.stdout


@pytest.mark.parametrize("target", ["supervisor", "systemd", "compose", "kubernetes"])
def test_a_server_that_is_to_stay_needs_credentials_that_stay(command_line: CommandLine, target: str) -> None:
    result = command_line.run("deploy", target, "--server-name", "ws.example.com")
    assert result.exit_code == 1
    assert "'soundpost init' writes a soundpost.toml to keep" in result.stderr


def test_without_credentials_the_env_lines_have_places_for_them(command_line: CommandLine) -> None:
    result = command_line.run("deploy", "nginx", "--server-name", "ws.example.com")
    assert result.exit_code == 0
    assert "warning: no app is configured here" in result.stderr
    assert "SOUNDPOST_APP_KEY=<app key>" in env_lines(command_line, "nginx", "--server-name", "ws.example.com")


def test_variables_of_this_shell_are_named_for_a_service_does_not_have_them(
    configured: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOUNDPOST_APP_SECRET", "hush-hush")
    result = configured.run("deploy", "supervisor")
    assert "set in this shell, but not in that of a service: SOUNDPOST_APP_SECRET:" in result.stderr
    assert "hush-hush" not in result.stdout + result.stderr


@pytest.mark.parametrize("target", ["supervisor", "systemd"])
@pytest.mark.parametrize("user", ["a b", "x;reboot", "%i", "-x", "no:body", "$(id)", "a\nExecStart=/bin/true"])
def test_only_a_name_is_taken_for_the_user_of_a_service(configured: CommandLine, target: str, user: str) -> None:
    result = configured.run("deploy", target, f"--user={user}")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"--user {user!r}: expected the name of a user" in result.stderr


def test_paths_of_a_service_are_quoted_in_the_steps(
    configured: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "my site"
    folder.mkdir()
    (folder / FILE_NAME).write_text(TOML)
    (folder / FILE_NAME).chmod(0o600)
    monkeypatch.chdir(folder)
    said = configured.run("deploy", "systemd", "--user", "somebody").stderr
    assert f"chown somebody '{folder.resolve()}/{FILE_NAME}'" in said


@pytest.mark.parametrize("log", ["/var/log/a ;b.log", "/var/log/a #b.log", "/var/log/a\ncommand=/bin/true", "/a "])
def test_a_path_that_supervisor_would_cut_off_is_refused(configured: CommandLine, log: str) -> None:
    result = configured.run("deploy", "supervisor", "--log", log)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{log!r}: a path in the configuration of a service cannot have this in it" in result.stderr


def test_the_env_lines_ask_for_the_name_of_browsers_where_nothing_says_it(command_line: CommandLine) -> None:
    file = command_line.directory / FILE_NAME
    file.write_text(TOML.replace('hostname = "ws.example.com"\n', ""))
    file.chmod(0o600)
    asked = command_line.run("deploy", "env").stdout
    assert asked.startswith("# Nothing here says where browsers connect: --server-name ws.example.com tells it.\n")
    assert "SOUNDPOST_PUBLIC_URL=https://<name browsers connect to>/ws\n" in asked
    assert "<name" not in command_line.run("deploy", "env", "--server-name", "ws.example.com").stdout
    file.write_text(file.read_text().replace("[server]", '[server]\npublic_url = "http://localhost:8000/ws"'))
    assert "SOUNDPOST_PUBLIC_URL=http://localhost:8000/ws\n" in command_line.run("deploy", "env").stdout


def test_wrong_usage_is_told(configured: CommandLine) -> None:
    assert configured.run("deploy", "nginx", "--also-site", "--whole").exit_code == 2
    assert configured.run("deploy", "nginx", "--api", "secret").exit_code == 2
    assert configured.run("deploy", "caddy", "--certificate", "/c.pem").exit_code == 1
    assert configured.run("deploy", "apache").exit_code == 2


def test_nginx_forwards_below_the_prefix_and_names_the_limits(configured: CommandLine) -> None:
    text = configured.run("deploy", "nginx", "--connections", "50000", "--no-ipv6", "--nginx-version", "1.26").stdout
    assert re.findall(r"location (\S+ ?\S*) \{", text) == [
        "/ws/app/",
        "/ws/apps/",
        "/ws/users/",
        "= /ws/up",
        "= /ws/up/ready",
        "/",
        "/.well-known/acme-challenge/",
        "/",
    ]
    for line in (
        "server 127.0.0.1:9000;",
        "listen 443 ssl;",
        "http2 on;",
        "proxy_read_timeout 120s;",
        "proxy_buffering off;",
        "client_max_body_size 262144;",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "#   worker_connections 100512;",
        "#   net.ipv4.ip_local_port_range = 10240 65535",
        "return 308 https://$host$request_uri;",
    ):
        assert line in text
    assert "[::]" not in text


def test_more_connections_than_ports_are_warned_of(configured: CommandLine) -> None:
    more = ("deploy", "nginx", "--connections", "80000")
    assert "let the server listen on a Unix socket" in configured.run(*more).stderr
    nodes = ("--node", "10.0.0.1:80", "--node", "10.0.0.2:80")
    assert "Unix socket" not in configured.run(*more, *nodes).stderr


def test_supervisor_knows_program_folder_and_user(configured: CommandLine) -> None:
    text = configured.run("deploy", "supervisor", "--user", "www-data", "--connections", "20000").stdout
    directory = configured.directory
    assert re.search(rf"^command=/\S+/soundpost start --config {directory}/soundpost.toml$", text, re.MULTILINE)
    for line in (
        f"directory={directory}",
        "user=www-data",
        "autorestart=true",
        "stopsignal=TERM",
        "stopwaitsecs=25",
        "minfds=21024",
    ):
        assert f"\n{line}\n" in text


def test_a_service_runs_as_the_owner_of_its_configuration_but_not_as_root(configured: CommandLine) -> None:
    text = configured.run("deploy", "systemd").stdout
    owner = (configured.directory / "soundpost.toml").owner()
    assert f"\nUser={'soundpost' if owner == 'root' else owner}\n" in text


def test_systemd_opens_what_a_setting_needs(configured: CommandLine) -> None:
    file = configured.directory / "soundpost.toml"
    text = configured.run("deploy", "systemd").stdout
    assert "\nCapabilityBoundingSet=\n" in text
    assert "ReadWritePaths" not in text
    file.write_text(TOML.replace("port = 9000", "port = 80"))
    assert "\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n" in configured.run("deploy", "systemd").stdout
    file.write_text(TOML.replace("port = 9000", 'unix_socket = "/srv/s/soundpost.sock"'))
    assert "\nReadWritePaths=/srv/s\n" in configured.run("deploy", "systemd").stdout
    file.write_text(TOML + '[scaling]\nredis = "redis://127.0.0.1:6379"\n')
    assert "After=network-online.target redis-server.service" in configured.run("deploy", "systemd").stdout


def test_the_image_has_no_setting_of_this_machine(configured: CommandLine) -> None:
    file = configured.directory / "soundpost.toml"
    own = 'unix_socket = "/run/s.sock"\ntls = { certificate = "/etc/c.pem", key = "/etc/k.pem" }'
    file.write_text(TOML.replace("port = 9000", own))
    result = configured.run("deploy", "docker")
    assert "SOUNDPOST_SERVER_UNIX_SOCKET=null" in result.stdout
    assert "SOUNDPOST_SERVER_TLS_CERTIFICATE=null" in result.stdout
    assert "SOUNDPOST_SERVER_PORT=8080" in result.stdout
    assert "left out in the container" in result.stderr
    for line in ("USER 10001:10001", "STOPSIGNAL SIGTERM", "SOUNDPOST_SERVER_PATH=/ws", 'ENTRYPOINT ["soundpost"]'):
        assert line in result.stdout


@pytest.mark.parametrize("target", ["supervisor", "systemd", "compose"])
@pytest.mark.parametrize(("secret", "is_warned"), [(SECRET, False), ("s3cret-of-settings", True)])
def test_an_app_that_only_the_application_s_settings_know_is_warned_of(
    configured: CommandLine, target: str, secret: str, is_warned: bool
) -> None:
    settings = settings_from({"app_id": "123456", "key": "app-key", "secret": secret, "port": 9000})
    server = application_server("Django", "settings.SOUNDPOST", settings)
    with called_by(CallingApplication(server, configured.directory)):
        result = configured.run("deploy", target)
    assert result.exit_code == 0, result.stderr
    assert ("not settings.SOUNDPOST: write the id, key and secret of app 123456" in result.stderr) is is_warned
    assert secret not in result.stdout + result.stderr
