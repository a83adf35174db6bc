"""The drop-in for PyPI's ``pusher``: the same calls to a real server by both, and what is better in ours."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pusher as pypi
import pytest

from soundpost.core.app_settings import AppSettings
from soundpost.errors import BroadcastError, ConfigurationError, PayloadError
from soundpost.pusher import AsyncPusher, Pusher, PusherBadAuth, PusherBadRequest, PusherBadStatus, PusherError
from soundpost.wire.frames import CLOSE, parse_close
from soundpost.wire.signatures import sign
from support.harness import DEFAULT_APP, RunningServer, running_server

MASTER_KEY = base64.b64encode(bytes(range(32))).decode()
NAMES = ["trigger", "trigger_batch", "send_to_user", "channels_info", "channel_info", "users_info", "authenticate"]
NAMES += ["authenticate_user", "terminate_user_connections", "validate_webhook", "from_url", "from_env", "__init__"]


def arguments(server: RunningServer, app: AppSettings = DEFAULT_APP, **more: Any) -> dict[str, Any]:
    return {
        "app_id": app.id,
        "key": app.key,
        "secret": app.secret,
        "host": "127.0.0.1",
        "port": server.port,
        "ssl": False,
        "encryption_master_key_base64": MASTER_KEY,
        **more,
    }


class Waiting:
    """An AsyncPusher whose methods are called as those of the others."""

    def __init__(self, client: AsyncPusher, loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*args: Any, **options: Any) -> Any:
            result = method(*args, **options)
            if not inspect.isawaitable(result):
                return result
            return asyncio.run_coroutine_threadsafe(_wait(result), self._loop).result(20)

        return call


async def _wait(awaitable: Any) -> Any:
    return await awaitable


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop
    asyncio.run_coroutine_threadsafe(loop.shutdown_asyncgens(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module", params=["pypi", "ours", "ours, asyncio"])
def client(request: pytest.FixtureRequest, server: RunningServer, loop: asyncio.AbstractEventLoop) -> Any:
    if request.param == "pypi":
        return pypi.Pusher(**arguments(server))
    if request.param == "ours":
        return Pusher(**arguments(server))
    return Waiting(AsyncPusher(**arguments(server)), loop)


@pytest.fixture(scope="module")
def ours(server: RunningServer) -> Iterator[Pusher]:
    client = Pusher(**arguments(server))
    yield client
    client.close()


# The same calls by both


def test_an_event_goes_to_channels_but_not_to_its_sender(server: RunningServer, client: Any) -> None:
    with server.connect() as ann, server.connect() as bob:
        for each in (ann, bob):
            each.subscribe("a")
        assert client.trigger(["a", "b"], "Placed", {"id": 7, "name": "Ünal"}, ann.socket_id) == {}
        assert client.trigger("a", "fence", "text") == {}
        event = bob.read_event()
        assert json.loads(event["data"]) == {"id": 7, "name": "Ünal"}
        assert bob.read_event()["data"] == "text"
        assert ann.read_event()["event"] == "fence"


def test_a_batch_arrives_in_order_and_is_answered(server: RunningServer, client: Any) -> None:
    batch = [{"channel": "batch", "name": f"n{number}", "data": {"n": number}} for number in range(3)]
    with server.connect() as ann:
        ann.subscribe("batch")
        assert client.trigger_batch(batch) == {}
        assert [json.loads(ann.read_event()["data"])["n"] for _ in range(3)] == [0, 1, 2]
        info = [{"channel": "batch", "name": "x", "data": "{}", "info": "subscription_count"}]
        assert client.trigger_batch(info, already_encoded=True) == {"batch": [{"subscription_count": 1}]}


@pytest.mark.parametrize("already_encoded", [False, True])
def test_an_event_of_a_batch_with_an_empty_socket_id_goes_to_all(
    server: RunningServer, ours: Pusher, already_encoded: bool
) -> None:
    with server.connect() as ann:
        ann.subscribe("batch")
        ours.trigger_batch([{"channel": "batch", "name": "x", "data": "{}", "socket_id": ""}], already_encoded)
        assert ann.read_event()["event"] == "x"


def test_channels_and_users_are_queried(server: RunningServer, client: Any) -> None:
    signed = client.authenticate("presence-room", "1.2", {"user_id": "7"})
    assert signed["channel_data"] == '{"user_id": "7"}'
    with server.connect() as ann:
        member = client.authenticate("presence-room", ann.socket_id, {"user_id": "7"})
        ann.send_event("pusher:subscribe", {"channel": "presence-room", **member})
        assert ann.read_event()["event"] == "pusher_internal:subscription_succeeded"
        assert client.channels_info("presence-", ["user_count"]) == {"channels": {"presence-room": {"user_count": 1}}}
        assert client.channel_info("presence-room", ["user_count", "subscription_count"]) == {
            "occupied": True,
            "user_count": 1,
            "subscription_count": 1,
        }
        assert client.users_info("presence-room") == {"users": [{"id": "7"}]}
        assert "presence-room" in client.channels_info()["channels"]


def test_a_user_is_sent_to_and_disconnected(server: RunningServer, client: Any) -> None:
    with server.connect() as ann:
        ann.send_event("pusher:signin", client.authenticate_user(ann.socket_id, {"id": "7", "name": "Ann"}))
        assert ann.read_event()["event"] == "pusher:signin_success"
        ann.subscribe("#server-to-user-7")
        assert client.send_to_user("7", "hello", {"a": 1}) == {}
        event = ann.read_event()
        assert (event["event"], event["channel"]) == ("hello", "#server-to-user-7")
        assert json.loads(event["data"]) == {"a": 1}
        assert client.terminate_user_connections("7") == {}
        assert ann.read_event()["data"]["code"] == 4009
        opcode, payload = ann.read_frame()
        assert (opcode, parse_close(payload)[0]) == (CLOSE, 4009)


def test_what_is_signed_is_the_same(server: RunningServer, ours: Pusher) -> None:
    theirs = pypi.Pusher(**arguments(server))
    user = {"id": "7", "user_info": {"name": "Ünal"}, "watchlist": ["8"]}
    assert ours.authenticate("private-x", "1.2") == theirs.authenticate("private-x", "1.2")
    member = {"user_id": "7", "user_info": {"name": "Ünal"}}
    assert ours.authenticate("presence-x", "1.2", member) == theirs.authenticate("presence-x", "1.2", member)
    assert ours.authenticate_user("1.2", user) == theirs.authenticate_user("1.2", user)


def test_dates_are_signed_as_events_have_them(ours: Pusher) -> None:
    born = datetime(2001, 2, 3, tzinfo=UTC).date()
    signed = ours.authenticate("presence-x", "1.2", {"user_id": "7", "user_info": {"born": born}})
    assert signed["channel_data"] == '{"user_id": "7", "user_info": {"born": "2001-02-03"}}'
    assert ours.authenticate_user("1.2", {"id": "7", "born": born})["user_data"] == '{"id": "7", "born": "2001-02-03"}'
    with pytest.raises(PayloadError, match=r"the member of presence-x: user_info\.of: builtins\.object"):
        ours.authenticate("presence-x", "1.2", {"user_id": "7", "user_info": {"of": object()}})


def test_a_number_that_json_does_not_have_is_not_signed(ours: Pusher) -> None:
    member = {"user_id": "7", "user_info": {"score": float("nan")}}
    with pytest.raises(ValueError, match="JSON compliant"):
        ours.authenticate("presence-x", "1.2", member)
    with pytest.raises(ValueError, match="JSON compliant"):
        ours.authenticate_user("1.2", {"id": "7", "score": float("inf")})


@pytest.mark.parametrize("sent", ["9" * 500, "NaN", "Infinity"])
def test_a_webhook_whose_time_is_no_usual_number_is_refused(ours: Pusher, sent: str) -> None:
    body = f'{{"time_ms": {sent}, "events": []}}'
    assert ours.validate_webhook("app-key", sign("app-secret", body), body) is None


def test_a_webhook_is_taken_from_the_server_only(client: Any) -> None:
    body = json.dumps({"time_ms": time.time() * 1000, "events": [{"name": "channel_occupied"}]})
    assert client.validate_webhook("app-key", sign("app-secret", body), body)["events"][0]["name"] == "channel_occupied"
    assert client.validate_webhook("app-key", sign("app-secret", body), body.encode()) is not None
    old = json.dumps({"time_ms": (time.time() - 400) * 1000})
    for key, signature, text in (
        ("other-key", sign("app-secret", body), body),
        ("app-key", sign("other-secret", body), body),
        ("app-key", sign("app-secret", old), old),
        ("app-key", sign("app-secret", "no json"), "no json"),
        ("app-key", sign("app-secret", "{}"), "{}"),
    ):
        assert client.validate_webhook(key, signature, text) is None


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda client: client.trigger("or ders", "x", {}), ValueError),
        (lambda client: client.trigger("x" * 201, "x", {}), ValueError),
        (lambda client: client.trigger(["a"] * 101, "x", {}), ValueError),
        (lambda client: client.trigger("a", "x" * 201, {}), ValueError),
        (lambda client: client.trigger("a", 7, {}), TypeError),
        (lambda client: client.trigger("a", "x", {}, "no socket"), ValueError),
        (lambda client: client.trigger(["a", "private-encrypted-b"], "x", {}), ValueError),
        (lambda client: client.trigger_batch([{"channel": "or ders", "name": "x", "data": {}}]), ValueError),
        (lambda client: client.send_to_user("", "x", {}), ValueError),
        (lambda client: client.authenticate("or ders", "1.2"), ValueError),
        (lambda client: client.authenticate("a", "x"), ValueError),
        (lambda client: client.authenticate_user("1.2", {"name": "Ann"}), ValueError),
        (lambda client: client.channel_info("or ders"), ValueError),
    ],
)
def test_what_no_server_would_take_is_refused_alike(
    client: Any, call: Callable[[Any], Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        call(client)


def test_methods_and_parameters_have_the_same_names_in_the_same_order() -> None:
    for kind in (Pusher, AsyncPusher):
        for name in NAMES:
            wanted = list(inspect.signature(getattr(pypi.Pusher, name)).parameters)
            found = list(inspect.signature(getattr(kind, name)).parameters)
            wanted = [each for each in wanted if each != "backend_options"]
            assert found[: len(wanted)] == wanted, name
            assert set(found[len(wanted) :]) <= {"path", "verify"}, name


# What is better


def test_encrypted_channels_are_signed_as_text(ours: Pusher, server: RunningServer) -> None:
    signed = ours.authenticate("private-encrypted-x", "1.2")
    theirs = pypi.Pusher(**arguments(server)).authenticate("private-encrypted-x", "1.2")
    assert signed["shared_secret"] == theirs["shared_secret"].decode()
    json.dumps(signed)


def test_encrypted_events_can_be_opened(server: RunningServer, ours: Pusher) -> None:
    from nacl.secret import SecretBox

    with server.connect() as ann:
        signed = ours.authenticate("private-encrypted-x", ann.socket_id)
        ann.send_event("pusher:subscribe", {"channel": "private-encrypted-x", "auth": signed["auth"]})
        ann.read_event()
        ours.trigger("private-encrypted-x", "Placed", {"id": 7})
        ours.trigger_batch([{"channel": "private-encrypted-x", "name": "Placed", "data": {"id": 7}}])
        box = SecretBox(base64.b64decode(signed["shared_secret"]))
        for _ in range(2):
            sealed = json.loads(ann.read_event()["data"])
            opened = box.decrypt(base64.b64decode(sealed["ciphertext"]), base64.b64decode(sealed["nonce"]))
            assert json.loads(opened) == {"id": 7}


def test_dates_and_ids_are_sent(server: RunningServer, ours: Pusher) -> None:
    at, some_id = datetime(2026, 1, 2, tzinfo=UTC), uuid.UUID(int=7)
    with server.connect() as ann:
        ann.subscribe("typed")
        ours.trigger("typed", "x", {"at": at, "id": some_id, "price": Decimal("1.50")})
        sent = json.loads(ann.read_event()["data"])
        assert sent == {"at": "2026-01-02T00:00:00+00:00", "id": str(some_id), "price": "1.50"}


def test_what_has_no_form_in_json_is_named(ours: Pusher) -> None:
    with pytest.raises(PayloadError, match="event 'x' on a: customer: "):
        ours.trigger("a", "x", {"customer": object()})


def test_an_encoder_of_one_s_own_is_used(server: RunningServer) -> None:
    class Encoder(json.JSONEncoder):
        def default(self, o: object) -> str:
            return "own"

    with server.connect() as ann:
        ann.subscribe("own")
        Pusher(**arguments(server, json_encoder=Encoder)).trigger("own", "x", {"it": object()})
        assert json.loads(ann.read_event()["data"]) == {"it": "own"}


def test_the_given_batch_stays_as_it_is(ours: Pusher) -> None:
    batch = [{"channel": "a", "name": "x", "data": {"n": 1}}]
    ours.trigger_batch(batch)
    assert batch == [{"channel": "a", "name": "x", "data": {"n": 1}}]


def test_an_app_id_may_be_a_word_and_paths_have_a_prefix() -> None:
    app = AppSettings(id="my-shop", key="app-key", secret="app-secret")
    with running_server(apps=[app], path="/ws") as server:
        client = Pusher(**arguments(server, app, path="/ws"))
        assert client.trigger("a", "x", {}) == {}
        assert client.channels_info() == {"channels": {}}
        assert client.terminate_user_connections("7") == {}


def test_a_url_may_have_a_port_a_prefix_and_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    app = AppSettings(id="1", key="k@y", secret="s:cret/")
    with running_server(apps=[app], path="/ws") as server:
        url = f"http://k%40y:s%3Acret%2F@127.0.0.1:{server.port}/ws/apps/1"
        assert Pusher.from_url(url).trigger("a", "x", {}) == {}
        monkeypatch.setenv("PUSHER_URL", url)
        assert Pusher.from_env(timeout=2).channels_info() == {"channels": {}}
    for wrong in ("ftp://k:s@h/apps/1", "http://h/apps/1", "http://k:s@h/1"):
        with pytest.raises(ValueError, match="is not of the form"):
            Pusher.from_url(wrong)
    with pytest.raises(ValueError, match="NO_SUCH_URL"):
        Pusher.from_env("NO_SUCH_URL")


def test_refusals_have_the_names_of_the_sdk_and_reasons(server: RunningServer, ours: Pusher) -> None:
    with pytest.raises(PusherBadAuth, match="check that key and secret") as refused:
        Pusher(**arguments(server, AppSettings(id="1", key="app-key", secret="wrong"))).trigger("a", "x", {})
    assert refused.value.status == 401
    assert isinstance(refused.value, PusherError | BroadcastError)
    with pytest.raises(PusherBadRequest):
        ours.users_info("private-x")
    with pytest.raises(PusherBadStatus) as too_large:
        ours.trigger("a", "x", "x" * 20_000)
    assert too_large.value.status == 413
    with pytest.raises(PusherError, match="is the server running"):
        Pusher("1", "k", "s", host="127.0.0.1", port=1, ssl=False, timeout=1).trigger("a", "x", {})


def test_wrong_arguments_are_told() -> None:
    good: dict[str, Any] = {"app_id": "1", "key": "k", "secret": "s"}
    for wrong, error in (
        ({"app_id": 1}, TypeError),
        ({"key": ""}, ValueError),
        ({"ssl": "yes"}, TypeError),
        ({"port": "80"}, TypeError),
        ({"timeout": "5"}, TypeError),
        ({"timeout": 0}, ValueError),
        ({"timeout": -1}, ValueError),
        ({"timeout": float("nan")}, ValueError),
        ({"timeout": 1e30}, ValueError),
        ({"backend": object}, TypeError),
        ({"encryption_master_key_base64": "short"}, ValueError),
        ({"encryption_master_key": "short"}, ValueError),
        ({"encryption_master_key": "x" * 32, "encryption_master_key_base64": MASTER_KEY}, ValueError),
    ):
        with pytest.raises(error):
            Pusher(**(good | wrong))
    with pytest.raises(ConfigurationError, match="encryption_master_key_base64"):
        Pusher("1", "k", "s").trigger("private-encrypted-x", "x", {})


def test_half_characters_are_named() -> None:
    client = Pusher("1", "k", "s")
    for data in ("\ud83d", {"text": "\ud83d"}):
        with pytest.raises(PayloadError, match=r"event 'x' on a: .*a half of a surrogate pair"):
            client.trigger("a", "x", data)
    with pytest.raises(ValueError, match=r"event name '.ud83d': a half of a surrogate pair"):
        client.trigger("a", "\ud83d", {})


def test_clusters_and_the_raw_master_key() -> None:
    client = Pusher("1", "k", "s", cluster="eu", encryption_master_key="x" * 32)
    assert client._settings.base_url == "https://api-eu.pusher.com:443"
    assert client._settings.master_key("c") == b"x" * 32
    assert Pusher("1", "k", "s")._settings.host == "api.pusherapp.com"


def test_a_client_is_closed_at_the_end_of_with(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[Pusher] = []
    with Pusher(**arguments(server)) as client:
        monkeypatch.setattr(client._driver, "close", lambda: closed.append(client))
        assert client.trigger("a", "x", {}) == {}
        assert closed == []
    assert closed == [client]


async def test_the_asynchronous_client_keeps_its_connection(server: RunningServer) -> None:
    async with AsyncPusher(**arguments(server)) as client:
        answers = await asyncio.gather(*(client.trigger("a", "x", {}) for _ in range(20)))
        assert answers == [{}] * 20
        with pytest.raises(PusherBadRequest):
            await client.users_info("private-x")
