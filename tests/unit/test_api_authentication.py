"""Authentication of API requests, with an injected clock."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from conformance.protocol.stage import APP, Stage, signature
from soundpost.server.api import authentication
from soundpost.server.api.authentication import authenticate
from soundpost.server.api.requests import ApiError, Request
from soundpost.wire.signatures import md5

NOW = 1_700_000_000
PATH = "/apps/1/events"
EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"


def signed(
    path: str = PATH,
    *,
    method: str = "POST",
    body: bytes = b"{}",
    sign_path: str | None = None,
    secret: str = APP.secret,
    drop: str = "",
    **changes: str | None,
) -> Request:
    """A request as SDKs sign it, with changed parameters (None: left out) signed as well; ``drop`` is not sent."""
    given: dict[str, str | None] = {"auth_key": APP.key, "auth_timestamp": str(NOW), "auth_version": "1.0"}
    if body:
        given["body_md5"] = md5(body)
    pairs = {name: value for name, value in (given | changes).items() if value is not None}
    query = "&".join(f"{name}={pairs[name]}" for name in sorted(pairs))
    pairs.setdefault("auth_signature", signature(secret, f"{method}\n{sign_path or path}\n{query}"))
    pairs.pop(drop, None)
    target = f"{path}?{urlencode(pairs)}"
    return Request(method.encode(), target.encode(), "1.1", [], body, True)


def check(request: Request, prefix: str = "", now: float = NOW, **options: Any) -> dict[str, str]:
    return authenticate(request, Stage(**options).app, prefix, now)


def refusal(request: Request, prefix: str = "", now: float = NOW, **options: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        check(request, prefix, now, **options)
    return caught.value


def test_a_signed_request_gives_its_parameters() -> None:
    assert check(signed(info="user_count"))["info"] == "user_count"


@pytest.mark.parametrize("name", ["auth_key", "auth_timestamp", "auth_version", "auth_signature"])
def test_each_parameter_is_needed(name: str) -> None:
    error = refusal(signed(drop=name))

    assert error.status == 401
    assert f"Missing parameter: {name}" in error.message


def test_the_key_must_be_the_apps() -> None:
    error = refusal(signed(auth_key="other-key"))

    assert (error.status, "other-key" in error.message) == (401, True)


@pytest.mark.parametrize("version", ["", "1", "1.1", "2.0"])
def test_the_version_must_be_known(version: str) -> None:
    assert refusal(signed(auth_version=version)).status == 401


def test_a_wrong_secret_is_told_what_should_have_been_signed() -> None:
    error = refusal(signed(secret="wrong"))

    assert error.status == 401
    assert 'HmacSHA256Hex("POST\\n/apps/1/events\\nauth_key=app-key&auth_timestamp=1700000000' in error.message
    assert APP.secret not in error.message


@pytest.mark.parametrize(
    "changed",
    [
        lambda r: Request(b"GET", f"{r.path}?{r.query}".encode(), "1.1", [], r.body, True),
        lambda r: Request(b"POST", f"/apps/1/batch_events?{r.query}".encode(), "1.1", [], r.body, True),
        lambda r: Request(b"POST", f"{r.path}?{r.query}&info=cache".encode(), "1.1", [], r.body, True),
        lambda r: Request(b"POST", f"{r.path}?{r.query}&auth_timestamp={NOW + 1}".encode(), "1.1", [], r.body, True),
        lambda r: Request(b"POST", f"{r.path}?{r.query}".encode(), "1.1", [], b'{"x":1}', True),
        lambda r: Request(b"POST", f"{r.path}?{r.query}".encode(), "1.1", [], b"", True),
    ],
)
def test_what_is_changed_after_signing_is_noticed(changed: object) -> None:
    assert callable(changed)

    assert refusal(changed(signed())).status == 401


@pytest.mark.parametrize("skew", [-600, -1, 0, 1, 600])
def test_timestamps_within_ten_minutes_are_taken(skew: int) -> None:
    check(signed(), now=NOW - skew)


@pytest.mark.parametrize("skew", [-100_000_000, -601, 601, 100_000_000])
def test_others_are_expired(skew: int) -> None:
    error = refusal(signed(), now=NOW - skew)

    assert error.status == 401
    assert error.message.startswith(f"Timestamp expired: Given timestamp ({NOW}) not within 600s of server time")


@pytest.mark.parametrize("timestamp", ["", "soon", "-1", "1e9", "1700000000.5", "٣", "9" * 400])
def test_a_timestamp_is_a_number_of_seconds(timestamp: str) -> None:
    error = refusal(signed(auth_timestamp=timestamp))

    assert error.status == 401
    assert "auth_timestamp" in error.message


def test_a_body_must_be_signed() -> None:
    error = refusal(signed(body_md5=None))

    assert (error.status, "body_md5" in error.message) == (401, True)


def test_a_body_must_be_the_signed_one() -> None:
    error = refusal(signed(body_md5=md5(b"other")))

    assert error.status == 401
    assert md5(b"{}") in error.message


@pytest.mark.parametrize("digest", [None, EMPTY_MD5, EMPTY_MD5.upper()])
def test_the_digest_of_an_empty_body_may_be_sent_or_not(digest: str | None) -> None:
    check(signed(method="GET", body=b"", body_md5=digest))


def test_a_wrong_digest_of_an_empty_body_is_wrong() -> None:
    assert refusal(signed(method="GET", body=b"", body_md5=md5(b"x"))).status == 401


@pytest.mark.parametrize("sign_path", ["/apps/1/events", "/ws/apps/1/events"])
def test_a_path_prefix_may_be_signed_or_not(sign_path: str) -> None:
    check(signed("/ws/apps/1/events", sign_path=sign_path), prefix="/ws")


def test_another_prefix_may_not() -> None:
    assert refusal(signed("/ws/apps/1/events", sign_path="/xx/apps/1/events"), prefix="/ws").status == 401
    assert refusal(signed("/ws/apps/1/events", sign_path="/apps/1/events"), prefix="").status == 401


@pytest.mark.parametrize("sign_path", ["/apps/1/channels/a%3Bb", "/apps/1/channels/a;b"])
def test_an_encoded_path_may_be_signed_as_sent_or_as_meant(sign_path: str) -> None:
    check(signed("/apps/1/channels/a%3Bb", sign_path=sign_path, method="GET", body=b""))


def test_values_are_signed_as_meant_not_as_encoded() -> None:
    assert check(signed(filter_by_prefix="a b&c=d%"))["filter_by_prefix"] == "a b&c=d%"


def test_a_disabled_app_is_told_so_only_if_it_knows_its_secret() -> None:
    assert refusal(signed(), enabled=False).status == 403
    assert refusal(signed(secret="wrong"), enabled=False).status == 401


@pytest.mark.parametrize("sent", ["", "0" * 64, "ä", "x" * 5000])
def test_an_odd_signature_is_just_wrong(sent: str) -> None:
    error = refusal(signed(auth_signature=sent))

    assert error.status == 401
    assert len(error.message) < 1000


@pytest.mark.parametrize("values", [["b", "a"], ["a", "b"], ["2", "10", "1"]])
def test_repeated_parameters_are_signed_as_sent_and_cannot_change_places(values: list[str]) -> None:
    """As Pusher's SDK in Go does; sorted by value too, somebody else could have made another request of it."""
    sent = [("auth_key", APP.key), ("auth_timestamp", str(NOW)), ("auth_version", "1.0")]
    sent += [("info", value) for value in values]
    query = "&".join(f"{name}={value}" for name, value in sent)

    def request(order: list[tuple[str, str]]) -> Request:
        made = [*order, ("auth_signature", signature(APP.secret, f"GET\n{PATH}\n{query}"))]
        return Request(b"GET", f"{PATH}?{urlencode(made)}".encode(), "1.1", [], b"", True)

    assert check(request(sent))["info"] == values[-1]
    assert refusal(request([*sent[:3], *reversed(sent[3:])])).status == 401


