"""The pytest plugin, in tests as applications write them."""

from __future__ import annotations

import os

import pytest

pytest_plugins = ["pytester"]

APPLICATION = """
from dataclasses import dataclass
from soundpost import ChannelPolicy, Denied, Event, PrivateChannel, broadcast, channels


@dataclass(frozen=True)
class User:
    id: int
    name: str


alice, bob = User(1, "alice"), User(2, "bob")


class OrderShipped(Event, on=PrivateChannel("orders.{order_id}")):
    order_id: int
    carrier: str


class OrderCancelled(Event, on=PrivateChannel("orders.{order_id}")):
    order_id: int


@channels.private("orders.{order_id:int}")
def orders(user, order_id: int) -> bool:
    return user.name == "alice"


@channels.presence("rooms.{room}", guards="token")
async def rooms(user, room: str, ctx):
    if room == "closed":
        raise Denied("the room is closed")
    return {"name": user.name, "request": ctx.request}


@channels.guard("token")
def token(request):
    raise AssertionError("the user is given")


@channels.private("broken")
def broken(user) -> bool:
    return user.no_such_attribute
"""

TESTS = {
    "fake": """
        from application import OrderCancelled, OrderShipped, broadcast

        def test_fake(soundpost_fake):
            broadcast(OrderShipped(7, "DHL"), socket_id="1.2")
            sent = soundpost_fake.assert_broadcast(OrderShipped, times=1, on="private-orders.7")
            assert sent.data["carrier"] == "DHL" and sent.excluded == "1.2"
            soundpost_fake.assert_not_broadcast(OrderCancelled)
            soundpost_fake.assert_nothing_else()

        def test_another(soundpost_fake):
            soundpost_fake.assert_nothing()
    """,
    "auth": """
        import pytest
        from application import alice, bob

        def test_policy(soundpost_auth):
            soundpost_auth.assert_allowed(alice, "private-orders.7")
            reason = soundpost_auth.assert_denied(bob, "private-orders.7")
            assert reason == "application.orders returned False for order_id=7"
            assert soundpost_auth.assert_denied(None, "private-orders.7") == "nobody is logged in"
            assert "route matches 'ordrs.7'" in soundpost_auth.assert_denied(alice, "private-ordrs.7")
            soundpost_auth.assert_allowed(alice, "private-encrypted-cache-orders.7")

        def test_members(soundpost_auth):
            assert soundpost_auth.member(alice, "presence-rooms.x", request=9) == {"name": "alice", "request": 9}
            assert soundpost_auth.member_id(alice, "presence-rooms.x") == "1"
            assert soundpost_auth.assert_denied(alice, "presence-rooms.closed") == "the room is closed"

        def test_failures_say_why(soundpost_auth):
            with pytest.raises(AssertionError, match="may not subscribe to private-orders.7: application.orders"):
                soundpost_auth.assert_allowed(bob, "private-orders.7")
            with pytest.raises(AssertionError, match="may subscribe to private-orders.7"):
                soundpost_auth.assert_denied(alice, "private-orders.7")
            with pytest.raises(AssertionError, match="the channel route failed: AttributeError"):
                soundpost_auth.assert_denied(alice, "private-broken")
            with pytest.raises(AssertionError, match="not a presence channel"):
                soundpost_auth.member(alice, "private-orders.7")
            with pytest.raises(AssertionError, match="needs no authorization"):
                soundpost_auth.assert_allowed(alice, "orders.7")
    """,
    "server": """
        import threading
        import pytest
        import soundpost
        from application import OrderShipped, broadcast
        from soundpost.errors import BroadcastError

        def test_end_to_end(soundpost_server):
            orders = soundpost_server.listen("private-orders.7")
            broadcast(OrderShipped(7, "DHL"))
            event = orders.next(timeout=5)
            assert (event.name, event.data) == ("OrderShipped", {"order_id": 7, "carrier": "DHL"})
            with pytest.raises(TimeoutError):
                orders.next(timeout=0.05)

        def test_presence_and_what_is_configured_meanwhile(soundpost_server):
            soundpost.configure(driver="null", deliver="background")
            room = soundpost_server.listen("presence-rooms.x")
            with soundpost_server.sync_client(user_id="7", user_info={"name": "bob"}) as bob:
                bob.subscribe("presence-rooms.x")
                assert room.next(timeout=5).name == "pusher:member_added"
            soundpost.publish("presence-rooms.x", "tick", via="soundpost")
            assert {room.next(timeout=5).name for _ in range(2)} == {"pusher:member_removed", "tick"}

        def test_afterwards_all_is_as_before():
            assert broadcast.settings.connection().driver == "null"
            assert not [thread for thread in threading.enumerate() if thread.name.startswith("soundpost")]
    """,
    "asyncio": """
        from application import OrderShipped, alice, bob
        from soundpost import abroadcast, apublish

        async def test_end_to_end(soundpost_server):
            async with soundpost_server.client() as client:
                orders = await client.subscribe("private-orders.7")
                await abroadcast(OrderShipped(7, "DHL"))
                assert (await orders.next(timeout=5)).data["carrier"] == "DHL"

        async def test_encrypted(soundpost_server):
            async with soundpost_server.client() as client:
                secret = await client.subscribe("private-encrypted-orders")
                await apublish("private-encrypted-orders", "tick", {"id": 7})
                assert (await secret.next(timeout=5)).data == {"id": 7}

        async def test_fake(soundpost_fake):
            await apublish("orders", "tick")
            soundpost_fake.assert_broadcast("tick", on="orders")

        async def test_policy(soundpost_auth):
            await soundpost_auth.aassert_allowed(alice, "private-orders.7")
            await soundpost_auth.aassert_denied(bob, "private-orders.7")
            assert (await soundpost_auth.amember(alice, "presence-rooms.x"))["name"] == "alice"
            assert soundpost_auth.member(alice, "presence-rooms.x")["name"] == "alice"
    """,
    "credentials": """
        import soundpost

        app = {"app_id": "9", "key": "own-key", "secret": "own-secret"}
        soundpost.configure(app, port=1, default="main", trusted_origins=["https://a"])

        def test_the_server_has_the_application_s_own(soundpost_server):
            server = soundpost_server
            assert (server.app_id, server.key, server.secret) == ("9", "own-key", "own-secret")
            settings = soundpost.broadcast.settings
            assert settings.trusted_origins == ("https://a",)
            assert settings.browser().base_url == soundpost_server.url
            soundpost.publish("orders", "tick")

        def test_restored():
            assert soundpost.broadcast.settings.connection("main").port == 1
    """,
    "endpoint": """
        import pytest
        from soundpost.broadcasting.authorization import AuthEndpoint, ChannelRoutes

        @pytest.fixture
        def soundpost_auth_endpoint():
            routes = ChannelRoutes()

            @routes.private("own.{name}")
            def own(user, name):
                return user == name

            return AuthEndpoint(routes, None)

        def test_routes_of_one_s_own(soundpost_auth):
            soundpost_auth.assert_allowed("alice", "private-own.alice")
            soundpost_auth.assert_denied("bob", "private-own.alice")
    """,
}


