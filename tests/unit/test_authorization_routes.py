"""Channel routes: which one decides about which channel."""

from __future__ import annotations

from typing import Any

import pytest

from soundpost import ChannelPolicy, PrivateChannel, channels
from soundpost.broadcasting.authorization import ChannelRoutes
from soundpost.broadcasting.authorization.routes import bare_name
from soundpost.errors import RouteError


@pytest.fixture
def routes() -> ChannelRoutes:
    return ChannelRoutes()


def yes(user: Any, **parameters: Any) -> bool:
    return True


def no(user: Any, **parameters: Any) -> bool:
    return False


@pytest.mark.parametrize(
    ("channel", "bare", "kind"),
    [
        ("private-orders", "orders", "private"),
        ("private-cache-orders", "orders", "private"),
        ("private-encrypted-orders", "orders", "private"),
        ("private-encrypted-cache-orders", "orders", "private"),
        ("presence-room", "room", "presence"),
        ("presence-cache-room", "room", "presence"),
        ("private-presence-x", "presence-x", "private"),
        ("orders", "orders", "private"),
    ],
)
def test_names_without_their_prefixes(channel: str, bare: str, kind: str) -> None:
    assert bare_name(channel) == (bare, kind)


def test_the_route_of_the_kind_is_found(routes: ChannelRoutes) -> None:
    routes.private("rooms.{room}")(yes)
    routes.presence("rooms.{room}")(no)
    private, presence = routes.find("private-rooms.a"), routes.find("presence-cache-rooms.a")
    assert private is not None
    assert presence is not None
    assert (private.route.callback, private.parameters) == (yes, {"room": "a"})
    assert (presence.route.callback, presence.parameters) == (no, {"room": "a"})
    assert len(routes) == len(list(routes)) == 2


def test_nothing_is_found_for_other_names(routes: ChannelRoutes) -> None:
    routes.private("orders.{id:int}")(yes)
    assert routes.find("private-orders.x") is None
    assert routes.find("private-orders.7.lines") is None
    assert routes.find("presence-orders.7") is None


def test_why_nothing_is_found(routes: ChannelRoutes) -> None:
    assert routes.explain_no_match("private-x").endswith(
        "there are no routes at all: is the module with them imported?"
    )
    routes.private("orders.{id:int}")(yes)
    routes.presence("rooms.{room}")(yes)
    assert routes.explain_no_match("private-ordrs.7") == (
        "no private channel route matches 'ordrs.7'; did you mean 'orders.{id:int}'?"
    )
    assert routes.explain_no_match("private-zzz") == "no private channel route matches 'zzz'"
    assert routes.explain_no_match("private-rooms.a") == (
        "'rooms.{room}' is a presence route, and 'private-rooms.a' is a private channel"
    )


def test_a_prefix_that_the_page_wrote_itself_is_named(routes: ChannelRoutes) -> None:
    routes.private("orders.{id:int}")(yes)
    routes.presence("rooms.{room}")(yes)
    assert routes.explain_no_match("private-private-orders.7") == (
        "'private-private-orders.7' has two prefixes: laravel-echo adds the prefix itself, so write private('orders.7')"
    )
    assert routes.explain_no_match("presence-presence-rooms.a").endswith("so write join('rooms.a')")
    assert "two prefixes" not in routes.explain_no_match("private-private-zzz")


def test_two_routes_for_one_name_are_refused(routes: ChannelRoutes) -> None:
    routes.private("orders.{id}")(yes)
    with pytest.raises(RouteError) as caught:
        routes.private("orders.{number:int}")(no)
    message = str(caught.value)
    assert "the private channel routes 'orders.{id}' (test_authorization_routes.yes) and" in message
    assert "'orders.{number:int}' (test_authorization_routes.no) both match 'orders.0'" in message
    assert len(routes) == 1


def test_a_callback_must_take_the_parameters(routes: ChannelRoutes) -> None:
    def wrong(user: Any, order: int) -> bool:
        return True

    with pytest.raises(RouteError, match=r"channel route 'orders\.\{id\}': .*wrong has no parameter 'id'"):
        routes.private("orders.{id}")(wrong)

    def more(user: Any, id: str, request: Any) -> bool:
        return True

    with pytest.raises(RouteError, match="wants request, which the pattern does not have: it gets the user"):
        routes.private("orders.{id}")(more)

    def by_position(user: Any, id: str, /) -> bool:
        return True

    with pytest.raises(RouteError, match="by_position takes 'user' by position only, but arguments are given by name"):
        routes.private("orders.{id}")(by_position)
    assert len(routes) == 0


