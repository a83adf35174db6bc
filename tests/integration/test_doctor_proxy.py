"""Faults of what stands in front of the server, set up for real: each is named rightly."""

from __future__ import annotations

import os
import re

import msgspec

from soundpost.tools.doctor import CheckPlan
from soundpost.tools.doctor.base_url import BaseUrl
from support.doctor_stage import (
    FORWARDED,
    PAGE,
    SCENES,
    Scene,
    Stage,
    assert_named,
    both,
    examined,
    place,
    plan,
    scene,
    scenes_of,
    silent,
    trusted_stage,
)
from support.harness import DEFAULT_APP

_HEADERS = "proxy_set_header Host $host; proxy_set_header Upgrade $http_upgrade;"
_CHALLENGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>_cf_chl_opt</body></html>"


__all__ = ["trusted_stage"]


def answer(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@scene("upgrade-header-lost", "an Nginx without proxy_set_header Upgrade and Connection")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.nginx("location / { proxy_pass http://UPSTREAM; proxy_http_version 1.1; }")))


@scene("connection-header-lost", "an Nginx that forwards Upgrade, but not Connection")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.nginx(f"location / {{ proxy_pass http://UPSTREAM; proxy_http_version 1.1; {_HEADERS} }}")))


@scene("proxy-http-1.0", "an Nginx with proxy_pass alone")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.nginx("location / { proxy_pass http://UPSTREAM; }")))


@scene("proxy-http-1.0", "an Nginx with both headers, but without proxy_http_version 1.1")
def _(on: Stage) -> CheckPlan:
    headers = f"{_HEADERS} proxy_set_header Connection upgrade;"
    return plan(place(on.nginx(f"location / {{ proxy_pass http://UPSTREAM; {headers} }}")))


@scene("path-prefix-wrong", "an Nginx that forwards /ws/ only, and a browser without wsPath")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.nginx(f"location /ws/ {{ proxy_pass http://UPSTREAM/; {FORWARDED} }}")))


@scene("path-prefix-wrong", "a server with the path /realtime, behind an Nginx that forwards all, asked without it")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.proxy(upstream=on.start(path="/realtime").port)))


@scene("path-prefix-wrong", "a browser with wsPath /app, so that it asks for /app/app/KEY")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.server.port, path="/app"))


@scene("path-changed", "an Nginx with a slash behind the port in proxy_pass")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.nginx(f"location /app/ {{ proxy_pass http://UPSTREAM/; {FORWARDED} }}")))


@scene("path-not-forwarded", "an Nginx without a location for /app (its 404)")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.nginx("location / { root /nonexistent; }")))


@scene("answered-by-web-page", "an Nginx that serves a web application's page for every path")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.nginx(f"location / {{ {PAGE} }}")))


@scene("redirect-to-https", "an Nginx that sends http to https")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.nginx("return 301 https://$host$request_uri;")))


@scene("redirected", "an Nginx that sends every name to www.example.com")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.nginx("return 302 http://www.example.com$request_uri;")))


@scene("login-required", "an Nginx with auth_basic")
def _(on: Stage) -> CheckPlan:
    users = on.file("users", "")
    return plan(place(on.nginx(f'auth_basic "Staging"; auth_basic_user_file {users}; location / {{ }}')))


@scene("forbidden", "an Nginx with 'deny all'")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.nginx("location / { deny all; }")))


@scene("rate-limited", "an Nginx with limit_req, one request a minute")
def _(on: Stage) -> CheckPlan:
    location = f"location / {{ limit_req zone=few; proxy_pass http://UPSTREAM; {FORWARDED} }}"
    port = on.nginx(f"limit_req_status 429; {location}")
    examined(plan(place(port)))
    return plan(place(port))


@scene("bad-gateway", "an Nginx whose server does not run")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.proxy(upstream=on.closed_port())))


@scene("proxy-wrong-upstream", "an Nginx with the wrong port in proxy_pass, the server runs on another")
def _(on: Stage) -> CheckPlan:
    return both(place(on.proxy(upstream=on.closed_port())), place(on.server.port))


@scene("proxy-wrong-upstream", "an Nginx with proxy_pass https:// to a server without TLS")
def _(on: Stage) -> CheckPlan:
    port = on.nginx(f"location / {{ proxy_pass https://UPSTREAM; {FORWARDED} }}")
    return both(place(port), place(on.server.port))


