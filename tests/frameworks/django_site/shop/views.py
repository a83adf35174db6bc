"""Pages and actions of the shop."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model, login
from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render

from frameworks.django_site.shop.events import OrderShipped
from frameworks.django_site.shop.models import Order
from soundpost import abroadcast, broadcast


def page(request: Any) -> Any:
    """A page that connects."""
    return render(request, "shop/page.html")


def login_as(request: Any, name: str) -> Any:
    """Log in as somebody."""
    user, _ = get_user_model().objects.get_or_create(username=name)
    login(request, user)
    return JsonResponse({"id": user.pk})


def _ship(request: Any, order_id: int) -> Any:
    with transaction.atomic():
        order, _ = Order.objects.get_or_create(pk=order_id, customer_id=request.user.pk)
        order.status = "shipped"
        order.save()
        broadcast(OrderShipped(order.pk, "DHL"), to_others=True)
    return HttpResponse(status=204)


def _ship_and_fail(request: Any, order_id: int) -> Any:
    try:
        with transaction.atomic():
            broadcast(OrderShipped(order_id, "nobody"))
            raise RuntimeError
    except RuntimeError:
        return HttpResponse(status=204)


async def _ship_async(request: Any, order_id: int) -> Any:
    await sync_to_async(Order.objects.filter(pk=order_id).update)(status="shipped")
    await abroadcast(OrderShipped(order_id, "UPS"), to_others=True)
    return HttpResponse(status=204)


def _exempt(view: Any) -> Any:
    view.csrf_exempt = True
    return view


ship = _exempt(_ship)
ship_and_fail = _exempt(_ship_and_fail)
ship_async = _exempt(_ship_async)
