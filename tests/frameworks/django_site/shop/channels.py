"""Channel routes of the shop."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from rest_framework.authentication import BasicAuthentication

from frameworks.django_site.shop.models import Article, Order
from soundpost import channels
from soundpost.django import drf_guard

channels.guard("api")(drf_guard(BasicAuthentication))


@channels.private("orders.{order_id:int}")
def order(user: Any, order_id: int) -> bool:
    """Their customers."""
    return bool(Order.objects.get(pk=order_id).customer_id == user.pk)


@channels.private("articles.{article}")
def article(user: Any, article: Article) -> bool:
    """Everybody who is logged in, while there are some left."""
    return bool(article.stock)


@channels.private("stock", permission="shop.view_article")
def stock(user: Any) -> bool:
    """Let users with the permission see articles."""
    return True


@channels.private("api.{topic}", guards=["api", "session"])
def api(user: Any, topic: str) -> bool:
    """Users of the API, and of the site."""
    return True


@channels.private("failing.{how}")
def failing(user: Any, how: str) -> bool:
    """Nobody."""
    if how == "denied":
        raise PermissionDenied("not on Sundays")
    raise RuntimeError("a secret of the shop")


@channels.presence("rooms.{room:slug}")
async def room(user: Any, room: str) -> dict[str, Any]:
    """Let every user in; the query counts, not the result."""
    orders = await sync_to_async(lambda: Order.objects.filter(customer_id=user.pk).count())()
    return {"name": user.username, "orders": orders}


@channels.presence("lobby", guests=True)
def lobby(user: Any, ctx: Any) -> dict[str, Any]:
    """Guests too."""
    return {"id": ctx.socket_id, "from": ctx.request.path}