@pytest.mark.parametrize("name", TESTS)
def test_tests_with_the_fixtures_pass(pytester: pytest.Pytester, name: str) -> None:
    passed = TESTS[name].count("def test_")
    pytester.makepyfile(application=APPLICATION)
    pytester.makepyfile(**{f"test_{name}": TESTS[name]})
    mode = ["-o", "asyncio_mode=auto"] if name == "asyncio" else ["-p", "no:asyncio"]
    result = pytester.runpytest_subprocess("-W", "error::pytest.PytestUnraisableExceptionWarning", *mode)
    result.assert_outcomes(passed=passed)


def test_channels_that_keep_events_for_the_server_of_a_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest
        from soundpost import broadcast

        @pytest.fixture
        def soundpost_history():
            return ["private-*"]

        def test_kept(soundpost_server):
            broadcast.publish("private-orders.7", "Shipped", {"id": 7})
            broadcast.publish("news", "Written")
            (event,) = broadcast.history("private-orders.7").events
            assert (event.name, event.data) == ("Shipped", {"id": 7})
            assert broadcast.positions(["private-orders.7", "news"]) == {"private-orders.7": event.position}
    """)
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_django_s_own_endpoint_is_asked(pytester: pytest.Pytester) -> None:
    """Django's endpoint is asked, with Django's denials and permissions."""
    pytester.makeconftest(
        """
        import django
        from django.conf import settings

        apps = ["django.contrib.contenttypes", "django.contrib.auth", "soundpost.django"]
        settings.configure(INSTALLED_APPS=apps, USE_TZ=True)
        django.setup()
        """
    )
    pytester.makepyfile(
        """
        from django.core.exceptions import PermissionDenied
        from soundpost import channels

        @channels.private("orders", permission="shop.view_order")
        def orders(user):
            return True

        @channels.private("never")
        def never(user):
            raise PermissionDenied("never")

        class User:
            def has_perm(self, permission):
                return permission == "shop.view_order"

        def test_policy(soundpost_auth):
            soundpost_auth.assert_allowed(User(), "private-orders")
            assert soundpost_auth.assert_denied(object(), "private-orders").endswith("no permission 'shop.view_order'")
            assert soundpost_auth.assert_denied(User(), "private-never") == "never"

        async def test_async_policy(soundpost_auth):
            await soundpost_auth.aassert_allowed(User(), "private-orders")
        """
    )
    pytester.runpytest_subprocess("-o", "asyncio_mode=auto").assert_outcomes(passed=2)


@pytest.mark.parametrize("after_commit", [None, True, False])
def test_in_a_transaction_that_django_s_test_case_opens_events_are_sent_at_once(
    pytester: pytest.Pytester, after_commit: bool | None
) -> None:
    """And in one that the application commits, at the commit."""
    pytester.makeconftest(
        """
        import django
        from django.conf import settings

        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
        settings.configure(INSTALLED_APPS=["soundpost.django"], USE_TZ=True, DATABASES={"default": database})
        django.setup()
        """
    )
    pytester.makepyfile(
        f"""
        import pytest
        from django.db import transaction
        from django.test import TestCase, TransactionTestCase
        from soundpost import broadcast, publish
        from soundpost.errors import BroadcastError

        after_commit = {after_commit!r}

        class Served:
            @pytest.fixture(autouse=True)
            def serve(self, soundpost_server):
                self.orders = soundpost_server.listen("orders")

            def heard(self):
                return self.orders.next(timeout=10).name

        class InTheTestsTransaction(Served, TestCase):
            def test_at_once(self):
                publish("orders", "outside", after_commit=after_commit)
                assert self.heard() == "outside"
                with transaction.atomic():
                    publish("orders", "inside", after_commit=after_commit)
                    assert self.heard() == "inside"
                with broadcast.batch():
                    publish("orders", "in a batch", after_commit=after_commit)
                assert self.heard() == "in a batch"

            def test_failures_are_raised(self):
                with pytest.raises(BroadcastError, match="max_event_data_size"):
                    publish("orders", "large", "x" * 20_000, after_commit=after_commit)

            def test_a_time_that_is_over_says_of_what(self):
                with pytest.raises(TimeoutError, match="no event of orders came within 0.01 s"):
                    self.orders.next(timeout=0.01)

        class InTheApplications(Served, TransactionTestCase):
            def test_at_the_commit(self):
                with transaction.atomic():
                    publish("orders", "waits", after_commit=after_commit)
                    if after_commit is not False:
                        with pytest.raises(TimeoutError, match="within 0.01 s; 1 event waits for a commit: leave the"):
                            self.orders.next(timeout=0.01)
                    publish("orders", "does not", after_commit=False)
                assert {{self.heard(), self.heard()}} == {{"waits", "does not"}}

            def test_never(self):
                with pytest.raises(ZeroDivisionError), transaction.atomic():
                    publish("orders", "dropped", after_commit=True)
                    1 / 0
                publish("orders", "end")
                assert self.heard() == "end"
        """
    )
    pytester.runpytest_subprocess("-p", "no:asyncio").assert_outcomes(passed=5)


def test_loading_the_plugin_loads_nothing_else(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_light():
            assert "soundpost.testing.plugin" in sys.modules
            ours = {name for name in sys.modules if name.startswith("soundpost")}
            light = {"soundpost", "soundpost.defaults", "soundpost.errors", "soundpost.testing"}
            assert ours <= {*light, "soundpost.testing.plugin"}, ours
            assert not {"httpx", "uvloop", "msgspec", "httptools", "websockets"} & set(sys.modules)
        """
    )
    pytester.runpytest_subprocess("-p", "no:asyncio", "-p", "no:anyio", "-p", "no:hypothesispytest").assert_outcomes(
        passed=1
    )


