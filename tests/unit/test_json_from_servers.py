"""JSON from other servers, queues and pages: at any depth it raises JsonError and no other error."""

from __future__ import annotations

from typing import Any

import pytest

from soundpost.broadcasting.drivers.http import HttpDriver
from soundpost.broadcasting.drivers.requests import _largest_field
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.client.session import _user_id
from soundpost.client.sign_in import _decoded
from soundpost.errors import BroadcastError, PayloadError
from soundpost.http_failures import unexpected_answer
from soundpost.wire.http_exchange import HttpAnswer

DEEP = ["[" * 100_000, "[" * 5_000 + "]" * 5_000, '{"a":' * 5_000 + "1" + "}" * 5_000]
deep = pytest.mark.parametrize("text", DEEP)


@deep
@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_deep_answer_of_the_api_is_an_error_of_broadcasting(text: str, status: int) -> None:
    driver = HttpDriver(ConnectionSettings(driver="soundpost", app_id="1", key="k", secret="s", host="127.0.0.1"))

    with pytest.raises(BroadcastError, match=f"answered {status}"):
        driver._decoded(HttpAnswer(status, {}, text.encode()), "an event")


@deep
def test_a_deep_message_of_a_queue_is_refused(text: str) -> None:
    with pytest.raises(PayloadError, match="not a message of a queue"):
        Message.from_json(text)


@deep
def test_deep_text_is_no_reason_no_user_and_no_object(text: str) -> None:
    assert _largest_field(text) == ""
    assert _decoded(text) == {}
    assert _user_id(text) is None
    assert "answered 400" in str(unexpected_answer("http://127.0.0.1", 400, {}, text.encode()))


@pytest.mark.parametrize(("text", "user"), [(r'{"user_id":"a","user_info":"\ud83d"}', "a"), ('{"user_id":7}', "7")])
def test_the_user_of_channel_data_is_found(text: str, user: Any) -> None:
    assert _user_id(text) == user
