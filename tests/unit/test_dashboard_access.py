"""Who gets into the dashboard: passwords, sessions, other sites, other names, proxies."""

from __future__ import annotations

import msgspec
import pytest

from soundpost.config.settings import ServerSettings
from soundpost.errors import StartError
from soundpost.server.dashboard import sessions
from support.dashboards import PASSWORD, Operator, Stage, cheap_hash, staged

READING = ("/api/session", "/api/apps/1/webhooks")
CHANGING = (
    ("POST", "/api/logout"),
    ("POST", "/api/apps/1/events"),
    ("POST", "/api/apps/1/users/terminate?user=ann"),
    ("POST", "/api/apps/1/webhooks/0/resend"),
)


async def logged_in(stage: Stage) -> Operator:
    operator = await stage.operator()
    assert (await operator.log_in()).status == 204
    return operator


@pytest.mark.parametrize("path", READING)
async def test_nothing_is_read_without_a_login(path: str) -> None:
    async with staged() as stage:
        operator = await stage.operator()
        answer = await operator.get(path)
        assert (answer.status, answer.error) == (401, "Log in first: there is no session, or it has ended")
        assert (await operator.get(path, cookie="soundpost_8090=x; soundpost_0=")).status == 401
        assert (await (await logged_in(stage)).get(path)).status == 200


async def test_a_route_that_is_none_is_told_to_nobody_without_a_login() -> None:
    async with staged() as stage:
        assert (await (await stage.operator()).get("/api/nowhere")).status == 401
        assert (await (await logged_in(stage)).get("/api/nowhere")).status == 404


@pytest.mark.parametrize(("method", "path"), CHANGING)
async def test_nothing_is_changed_without_a_login_and_its_token(method: str, path: str) -> None:
    async with staged() as stage:
        stranger, operator, other = await stage.operator(), await logged_in(stage), await logged_in(stage)
        assert (await stranger.send(method, path)).status == 401
        assert (await stranger.send(method, path, x_csrf_token=operator.csrf)).status == 401
        for token in ("", "x", other.csrf, operator.csrf + "x"):
            answer = await operator.send(method, path, x_csrf_token=token)
            assert (answer.status, "X-CSRF-Token" in answer.error) == (403, True)
        assert (await operator.send(method, path, origin="https://evil.example")).status == 403
        assert (await operator.send(method, path, origin="null")).status == 403
        assert (await operator.send(method, path, sec_fetch_site="cross-site")).status == 403
        own = f"http://127.0.0.1:{stage.dashboard.listener.port}"
        allowed = await operator.send(method, path, origin=own, host=own.removeprefix("http://"))
        assert allowed.status not in (401, 403)


async def test_a_wrong_password_is_refused() -> None:
    async with staged() as stage:
        operator = await stage.operator()
        answer = await operator.log_in("wrong horse")
        assert (answer.status, answer.error) == (401, "Wrong password")
        assert "set-cookie" not in answer.headers
        assert (await operator.log_in("")).status == 401
        assert (await operator.log_in("x" * 5_000)).status == 401


@pytest.mark.parametrize("body", [b"", b"[]", b'{"password":1}', b'{"password":"\xff"}', b"password=x"])
async def test_a_login_that_is_none_is_refused(body: bytes) -> None:
    async with staged() as stage:
        operator = await stage.operator()
        answer = await operator.client.request("POST", "/api/login", body, content_type="application/json")
        assert answer.status == 422


async def test_a_form_of_another_site_cannot_log_in() -> None:
    async with staged() as stage:
        operator = await stage.operator()
        assert (await operator.log_in(origin="https://evil.example")).status == 403
        body = b'{"password":"correct horse"}'
        answer = await operator.client.request("POST", "/api/login", body, content_type="text/plain")
        assert answer.status == 415


