"""The retry policy of publishing."""

from __future__ import annotations

import ssl

import pytest

from soundpost.broadcasting.delivery import background
from soundpost.broadcasting.drivers import http
from soundpost.broadcasting.drivers.http import is_retryable
from soundpost.broadcasting.retry import RetryPolicy
from soundpost.wire.http_exchange import HttpAnswer, NotHttpError


def test_the_last_pause_is_repeated() -> None:
    policy = RetryPolicy((0.2, 0.5))
    assert [policy.pause_after(failures) for failures in (1, 2, 3, 1000)] == [0.2, 0.5, 0.5, 0.5]


def test_no_pause_follows_the_last_attempt() -> None:
    policy = RetryPolicy((0.1,), attempts=3)
    assert [policy.pause_after(failures) for failures in (1, 2, 3)] == [0.1, 0.1, None]


def test_a_request_has_two_attempts_and_the_background_any_number() -> None:
    assert (http.RETRY_POLICY.attempts, background.RETRY_POLICY.attempts) == (2, None)


@pytest.mark.parametrize(
    "outcome", [EOFError(), ConnectionResetError(), ConnectionRefusedError(), BrokenPipeError(), 502, 503]
)
def test_a_lost_connection_and_a_proxy_without_its_server_are_retryable(outcome: BaseException | int) -> None:
    assert is_retryable(HttpAnswer(outcome, {}, b"") if isinstance(outcome, int) else outcome)


@pytest.mark.parametrize("outcome", [TimeoutError(), ssl.SSLError(), OSError(), NotHttpError(), 200, 401, 429, 500])
def test_other_failures_are_final(outcome: BaseException | int) -> None:
    assert not is_retryable(HttpAnswer(outcome, {}, b"") if isinstance(outcome, int) else outcome)