def test_what_is_no_function_is_refused(routes: ChannelRoutes) -> None:
    with pytest.raises(RouteError, match=r"private channel route 'orders': 5 is not a function"):
        routes.private("orders")(5)  # type: ignore[type-var]
    with pytest.raises(RouteError, match="guard 'staff': 5 is not a function"):
        routes.guard("staff")(5)  # type: ignore[type-var]
    with pytest.raises(RouteError, match="sign-in: 5 is not a function"):
        routes.user(5)  # type: ignore[type-var]


def test_a_decorator_without_parentheses_is_refused(routes: ChannelRoutes) -> None:
    def allow(user: object) -> bool:
        return True

    decorators: list[Any] = [routes.private, routes.presence, routes.guard]
    for decorator in decorators:
        with pytest.raises(
            RouteError, match=rf"allow: the decorator has an argument, as in @channels.{decorator.__name__}"
        ):
            decorator(allow)


@pytest.mark.parametrize("pattern", [None, b"orders", ["orders"], PrivateChannel("orders")])
def test_a_pattern_that_is_not_a_text_is_refused(routes: ChannelRoutes, pattern: Any) -> None:
    with pytest.raises(RouteError, match="its pattern is a text, as in"):
        routes.private(pattern)(lambda user: True)
    with pytest.raises(RouteError, match="its name is a text, as in"):
        routes.guard(pattern)


def test_what_callbacks_take(routes: ChannelRoutes) -> None:
    def bare() -> bool:
        return True

    def with_context(who: Any, ctx: Any, id: str, more: int = 1) -> bool:
        return True

    routes.private("a")(bare)
    routes.private("b.{id}")(with_context)
    first, second = routes
    assert (first.takes_user, first.takes_ctx) == (None, False)
    assert (second.takes_user, second.takes_ctx) == ("who", True)


def test_decorators_leave_the_function_as_it_is(routes: ChannelRoutes) -> None:
    assert routes.private("a")(yes) is yes
    assert routes.guard("token")(yes) is yes
    assert routes.user(yes) is yes
    assert routes.guards == {"token": yes}


def test_policies_as_classes(routes: ChannelRoutes) -> None:
    class Team(ChannelPolicy, routes=routes):
        pattern = "teams.{team_id:int}"
        kind = "presence"
        guests = True

        def authorize(self, user: Any, team_id: int) -> bool:
            return team_id == 7

    class Base(ChannelPolicy, routes=routes):
        def authorize(self, user: Any) -> bool:
            return True

    class News(Base):
        pattern = "news"

    class Elsewhere(Base, routes=ChannelRoutes()):
        pattern = "elsewhere"

    team, news = routes
    assert (team.kind, team.guests, team.name.rpartition(".")[2]) == ("presence", True, "Team")
    assert team.callback(None, team_id=7) is True
    assert news.callback(None) is True


def test_policies_have_guards_and_a_permission(routes: ChannelRoutes) -> None:
    class Order(ChannelPolicy, routes=routes):
        pattern = "orders"
        guards = "token"
        permission = "shop.view_order"

        def authorize(self, user: Any) -> bool:
            return True

    (order,) = routes
    assert (order.guards, order.permission) == (("token",), "shop.view_order")


def test_a_policy_without_a_decision_or_of_no_kind_is_refused(routes: ChannelRoutes) -> None:
    with pytest.raises(RouteError, match="Undecided: a channel policy needs a method authorize"):

        class Undecided(ChannelPolicy, routes=routes):
            pattern = "undecided"

    with pytest.raises(RouteError, match="its kind is 'Presence': 'private' or 'presence' is expected"):

        class Misspelt(ChannelPolicy, routes=routes):
            pattern = "misspelt"
            kind = "Presence"  # type: ignore[assignment]

            def authorize(self, user: Any) -> bool:
                return True

    assert len(routes) == 0


def test_policies_belong_to_the_application_s_own_routes() -> None:
    before = list(channels)
    try:

        class Own(ChannelPolicy):
            pattern = "own"

            def authorize(self, user: Any) -> bool:
                return True

        assert len(channels) == len(before) + 1
    finally:
        channels._routes[:] = before


def test_a_module_that_is_loaded_anew_replaces_its_routes(routes: ChannelRoutes) -> None:
    routes.private("orders.{id}")(yes)
    routes.private("orders.{id}")(yes)
    assert len(routes) == 1


def test_all_or_none(routes: ChannelRoutes) -> None:
    def fail() -> None:
        with routes.all_or_none():
            routes.private("a")(yes)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(routes) == 0


def test_clear_removes_routes_guards_and_user_callback(routes: ChannelRoutes) -> None:
    routes.private("a")(yes)
    routes.guard("g")(yes)
    routes.user(yes)
    routes.clear()
    assert (len(routes), routes.guards, routes.user_callback) == (0, {}, None)