async def test_the_cookie_is_for_the_browser_and_this_site_alone() -> None:
    async with staged() as stage:
        answer = await (await stage.operator()).log_in()
        name, _, flags = answer.headers["set-cookie"].partition("=")
        assert name == f"soundpost_{stage.dashboard.listener.port}"
        assert flags.split("; ")[1:] == ["HttpOnly", "SameSite=Strict"]
        assert len(flags.split("; ")[0]) >= 43


@pytest.mark.parametrize(("proxies", "secure"), [(("127.0.0.1",), True), ((), False)])
async def test_a_proxy_that_is_trusted_says_whether_the_cookie_is_secure(
    proxies: tuple[str, ...], secure: bool
) -> None:
    async with staged(server=ServerSettings(trusted_proxies=proxies)) as stage:
        answer = await (await stage.operator()).log_in(x_forwarded_proto="https")
        assert answer.headers["set-cookie"].endswith("; Secure") is secure


async def test_a_logout_ends_the_session_and_no_other() -> None:
    async with staged() as stage:
        operator, other = await logged_in(stage), await logged_in(stage)
        answer = await operator.send("POST", "/api/logout")
        assert answer.status == 204
        assert answer.headers["set-cookie"].endswith("; Max-Age=0")
        assert (await operator.get("/api/session")).status == 401
        assert (await other.get("/api/session")).status == 200


async def test_a_session_ends_after_a_while_unused() -> None:
    async with staged() as stage:
        operator = await logged_in(stage)
        stage.now += sessions.IDLE_TIME - 1
        assert (await operator.get("/api/session")).status == 200
        stage.now += sessions.IDLE_TIME
        assert (await operator.get("/api/session")).status == 401
        stage.now -= sessions.IDLE_TIME
        assert (await operator.get("/api/session")).status == 401


async def test_a_session_ends_after_12_hours() -> None:
    async with staged() as stage:
        operator = await logged_in(stage)
        for _ in range(24):
            stage.now += 1_799
            assert (await operator.get("/api/session")).status == 200
        stage.now += 24
        assert (await operator.get("/api/session")).status == 401


async def test_there_are_100_sessions_at_most() -> None:
    async with staged() as stage:
        operator = await logged_in(stage)
        for number in range(sessions.MAX_SESSIONS):
            stage.now += 1
            if number == 50:
                assert (await operator.get("/api/session")).status == 200
            stage.dashboard.access.sessions.begin(cheap_hash())
        assert len(stage.dashboard.access.sessions) == sessions.MAX_SESSIONS
        assert (await operator.get("/api/session")).status == 200


async def test_sessions_of_another_version_are_left_out() -> None:
    async with staged() as stage:
        operator = await logged_in(stage)
        found = stage.dashboard.access.sessions
        found.take_over(b"another form")
        assert (await operator.get("/api/session")).status == 200
        assert operator.cookie.partition("=")[2].encode() not in found.as_bytes()
        found.take_over(found.as_bytes())
        assert (await operator.get("/api/session")).status == 200


async def test_a_new_password_ends_all_sessions() -> None:
    async with staged() as stage:
        operator = await logged_in(stage)
        new = msgspec.structs.replace(stage.daemon.settings.dashboard, password_hash=cheap_hash("another one"))
        stage.daemon.settings = msgspec.structs.replace(stage.daemon.settings, dashboard=new)
        assert (await operator.get("/api/session")).status == 401
        assert (await operator.log_in()).status == 401
        assert (await operator.log_in("another one")).status == 204


async def test_a_password_that_changes_meanwhile_begins_no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    async with staged() as stage:

        def is_password(password: str, text: str) -> bool:
            new = msgspec.structs.replace(stage.daemon.settings.dashboard, password_hash=cheap_hash("another one"))
            stage.daemon.settings = msgspec.structs.replace(stage.daemon.settings, dashboard=new)
            return True

        monkeypatch.setattr("soundpost.server.dashboard.login.is_password", is_password)
        assert (await (await stage.operator()).log_in()).status == 401
        assert len(stage.dashboard.access.sessions) == 0