@scene("unix-socket-closed", "a Unix socket in a folder with mode 700, and an Nginx of another user")
def _(on: Stage) -> CheckPlan:
    folder = on.folder / "run"
    folder.mkdir()
    path = folder / "soundpost.sock"
    on.start(unix_socket=str(path))
    folder.chmod(0o700)
    for parent in folder.parents:
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    on.file("nginx/nginx.conf", "user nobody;\n")
    upstream = f"unix:{path}" if os.geteuid() == 0 else f"127.0.0.1:{on.closed_port()}"  # not root: one user for all
    proxy = on.nginx(f"location / {{ proxy_pass http://{upstream}; {FORWARDED} }}")
    inside = BaseUrl("http", "localhost", 80, unix_socket=str(path))
    return plan(place(proxy), inside=inside, nginx=on.folder / "nginx")


@scene("path-not-forwarded", "the file of `soundpost deploy nginx`, and a server that has another path since")
def _(on: Stage) -> CheckPlan:
    text = "Nginx: Soundpost is at /app/ and /apps/ of this server.\\n"
    other = f'default_type text/plain; return 404 "{text}";'
    server = on.start(path="/realtime")
    locations = f"location /app/ {{ proxy_pass http://UPSTREAM; {FORWARDED} }} location / {{ {other} }}"
    return plan(place(on.nginx(locations, upstream=server.port), path="/realtime"))


@scene("proxy-http-to-tls-server", "an Nginx with proxy_pass http:// to a server with a certificate of its own")
def _(on: Stage) -> CheckPlan:
    files = on.certificate()
    own = on.start(tls={"certificate": str(files.chain), "key": str(files.key)})
    return both(place(on.proxy(tls=files, upstream=own.port), "https"), place(own.port, "https"))


@scene("proxy-http-to-tls-server", "the same Nginx without TLS of its own")
def _(on: Stage) -> CheckPlan:
    files = on.certificate()
    own = on.start(tls={"certificate": str(files.chain), "key": str(files.key)})
    return plan(place(on.proxy(upstream=own.port)))


@scene("service-unavailable", "an Nginx that answers 503")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.nginx("return 503;")))


@scene("gateway-timeout", "an Nginx whose server is behind a firewall that drops packets")
def _(on: Stage) -> CheckPlan:
    location = f"location / {{ proxy_connect_timeout 1s; proxy_pass http://UPSTREAM; {FORWARDED} }}"
    return plan(place(on.nginx(location, upstream=on.dropping_port())))


@scene("cloudflare-challenge", "a Cloudflare challenge page")
def _(on: Stage) -> CheckPlan:
    headers = ("Server: cloudflare", "CF-RAY: 8f0-FRA", "cf-mitigated: challenge", "Content-Type: text/html")
    return plan(place(on.http(answer("403 Forbidden", _CHALLENGE, *headers))))


@scene("cloudflare-challenge", "a Cloudflare challenge page, met by the backend")
def _(on: Stage) -> CheckPlan:
    port = on.http(answer("503 Service Unavailable", _CHALLENGE, "Server: cloudflare", "Content-Type: text/html"))
    return both(place(on.server.port), place(port))


@scene("cloudflare-error", "Cloudflare's 521")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.http(answer("521 ", b"error code: 521", "Server: cloudflare", "CF-RAY: 8f0-FRA"))))


@scene("upgrade-ignored", "a JSON API that answers 200 to every path")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.http(answer("200 OK", b'{"status":"up"}', "Content-Type: application/json"))))


@scene("upgrade-refused", "an Nginx that answers 418")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.nginx("return 418 teapot;")))


@scene("upgrade-invalid", "a proxy that answers 101 without the server's signature")
def _(on: Stage) -> CheckPlan:
    head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    return plan(place(on.http(head.encode())))


@scene("proxy-idle-timeout", "an Nginx with proxy_read_timeout shorter than the time between pings (--slow)")
def _(on: Stage) -> CheckPlan:
    app = msgspec.structs.replace(DEFAULT_APP, activity_timeout=4)
    forwarded = FORWARDED.replace("120s", "1s")
    port = on.nginx(f"location / {{ proxy_pass http://UPSTREAM; {forwarded} }}", upstream=on.start(app=app).port)
    return plan(place(port), slow=True)


@scenes_of(__name__)
def test_a_fault_is_named(on: Stage, set_up: Scene) -> None:
    assert_named(examined(set_up.build(on)), set_up.code)


