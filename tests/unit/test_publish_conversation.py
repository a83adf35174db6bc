"""The requests that publish messages, and what their answers mean, without a socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from soundpost.broadcasting.drivers.batch_limit import BatchLimit
from soundpost.broadcasting.drivers.conversation import Conversations
from soundpost.broadcasting.drivers.failures import Errors
from soundpost.broadcasting.drivers.requests import ApiRequest, WrittenBatch
from soundpost.broadcasting.message import Message
from soundpost.broadcasting.settings import ConnectionSettings
from soundpost.errors import BroadcastError
from soundpost.wire.http_exchange import HttpAnswer

Answer = Callable[[ApiRequest], HttpAnswer]
TOLD = {"x-soundpost-max-batch-size": "100", "x-soundpost-max-request-size": "20000"}


def answer(status: int = 200, value: Any = None, headers: dict[str, str] = TOLD) -> HttpAnswer:
    return HttpAnswer(status, headers, json.dumps({} if value is None else value).encode())


def messages(number: int, data: str = "{}") -> list[Message]:
    return [Message(("a",), f"n{index}", data) for index in range(number)]


def names(request: ApiRequest) -> list[str]:
    return [message.name for message in request.messages]


def conversations(driver: str = "soundpost") -> Conversations:
    settings = ConnectionSettings(driver=driver, app_id="1", key="k", secret="s")
    return Conversations(settings, lambda answer: f"answered {answer.status} {json.loads(answer.body).get('error')}")


def talk(own: Conversations, sent: Sequence[Message], reply: Answer) -> tuple[list[ApiRequest], Errors]:
    """Return the requests of a conversation, and its errors."""
    requests: list[ApiRequest] = []
    conversation = own.publish(sent, own.limit)
    try:
        request = next(conversation)
        while True:
            requests.append(request)
            request = conversation.send(reply(request))
    except StopIteration as end:
        return requests, end.value


def requests_of(own: Conversations, sent: Sequence[Message], limit: BatchLimit | None) -> list[ApiRequest]:
    """Return the requests of a conversation of which each is taken."""
    found: list[ApiRequest] = []
    conversation = own.publish(sent, limit)
    try:
        found.append(next(conversation))
        while True:
            found.append(conversation.send(answer()))
    except StopIteration:
        return found


@pytest.fixture
def large() -> Conversations:
    """Conversations with a server that has told its limits."""
    made = conversations()
    talk(made, messages(1), lambda request: answer())
    return made


def test_the_first_request_asks_and_later_single_events_do_not(large: Conversations) -> None:
    (first,), _ = talk(conversations(), messages(1), lambda request: answer())
    (later,), _ = talk(large, messages(1), lambda request: answer())

    assert first.headers["X-Soundpost-Batch"] == "1"
    assert (first.path, later.path) == ("/events", "/events")
    assert list(later.headers) == ["Idempotency-Key"]
    assert large.limit == BatchLimit(100, 20_000)


@pytest.mark.parametrize("driver", ["reverb", "pusher"])
def test_other_servers_are_not_asked_and_get_batches_of_ten(driver: str) -> None:
    requests, _ = talk(conversations(driver), messages(25), lambda request: answer())

    assert [len(request.messages) for request in requests] == [10, 10, 5]
    assert all(list(request.headers) == ["Idempotency-Key"] for request in requests)


def test_a_server_that_tells_nothing_gets_batches_of_ten() -> None:
    own = conversations()

    requests, _ = talk(own, messages(25), lambda request: answer(headers={}))

    assert [len(request.messages) for request in requests] == [10, 10, 5]
    assert own.limit is None


def test_batches_have_as_many_events_as_the_server_tells(large: Conversations) -> None:
    requests, errors = talk(large, messages(250), lambda request: answer())

    assert [len(request.messages) for request in requests] == [100, 100, 50]
    assert [name for request in requests for name in names(request)] == [f"n{number}" for number in range(250)]
    assert errors == {}


def test_a_batch_that_was_written_for_its_size_is_sent_as_it_is(large: Conversations) -> None:
    batch = WrittenBatch.of(messages(3))
    request = next(large.publish(batch, large.limit))

    assert request.body is batch.body
    assert request.messages == batch


def test_batches_have_as_many_bytes_as_the_server_tells(large: Conversations) -> None:
    requests, _ = talk(large, messages(30, "x" * 3_000), lambda request: answer())

    assert [len(request.messages) for request in requests] == [6, 6, 6, 6, 6]
    assert all(len(request.body) <= 20_000 for request in requests)


@pytest.mark.parametrize("value", ["", "0", "-1", "1e3", "٣", "9" * 30])
@pytest.mark.parametrize("name", TOLD)
def test_a_limit_that_is_no_number_is_none(name: str, value: str) -> None:
    own = conversations()

    talk(own, messages(1), lambda request: answer(headers={**TOLD, name: value}))

    assert own.limit is None


def test_an_absurd_limit_is_bounded() -> None:
    own = conversations()
    absurd = {"x-soundpost-max-batch-size": "999999999", "x-soundpost-max-request-size": "999999999"}

    talk(own, messages(1), lambda request: answer(headers=absurd))

    assert own.limit == BatchLimit(1_000, 1_048_576)


def test_a_wrong_event_is_named_and_the_others_are_taken(large: Conversations) -> None:
    batch: list[Any] = [{}, {"error": "too long", "status": 413}, {}]

    requests, errors = talk(large, messages(3), lambda request: answer(value={"batch": batch}))

    assert len(requests) == 1
    assert list(errors) == [1]
    assert errors[1].status == 413
    assert str(errors[1]).startswith("event n1 on a: answered 413 too long. The data of n1 has 2 bytes")


@pytest.mark.parametrize("batch", [None, [7, None, "x"], [{"status": 422}] * 3])
def test_results_without_an_error_are_none(large: Conversations, batch: Any) -> None:
    _, errors = talk(large, messages(3), lambda request: answer(value={"batch": batch}))

    assert errors == {}


@pytest.mark.parametrize(("batch", "number"), [(7, 0), ([], 0), ([{}], 1), ([{}] * 9, 9)])
def test_results_that_are_not_one_for_each_event_tell_nothing(large: Conversations, batch: Any, number: int) -> None:
    with pytest.raises(
        BroadcastError, match=rf"event n0 on a and 2 more: .*: {number} result\(s\) for 3 events"
    ) as found:
        talk(large, messages(3), lambda request: answer(value={"batch": batch}))
    assert not found.value.may_pass


@pytest.mark.parametrize("status", [None, "422", 422])
def test_an_event_with_an_error_is_refused_whatever_the_status_beside_it(large: Conversations, status: Any) -> None:
    batch = [{}, {"error": 5, "status": status}, {}]

    _, errors = talk(large, messages(3), lambda request: answer(value={"batch": batch}))

    assert {place: (str(error), error.status) for place, error in errors.items()} == {
        1: ("event n1 on a: answered 422 5", 422)
    }


def test_an_error_counts_the_events_that_are_not_sent_after_it(large: Conversations) -> None:
    asked: list[ApiRequest] = []

    def refuse_the_third(request: ApiRequest) -> HttpAnswer:
        asked.append(request)
        return answer(401 if len(asked) == 3 else 200)

    with pytest.raises(BroadcastError, match="event n200 on a and 149 more: answered 401"):
        talk(large, messages(350), refuse_the_third)


def test_halves_count_the_events_behind_them(large: Conversations) -> None:
    taken: list[ApiRequest] = []

    def take_fifty(request: ApiRequest) -> HttpAnswer:
        if len(request.messages) > 50:
            return answer(422)
        taken.append(request)
        return answer(401 if len(taken) == 2 else 200)

    with pytest.raises(BroadcastError, match="event n50 on a and 199 more: answered 401"):
        talk(large, messages(250), take_fifty)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_batch_that_is_refused_is_halved_until_the_wrong_event_is_found(large: Conversations, status: int) -> None:
    taken: list[str] = []

    def reply(request: ApiRequest) -> HttpAnswer:
        if "n5" in names(request):
            return answer(status, {"error": "no"})
        taken.extend(names(request))
        return answer()

    requests, errors = talk(large, messages(8), reply)

    assert [len(request.messages) for request in requests] == [8, 4, 4, 2, 1, 1, 2]
    assert {place: str(error) for place, error in errors.items()}.keys() == {5}
    assert str(errors[5]).startswith(f"event n5 on a: answered {status} no")
    assert taken == ["n0", "n1", "n2", "n3", "n4", "n6", "n7"]
    assert len({request.headers["Idempotency-Key"] for request in requests}) == len(requests)


def test_a_proxy_that_takes_less_than_the_server_makes_later_batches_smaller(large: Conversations) -> None:
    def reply(request: ApiRequest) -> HttpAnswer:
        return answer() if len(request.body) <= 10_000 else answer(413, headers={})

    talk(large, messages(6, "x" * 3_000), reply)
    requests, errors = talk(large, messages(6, "x" * 3_000), reply)

    assert [len(request.messages) for request in requests] == [2, 2, 2]
    assert errors == {}


def test_a_server_with_a_smaller_limit_than_before_gets_smaller_batches(large: Conversations) -> None:
    fewer = {**TOLD, "x-soundpost-max-batch-size": "40"}

    def reply(request: ApiRequest) -> HttpAnswer:
        return answer(headers=fewer) if len(request.messages) <= 40 else answer(422, headers=fewer)

    first, errors = talk(large, messages(100), reply)
    later, _ = talk(large, messages(100), reply)

    assert errors == {}
    assert [len(request.messages) for request in first] == [100, 40, 10, 40, 10]
    assert [len(request.messages) for request in later] == [40, 40, 20]


def test_a_server_that_takes_small_batches_again_gets_them(large: Conversations) -> None:
    def reply(request: ApiRequest) -> HttpAnswer:
        return answer(200 if len(request.messages) <= 10 else 422, headers={})

    requests, errors = talk(large, messages(20), reply)

    assert [len(request.messages) for request in requests] == [20, 10, 10]
    assert (errors, large.limit) == ({}, None)


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 503])
def test_a_refusal_that_is_not_about_the_events_ends_all(large: Conversations, status: int) -> None:
    with pytest.raises(BroadcastError, match=f"event n0 on a and 7 more: answered {status} no"):
        talk(large, messages(8), lambda request: answer(status, {"error": "no"}))


def test_an_error_tells_when_the_server_wants_to_be_asked_again(large: Conversations) -> None:
    for told, seconds in (({"retry-after": "7"}, 7.0), ({"retry-after": "soon"}, None), ({}, None)):
        with pytest.raises(BroadcastError) as caught:
            talk(large, messages(1), lambda request, told=told: answer(429, {"error": "no"}, told))  # type: ignore[misc]
        assert caught.value.retry_after == seconds


@pytest.mark.parametrize("status", [413, 422])
def test_an_event_that_is_refused_by_itself_takes_no_later_one_with_it(large: Conversations, status: int) -> None:
    sent, limit = [*messages(2), Message(("a", "b"), "both", "{}"), *messages(2)], large.limit

    def reply(request: ApiRequest) -> HttpAnswer:
        return answer(status, {"error": "no"}, headers={}) if request.path == "/events" else answer()

    requests, errors = talk(large, sent, reply)

    assert len(requests) == 3
    assert errors.keys() == {2}
    assert large.limit == limit


def test_a_server_that_understands_nothing_is_not_asked_for_each_event(large: Conversations) -> None:
    asked: list[ApiRequest] = []

    def reply(request: ApiRequest) -> HttpAnswer:
        asked.append(request)
        return answer(400, {"error": "this port speaks TLS"}, headers={})

    with pytest.raises(BroadcastError, match="event n0 on a and 49 more: answered 400 this port speaks TLS"):
        talk(large, messages(50), reply)
    assert len(asked) == 1


def test_the_first_refusal_of_another_server_ends_all() -> None:
    with pytest.raises(BroadcastError, match="event n0 on a and 19 more: answered 422 no"):
        talk(conversations("pusher"), messages(20), lambda request: answer(422, {"error": "no"}))


def test_an_event_for_several_channels_keeps_its_place_between_batches(large: Conversations) -> None:
    sent = [*messages(2), Message(("a", "b"), "both", "{}"), *messages(2)]

    requests, _ = talk(large, sent, lambda request: answer())

    assert [(request.path, names(request)) for request in requests] == [
        ("/batch_events", ["n0", "n1"]),
        ("/events", ["both"]),
        ("/batch_events", ["n0", "n1"]),
    ]


def test_messages_that_are_sent_again_have_the_keys_of_the_first_time() -> None:
    own = conversations()
    sent = messages(25)

    first, _ = talk(own, sent, lambda request: answer())
    assert own.limit is not None, "it was told in the first answer"
    again = requests_of(own, sent, None)

    assert [request.headers["Idempotency-Key"] for request in again] == [
        request.headers["Idempotency-Key"] for request in first
    ]