async def test_an_address_may_try_five_times_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    async with staged() as stage:
        operator = await stage.operator()
        for _ in range(5):
            assert (await operator.log_in("wrong", x_forwarded_for="192.0.2.1")).status == 401
            stage.now += 1
        answer = await operator.log_in(x_forwarded_for="192.0.2.1")
        assert (answer.status, answer.headers["retry-after"]) == (429, "55")
        assert (await operator.log_in(x_forwarded_for="192.0.2.1")).status == 429
        assert caplog.text.count("too many attempts") == 1
        assert (await operator.log_in(x_forwarded_for="192.0.2.2")).status == 204
        stage.now += 55
        assert (await operator.log_in(x_forwarded_for="192.0.2.1")).status == 204


async def test_networks_of_ipv6_count_as_one_address() -> None:
    async with staged() as stage:
        operator = await stage.operator()
        for number in range(5):
            assert (await operator.log_in("wrong", x_forwarded_for=f"2001:db8::{number}")).status == 401
        assert (await operator.log_in("wrong", x_forwarded_for="2001:db8::ffff")).status == 429


async def test_all_together_may_try_thirty_times_a_minute() -> None:
    async with staged() as stage:
        operator = await stage.operator()
        for number in range(30):
            assert (await operator.log_in("wrong", x_forwarded_for=f"192.0.2.{number}")).status == 401
        assert (await operator.log_in(x_forwarded_for="192.0.2.99")).status == 429
        stage.now += 60
        assert (await operator.log_in(x_forwarded_for="192.0.2.99")).status == 204


@pytest.mark.parametrize(
    "host", ["evil.example", "ws.example.com.evil.example", "127.0.0.1.evil.example", "", "[::1", "a b"]
)
async def test_a_name_that_is_not_the_servers_is_refused(host: str) -> None:
    async with staged(server=ServerSettings(hostname="ws.example.com")) as stage:
        operator = await stage.operator()
        for path in ("/", "/api/session"):
            assert (await operator.get(path, host=host)).status == 403


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8090", "192.0.2.7", "[2001:db8::1]:8090", "localhost", "WS.example.com:443"]
)
async def test_addresses_and_the_configured_name_are_accepted(host: str) -> None:
    async with staged(server=ServerSettings(public_url="https://ws.example.com")) as stage:
        assert (await (await stage.operator()).get("/", host=host)).status == 200


async def test_a_name_of_its_own_takes_the_place_of_the_servers() -> None:
    async with staged(server=ServerSettings(hostname="ws.example.com"), hostname="ops.example.com") as stage:
        operator = await stage.operator()
        assert (await operator.get("/", host="ops.example.com")).status == 200
        assert (await operator.get("/", host="ws.example.com")).status == 403
        assert (await operator.log_in(origin="https://ops.example.com", host="127.0.0.1:8090")).status == 204


async def test_without_a_password_only_this_machine_is_served() -> None:
    async with staged(password_hash=None) as stage:
        operator = await stage.operator()
        session = (await operator.get("/api/session")).json()
        assert session["needs_password"] is False
        operator.csrf = session["csrf"]
        assert (await operator.send("POST", "/api/apps/1/users/terminate?user=ann")).status == 204
        assert (await operator.send("POST", "/api/apps/1/users/terminate?user=ann", x_csrf_token="")).status == 403
        assert (await operator.log_in()).status == 404
        for host in ("localhost:8090", "[::1]:8090", "[::1]"):
            assert (await operator.get("/api/session", host=host)).status == 200
        for headers in (
            {"host": "192.0.2.7"},
            {"host": "[2001:db8::1]:8090"},
            {"host": "127.0.0.1@evil.example"},
            {"host": "ws.example.com"},
            {"x_forwarded_for": "127.0.0.1"},
        ):
            answer = await operator.get("/api/session", **headers)
            assert (answer.status, "soundpost dashboard password" in answer.error) == (403, True)


