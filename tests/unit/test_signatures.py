"""Signatures, against the worked examples of Pusher's documentation and its SDKs."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from soundpost.wire import signatures

KEY, SECRET = "278d425bdf160c739803", "7ad3773142a6692b25b8"
BODY = b'{"name":"foo","channels":["project-3"],"data":"{\\"some\\":\\"data\\"}"}'


@pytest.mark.parametrize(
    ("text", "signature"),
    [
        (
            signatures.channel_text("1234.1234", "private-foobar"),
            "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4",
        ),
        (
            signatures.channel_text(
                "1234.1234", "presence-foobar", '{"user_id":10,"user_info":{"name":"Mr. Channels"}}'
            ),
            "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80",
        ),
        (
            signatures.user_text("1234.1234", '{"id":"12345"}'),
            "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba",
        ),
        (
            "POST\n/apps/3/events\nauth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0"
            "&body_md5=ec365a775a4cd0599faeb73354201b6f",
            "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c",
        ),
    ],
)
def test_signatures_are_those_of_pushers_examples(text: str, signature: str) -> None:
    assert signatures.sign(SECRET, text) == signature
    assert signatures.verify(SECRET, text, signature)


def test_signed_query_is_the_worked_example() -> None:
    query = signatures.signed_query(KEY, SECRET, "POST", "/apps/3/events", 1353088179, body=BODY)

    assert query == {
        "auth_key": KEY,
        "auth_timestamp": "1353088179",
        "auth_version": "1.0",
        "body_md5": "ec365a775a4cd0599faeb73354201b6f",
        "auth_signature": "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c",
    }


def test_signed_query_without_a_body_has_no_digest() -> None:
    query = signatures.signed_query(KEY, SECRET, "GET", "/apps/3/channels", 1, query={"info": "user_count"})

    assert "body_md5" not in query
    text = "GET\n/apps/3/channels\nauth_key=278d425bdf160c739803&auth_timestamp=1&auth_version=1.0&info=user_count"
    assert query["auth_signature"] == hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()


def test_values_of_a_repeated_name_are_signed_in_the_order_they_are_sent_in() -> None:
    pairs = [("info", "b"), ("a", "1"), ("Info", "a"), ("info", "c")]

    assert signatures.request_text("GET", "/p", pairs) == "GET\n/p\na=1&info=b&info=a&info=c"


def test_request_text_lowers_and_sorts_names_and_leaves_the_signature_out() -> None:
    pairs = [("b", "2 &=%"), ("Auth_Key", "K"), ("a", ""), ("auth_signature", "x"), ("AUTH_SIGNATURE", "y")]

    assert signatures.request_text("GET", "/p", pairs) == "GET\n/p\na=&auth_key=K&b=2 &=%"


@pytest.mark.parametrize("wrong", ["", "0", "58df8b0c", "x" * 64, "ä" * 64, "58DF" + "0" * 60, "\ud800"])
def test_a_wrong_signature_is_wrong_and_never_an_exception(wrong: str) -> None:
    assert not signatures.verify(SECRET, "text", wrong)


def test_empty_channel_data_is_part_of_the_text() -> None:
    assert signatures.channel_text("1.2", "presence-a", "") == "1.2:presence-a:"
    assert signatures.channel_text("1.2", "private-a") == "1.2:private-a"


def test_md5_of_an_empty_body_is_the_one_the_python_sdk_sends() -> None:
    assert signatures.md5(b"") == "d41d8cd98f00b204e9800998ecf8427e"


@pytest.mark.parametrize("size", [1, 2_047, 2_048, 4_094, 10_000])
def test_md5_of_a_body_of_any_size(size: int) -> None:
    body = bytes(index % 251 for index in range(size))

    assert signatures.md5(body) == hashlib.md5(body).hexdigest()


def test_texts_in_other_alphabets_are_signed_as_utf8() -> None:
    expected = hmac.new("ключ".encode(), "日本".encode(), hashlib.sha256).hexdigest()

    assert signatures.sign("ключ", "日本") == expected