def test_the_right_prefix_is_told(on: Stage) -> None:
    port = on.proxy(upstream=on.start(path="/broadcast/v1").port)
    (step,) = examined(plan(place(port))).faults
    assert step.message == "the WebSocket is not at /app/app-key, but at /broadcast/v1/app/app-key"
    assert "wsPath: '/broadcast/v1'" in (step.fix or "")


def test_a_redirect_is_told_by_its_own_port_and_without_the_signed_query(on: Stage) -> None:
    port = on.nginx("return 301 https://localhost:8443$request_uri;")
    (step,) = examined(both(place(port))).faults
    assert "(https://localhost:8443/app/app-key)" in step.message
    assert step.fix == "Use the https address with port 8443 at once."
    backend = examined(both(place(on.server.port), place(port)))
    (step,) = backend.faults
    assert f"redirects to https://localhost:8443/apps/{DEFAULT_APP.id}/channels:" in step.message
    assert "auth_signature" not in repr(backend.steps)


def test_the_line_in_nginx_s_files_is_told(on: Stage) -> None:
    wrong = on.closed_port()
    on.file("nginx/conf.d/soundpost.conf", f"upstream soundpost {{\n    server 127.0.0.1:{wrong};\n}}\n")
    wanted = both(place(on.proxy(upstream=wrong)), place(on.server.port), nginx=on.folder / "nginx")
    (step,) = examined(wanted).faults
    assert step.code == "proxy-wrong-upstream"
    assert f"'server localhost:{on.server.port};' in the block 'upstream soundpost'" in (step.fix or "")
    told = f"{on.folder}/nginx/conf.d/soundpost.conf, line 2: 'server 127.0.0.1:{wrong};'"
    assert (step.fix or "").endswith(f"Another address is in {told}.")


def test_a_server_behind_the_proxy_that_hangs_is_a_time_out(on: Stage) -> None:
    hangs = on.raw(silent)
    forwarded = FORWARDED.replace("120s", "1s")
    port = on.nginx(f"location / {{ proxy_pass http://UPSTREAM; {forwarded} }}", upstream=hangs)
    assert_named(examined(plan(place(port))), "gateway-timeout")


def test_a_cut_connection_tells_after_how_long(on: Stage) -> None:
    app = msgspec.structs.replace(DEFAULT_APP, activity_timeout=4)
    forwarded = FORWARDED.replace("120s", "2s")
    port = on.nginx(f"location / {{ proxy_pass http://UPSTREAM; {forwarded} }}", upstream=on.start(app=app).port)
    (step,) = examined(plan(place(port), slow=True)).faults
    assert re.match("an idle connection was cut after [1-9][0-9]* s", step.message)


def test_a_connection_that_lives_until_the_ping_is_well(on: Stage) -> None:
    app = msgspec.structs.replace(DEFAULT_APP, activity_timeout=2)
    examination = examined(plan(place(on.proxy(upstream=on.start(app=app).port)), slow=True))
    assert not examination.faults
    assert "lived through" in examination.steps[-1].message  # until the server's ping, or the one that is due then


def test_a_closed_socket_names_folder_user_and_command(on: Stage) -> None:
    (scene,) = [each for each in SCENES if each.code == "unix-socket-closed"]
    (step,) = examined(scene.build(on)).faults
    assert "the user nobody, who may not reach" in step.message
    assert f"{on.folder}/run has the mode 700" in step.message
    assert f"'chmod o+x {on.folder}/run'" in (step.fix or "")
    assert "/var/log/nginx/error.log" in (step.fix or "")


def test_a_wrong_upstream_of_a_unix_socket_is_corrected_by_its_path(on: Stage) -> None:
    path = on.folder / "soundpost.sock"
    on.start(unix_socket=str(path))
    for parent in path.parents:
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    inside = BaseUrl("http", "localhost", 80, unix_socket=str(path))
    (step,) = examined(plan(place(on.proxy(upstream=on.closed_port())), inside=inside)).faults
    assert step.code == "proxy-wrong-upstream"
    assert f"'proxy_pass http://unix:{path};'" in (step.fix or "")
    assert f"'server unix:{path};'" in (step.fix or "")


def test_our_own_file_for_another_path_is_written_again(on: Stage) -> None:
    scene = next(each for each in SCENES if "deploy nginx" in each.set_up)
    (step,) = examined(scene.build(on)).faults
    assert "'soundpost deploy nginx --write --force && nginx -t && systemctl reload nginx'" in (step.fix or "")
