"""Nginx's files on this machine: the lines that say where Nginx finds the server behind it."""

from __future__ import annotations

from pathlib import Path

from soundpost.tools.doctor.nginx_files import lines_about

OURS = """\
upstream soundpost {
    zone soundpost 128k;
    # server 127.0.0.1:9999;
    server 127.0.0.1:8081;  # the first
    server 127.0.0.1:8082 max_fails=1;
    keepalive 32;
}
server {
    listen 443 ssl;
    server_name ws.example.com;
    location /app/ { proxy_pass http://soundpost; }
}
"""
SHOP = """\
server {
    server_name shop.example.com www.shop.example.com;
    location / {
        proxy_pass http://127.0.0.1:8000;
    }
    location /app/ { proxy_pass https://unix:/run/s.sock; }
}
"""


def found(folder: Path, name: str) -> list[tuple[str, int, str]]:
    return [(line.file.name, line.number, line.address) for line in lines_about(name, folder)]


def files(folder: Path) -> Path:
    for name, text in {"conf.d/soundpost.conf": OURS, "sites-enabled/shop": SHOP}.items():
        (folder / name).parent.mkdir()
        (folder / name).write_text(text)
    return folder


def test_servers_of_our_own_upstream(tmp_path: Path) -> None:
    assert found(files(tmp_path), "ws.example.com") == [
        ("soundpost.conf", 4, "127.0.0.1:8081"),
        ("soundpost.conf", 5, "127.0.0.1:8082"),
    ]
    (first, *_) = lines_about("ws.example.com", tmp_path)
    assert first.text == "server 127.0.0.1:8081;"


def test_addresses_of_proxy_pass(tmp_path: Path) -> None:
    assert ("shop", 4, "127.0.0.1:8000") in found(files(tmp_path), "shop.example.com")
    assert ("shop", 4, "127.0.0.1:8000") in found(tmp_path, "www.shop.example.com")


def test_other_sites_are_left_out(tmp_path: Path) -> None:
    assert {file for file, *_ in found(files(tmp_path), "example.com")} == {"soundpost.conf"}


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert found(tmp_path / "nowhere", "ws.example.com") == []


def test_an_upstream_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text("upstream soundpost { server unix:/run/s.sock; }\nserver { listen 80; }\n")
    assert found(tmp_path, "x") == [("nginx.conf", 1, "unix:/run/s.sock")]
