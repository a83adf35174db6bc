"""``soundpost_auth`` finds the channel routes of applications of every framework by itself."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

APPLICATIONS = {
    "fastapi": """
        from typing import Annotated
        from fastapi import Depends, FastAPI, HTTPException
        from soundpost.fastapi import Context, Soundpost

        sp = Soundpost.from_env()
        app = FastAPI(lifespan=sp.lifespan)

        def current_user(): raise HTTPException(401)
        def database(): raise RuntimeError("not in a test")
        def token(): raise HTTPException(401)

        sp.channels.guard("token")(token)
        app.include_router(sp.router(user=current_user))

        @sp.channels.private("orders.{order_id:int}")
        async def orders(order_id: int, user: Annotated[str, Depends(current_user)],
                         owners: Annotated[dict, Depends(database)], ctx: Context) -> bool:
            return owners.get(order_id) == user and ctx.channel == "private-orders.7"

        @sp.channels.presence("rooms.{room}", guards="token")
        def rooms(room: str, user: str):
            return {"name": user}

        app.dependency_overrides[database] = lambda: {7: "alice"}
        """,
    "starlette": """
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from soundpost.broadcasting.authorization import ChannelRoutes
        from soundpost.starlette import Soundpost

        sp = Soundpost.from_env(channels=ChannelRoutes())
        app = Starlette(routes=sp.routes(user=lambda request: None))

        @sp.channels.private("orders.{order_id:int}")
        async def orders(user, order_id: int) -> bool:
            if user != "alice":
                raise HTTPException(403)
            return True

        @sp.channels.presence("rooms.{room}")
        def rooms(user, room: str):
            return {"name": user}
        """,
    "flask": """
        from flask import Flask, abort
        from soundpost import channels
        from soundpost.flask import Soundpost

        app = Flask(__name__)
        sp = Soundpost(app)

        @channels.private("orders.{order_id:int}")
        def orders(user, order_id: int) -> bool:
            return user == "alice" or abort(404)

        @channels.presence("rooms.{room}")
        def rooms(user, room: str):
            return {"name": user}
        """,
}
TESTS = """
    import application

    def test_private(soundpost_auth):
        soundpost_auth.assert_allowed("alice", "private-orders.7")
        soundpost_auth.assert_denied("bob", "private-orders.7")
        assert "nobody is logged in" in soundpost_auth.assert_denied(None, "private-orders.7")
        assert "route matches 'ordrs.7'" in soundpost_auth.assert_denied("alice", "private-ordrs.7")

    def test_presence(soundpost_auth):
        assert soundpost_auth.member("bob", "presence-rooms.x") == {"name": "bob"}

    def test_nothing_is_left_behind():
        overrides = getattr(application.app, "dependency_overrides", {})
        assert [each.__name__ for each in overrides] == (["database"] if overrides else [])
"""


@pytest.mark.parametrize("framework", APPLICATIONS)
def test_routes_of_an_application_are_found(pytester: pytest.Pytester, framework: str) -> None:
    pytester.makepyfile(application=APPLICATIONS[framework])
    pytester.makepyfile(test_auth=TESTS)
    pytester.runpytest_subprocess("-p", "no:asyncio").assert_outcomes(passed=3)


def test_without_any_routes_the_error_says_what_to_do(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from soundpost.errors import RouteError

        def test_no_routes(soundpost_auth):
            with pytest.raises(RouteError, match="Import the module with them in the test"):
                soundpost_auth.assert_denied("alice", "private-orders.7")
        """
    )
    pytester.runpytest_subprocess("-p", "no:asyncio").assert_outcomes(passed=1)
