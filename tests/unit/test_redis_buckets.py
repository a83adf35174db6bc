"""The parts that the channels of an app are in."""

from __future__ import annotations

from collections import Counter

import pytest

from soundpost.backplane.redis.buckets import BUCKETS, all_buckets, app_of, bucket_limit, bucket_of


@pytest.mark.parametrize("app_id", ["1", "my app", "a:b/{c}"])
def test_a_bucket_tells_its_app(app_id: str) -> None:
    assert bucket_of(app_id, "room") in all_buckets(app_id)
    assert {app_of(bucket) for bucket in all_buckets(app_id)} == {app_id}


@pytest.mark.parametrize("limit", [1, 10, 100, 1_000, 10_000])
@pytest.mark.parametrize("name", ["cache-{}", "private-cache-order-{}", "cache-{}-prices"])
def test_as_many_channels_as_an_app_may_have_fit_the_buckets(limit: int, name: str) -> None:
    sizes = Counter(bucket_of("1", name.format(number)) for number in range(limit))
    assert max(sizes.values()) <= bucket_limit(limit)


@pytest.mark.parametrize(("limit", "each"), [(1, 2), (100, 17), (10_000, 725), (1_000_000, 63_500)])
def test_the_more_channels_the_closer_the_limit(limit: int, each: int) -> None:
    assert bucket_limit(limit) == each
    assert each * BUCKETS >= limit