@pytest.mark.parametrize("path", ["/api/session", "/api/live", "/api/tail?app=1"])
async def test_a_page_of_another_site_takes_no_stream_where_no_password_is_needed(path: str) -> None:
    async with staged(password_hash=None) as stage:
        operator = await stage.operator()
        for site in ("cross-site", "same-site"):
            assert (await operator.get(path, sec_fetch_site=site)).status == 403
        assert (await operator.get(path, origin="https://evil.example")).status == 403
        assert (await operator.get("/", sec_fetch_site="cross-site")).status == 200


async def test_every_answer_forbids_what_browsers_need_not_do() -> None:
    async with staged() as stage:
        operator = await stage.operator()
        for path in ("/", "/dashboard.js", "/api/session", "/nowhere", "/api/nowhere"):
            headers = (await operator.get(path)).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert (headers["x-frame-options"], headers["x-content-type-options"]) == ("DENY", "nosniff")


@pytest.mark.parametrize(
    "path",
    [
        "/../dashboard.py",
        "/..%2fdashboard.py",
        "/%2e%2e/dashboard.py",
        "//etc/passwd",
        "/./index.html",
        "/index.html%00.js",
    ],
)
async def test_no_path_leads_out_of_the_folder_of_the_page(path: str) -> None:
    async with staged() as stage:
        answer = await (await stage.operator()).get(path)
        assert (answer.status, answer.headers["content-type"]) == (404, "application/json")


async def test_names_are_json_and_never_a_page() -> None:
    evil = "%3Cscript%3Ealert(1)%3C%2Fscript%3E"
    async with staged() as stage:
        operator = await logged_in(stage)
        answer = await operator.send(
            "POST", "/api/apps/1/events", b'{"channels":["<script>alert(1)</script>"],"name":"<b>","data":"</script>"}'
        )
        assert answer.headers["content-type"] == "application/json"
        for path in (f"/{evil}", f"/api/apps/{evil}/webhooks", f"/api/{evil}"):
            answer = await operator.get(path)
            assert (answer.status, answer.headers["content-type"]) == (404, "application/json")


async def test_what_operators_do_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "soundpost.dashboard")
    async with staged() as stage:
        operator = await logged_in(stage)
        await operator.get("/api/session")
        await operator.send("POST", "/api/apps/1/users/terminate?user=ann", x_forwarded_for="192.0.2.1")
        await operator.send("POST", "/api/apps/1/users/terminate?user=ben", x_csrf_token="")
        await operator.log_in("wrong horse")
    assert [message for message in caplog.messages if "the dashboard is at" not in message] == [
        "an operator from 127.0.0.1: POST login",
        "an operator from 192.0.2.1: POST apps/1/users/terminate?user=ann",
        "a login to the dashboard with a wrong password, from 127.0.0.1",
    ]


async def test_no_secret_is_in_an_answer_or_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    async with staged() as stage:
        operator = await logged_in(stage)
        await operator.log_in("wrong horse")
        answers = [await operator.get(path) for path in READING]
        shown = b"".join(answer.body for answer in answers).decode() + caplog.text
        for secret in (PASSWORD, "wrong horse", cheap_hash(), "app-secret", operator.cookie.partition("=")[2]):
            assert secret not in shown


async def test_a_hash_that_would_take_all_memory_is_refused() -> None:
    salt_and_hash = cheap_hash().split(":", 4)[4]
    for parameters in ("1048576:32:1", "17:8:1", "16:0:1", "16:1:17", "1:1:1", "131072:1:1"):
        with pytest.raises(StartError, match="parameters that cannot be used"):
            async with staged(f"scrypt:{parameters}:{salt_and_hash}"):
                pass


async def test_a_hash_that_is_cut_off_is_refused() -> None:
    for text in (cheap_hash()[:-2], cheap_hash().replace("2FsdA:", ":")):
        with pytest.raises(StartError, match="is incomplete"):
            async with staged(text):
                pass