SECRET_SENT = "the-secret-in-a-wrong-place"


class KnownClient:
    def client_ip(self, request: Request) -> str:
        return "10.0.0.7"


@pytest.mark.parametrize(
    ("request_", "options", "reason"),
    [
        (signed(auth_key=SECRET_SENT), {}, "is not the key of app 1"),
        (signed(auth_key=f"a'{SECRET_SENT}'\n"), {}, "is not the key of app 1"),
        (signed(secret=SECRET_SENT), {}, "sent HmacSHA256Hex(…, your_secret_key), but you sent …. Either the secret"),
        (signed(auth_signature=SECRET_SENT), {}, "Invalid signature"),
        (signed(auth_version=SECRET_SENT), {}, "is unknown: use 1.0"),
        (signed(auth_timestamp=SECRET_SENT), {}, "is not a number of seconds"),
        (signed(auth_timestamp=str(NOW - 601)), {}, "Timestamp expired"),
        (signed(body_md5="0" * 32), {}, "but the body that arrived has"),
        (signed(drop="auth_key"), {}, "Missing parameter: auth_key"),
        (signed(), {"enabled": False}, "App 1 is disabled"),
    ],
)
def test_a_refusal_is_logged_once_a_minute_without_what_was_sent(
    request_: Request,
    options: dict[str, Any],
    reason: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr(authentication._log_throttle, "_clock", lambda: clock[0])
    monkeypatch.setattr(authentication._log_throttle, "_kinds", {})

    request_.client = KnownClient()
    for seconds in (0, 1, 59):
        clock[0] = seconds
        error = refusal(request_, **options)

    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith(f"app 1: refused POST '{PATH}' with {error.status}, from 10.0.0.7: ")
    assert reason in record.getMessage()
    for hidden in (
        SECRET_SENT,
        APP.secret,
        request_.query,
        dict(request_.parameters()).get("auth_signature", "-none-"),
    ):
        assert hidden not in record.getMessage()
    assert "\n" not in record.getMessage()
    clock[0] = 60
    refusal(request_, **options)
    assert len(caplog.records) == 2
