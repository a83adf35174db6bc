"""Where the playground is, and where it is not."""

from __future__ import annotations

from harness import http_request, running_server


def test_with_a_slash_at_its_end_it_leads_to_the_page() -> None:
    with running_server(playground=True, path="/ws") as server:
        answer = http_request(server.port, b"GET /ws/playground/ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (answer.status, answer.headers["location"]) == (308, "/ws/playground")
        page = http_request(server.port, b"GET /ws/playground HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert server.app().secret.encode() not in page.body


def test_switched_off_there_is_nothing() -> None:
    with running_server() as server:
        assert http_request(server.port, b"GET /playground HTTP/1.1\r\nHost: x\r\n\r\n").status == 404
