"""Models that broadcast."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models

from soundpost import Channel, PrivateChannel
from soundpost.django import broadcasts


@broadcasts(on=lambda order, event: PrivateChannel(f"orders.{order.pk}"), fields=["id", "status", "customer", "total"])
class Order(models.Model):
    """An order of a customer, with a private note."""

    customer: Any = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    status: Any = models.CharField(max_length=20, default="new")
    total: Any = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    note: Any = models.TextField(default="")

    class Meta:
        """No options."""

        app_label = "shop"


@broadcasts(
    on=[Channel("articles"), PrivateChannel("articles.{pk}")],
    fields=("pk", "stock", "picture"),
    events=("updated", "deleted"),
    name="article.{event}",
    to_others=True,
)
class Article(models.Model):
    """An article for sale."""

    stock: Any = models.IntegerField(default=0)
    picture: Any = models.FileField(blank=True)

    class Meta:
        """No options."""

        app_label = "shop"
