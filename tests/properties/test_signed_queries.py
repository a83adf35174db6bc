"""A signed query means the same whether it has the usual form, which is checked in fewer steps, or not."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from conformance.protocol.stage import APP, Stage
from soundpost.server.api.authentication import authenticate
from soundpost.server.api.requests import ApiError, Request
from soundpost.wire.signatures import md5, request_text, sign

NOW = 1_700_000_000
PATH, BODY = "/apps/1/events", b'{"name":"e"}'
STAGE = Stage()
SIGNED = ("auth_", "body_md5")

TIMESTAMPS = st.sampled_from(
    [str(NOW)] * 6 + ["1700000600", "1700000601", "0", "01700000000", "17000000000", "-700000000", "soon, soon", ""]
)
VERSIONS = st.sampled_from(["1.0"] * 8 + ["1.1", "", "1.0 "])
DIGESTS = st.sampled_from([md5(BODY)] * 8 + [md5(BODY).upper(), md5(b""), "", "é" * 32])
KEYS = st.sampled_from([APP.key] * 8 + ["other", APP.key + "+", ""])


@st.composite
def queries(draw: st.DrawFn) -> str:
    """Return a query that is signed rightly, or changed after that."""
    given = [("auth_key", draw(KEYS)), ("auth_timestamp", draw(TIMESTAMPS)), ("auth_version", draw(VERSIONS))]
    given.append(("body_md5", draw(DIGESTS)))
    if draw(st.sampled_from([False] * 4 + [True])):
        given.append(("info", "cache"))
    signature = ("auth_signature", sign(APP.secret, request_text("POST", PATH, given)))
    given.insert(draw(st.sampled_from([1, 1, len(given), len(given), 0, 2])), signature)
    if draw(st.sampled_from([False] * 4 + [True])):
        given = draw(st.permutations(given))
    query = "&".join(f"{name}={value}" for name, value in given)
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        at = draw(st.integers(0, len(query)))
        new = draw(st.sampled_from(["", "&", "=", "0", "a", "%61", "+", "é", "&auth_signature=", "auth_key=app-key&"]))
        query = query[:at] + new + query[at + draw(st.sampled_from([0, 1, 1, 16])) :]
    return query


def outcome(query: str, body: bytes) -> object:
    """Return digest and other parameters of an accepted request; status and reason of a refused one."""
    request = Request(b"POST", f"{PATH}?{query}".encode("latin-1"), "1.1", [], body, True)
    try:
        parameters = authenticate(request, STAGE.app, "", NOW)
    except ApiError as error:
        assert not request.is_signed
        return error.status, error.message
    return request.body_md5, {name: value for name, value in parameters.items() if not name.startswith(SIGNED)}


def usual(*, signature_last: bool) -> str:
    pairs = [("auth_key", APP.key), ("auth_timestamp", str(NOW)), ("auth_version", "1.0"), ("body_md5", md5(BODY))]
    signature = ("auth_signature", sign(APP.secret, request_text("POST", PATH, pairs)))
    pairs.insert(len(pairs) if signature_last else 1, signature)
    return "&".join(f"{name}={value}" for name, value in pairs)


@settings(max_examples=500)
@given(queries(), st.sampled_from([BODY, BODY, BODY, b"", b"{}"]))
@example(usual(signature_last=True), BODY)
@example(usual(signature_last=False), BODY)
@example(usual(signature_last=False).replace(APP.key, "x" * len(APP.key)), BODY)
@example(usual(signature_last=False).replace("&auth_timestamp", "+auth_timestamp"), BODY)
@example(usual(signature_last=True).replace("&auth_signature", "+auth_signature"), BODY)
def test_the_usual_form_is_checked_as_every_other(query: str, body: bytes) -> None:
    # An empty parameter changes nothing, but for the form.
    assert outcome(query, body) == outcome("&" + query, body)


def test_the_usual_forms_are_accepted() -> None:
    for signature_last in (True, False):
        assert outcome(usual(signature_last=signature_last), BODY) == (md5(BODY), {})