def test_pytest_finds_it_by_itself_and_says_what_its_fixtures_give(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--fixtures")
    result.stdout.fnmatch_lines(["soundpost_fake*", "*instead of sending them*"])
    result.stdout.fnmatch_lines(["soundpost_server*"])


CREDENTIALS_SEEN = """
    import os
    from soundpost import broadcast

    def test_settings():
        connection = broadcast.settings.connection()
        assert (connection.app_id, connection.key, connection.secret) == ({expected})
"""
OF_TESTS = "'test', 'test-key', 'test-secret'"
OWN = "'7', 'own-key', 'own-secret'"
OWN_VARIABLES = {"SOUNDPOST_APP_ID": "7", "SOUNDPOST_APP_KEY": "own-key", "SOUNDPOST_APP_SECRET": "own-secret"}


@pytest.fixture
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("SOUNDPOST_", "REVERB_")):
            monkeypatch.delenv(name)


@pytest.mark.usefixtures("nothing_set")
def test_credentials_of_tests_where_none_are_configured(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(CREDENTIALS_SEEN.format(expected=OF_TESTS))
    pytester.runpytest_subprocess("-p", "no:asyncio").assert_outcomes(passed=1)


@pytest.mark.usefixtures("nothing_set")
def test_credentials_of_the_environment_stay(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OWN_VARIABLES.items():
        monkeypatch.setenv(name, value)
    pytester.makepyfile(CREDENTIALS_SEEN.format(expected=OWN))
    pytester.runpytest_subprocess("-p", "no:asyncio").assert_outcomes(passed=1)


@pytest.mark.usefixtures("nothing_set")
def test_credentials_in_files_that_the_environment_names_stay(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in OWN_VARIABLES.items():
        (pytester.path / name).write_text(value)
        monkeypatch.setenv(f"{name}_FILE", str(pytester.path / name))
    pytester.makepyfile(CREDENTIALS_SEEN.format(expected=OWN))
    pytester.runpytest_subprocess("-p", "no:asyncio").assert_outcomes(passed=1)


@pytest.mark.usefixtures("nothing_set")
@pytest.mark.parametrize(
    ("file", "text"),
    [
        (".env", "\n".join(f"export {name}={value}" for name, value in OWN_VARIABLES.items())),
        (".env", "\ufeffSOUNDPOST_APP_SECRET_FILE=/run/secrets/app"),
        ("soundpost.toml", '[[apps]]\nid = "7"\nkey = "own-key"\nsecret = "own-secret"\n'),
    ],
)
def test_no_credentials_of_tests_beside_a_file_with_credentials(
    pytester: pytest.Pytester, file: str, text: str
) -> None:
    (pytester.path / file).write_text(text)
    pytester.makepyfile("import os\n\ndef test_none():\n    assert 'SOUNDPOST_APP_ID' not in os.environ\n")
    pytester.runpytest_subprocess("-p", "no:asyncio").assert_outcomes(passed=1)


@pytest.mark.usefixtures("nothing_set")
def test_a_pipe_is_no_configuration(pytester: pytest.Pytester) -> None:
    os.mkfifo(pytester.path / ".env")
    pytester.makepyfile(CREDENTIALS_SEEN.format(expected=OF_TESTS))
    pytester.runpytest_subprocess("-p", "no:asyncio", timeout=30).assert_outcomes(passed=1)


@pytest.mark.usefixtures("nothing_set")
def test_an_env_file_about_other_things_is_no_configuration(pytester: pytest.Pytester) -> None:
    (pytester.path / ".env").write_text("DEBUG=1\nSOUNDPOST_PORT=9000\n")
    pytester.makepyfile("import os\n\ndef test_some():\n    assert os.environ['SOUNDPOST_APP_ID'] == 'test'\n")
    pytester.runpytest_subprocess("-p", "no:asyncio").assert_outcomes(passed=1)


@pytest.mark.usefixtures("nothing_set")
def test_credentials_of_tests_can_be_turned_off(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nsoundpost_test_credentials = false\n")
    pytester.makepyfile("import os\n\ndef test_none():\n    assert 'SOUNDPOST_APP_ID' not in os.environ\n")
    pytester.runpytest_subprocess("-p", "no:asyncio").assert_outcomes(passed=1)
