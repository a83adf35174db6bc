"""Small HTTP/1.1 server for operators and tools, in the running event loop."""

from soundpost.server.admin_http.connection import AdminConnection, Timeouts
from soundpost.server.admin_http.listener import AdminListener, check_address
from soundpost.server.admin_http.messages import (
    AdminError,
    AdminRequest,
    AdminResponse,
    AdminStream,
    Answer,
    Handle,
    json_answer,
    not_found,
    read_body,
)
from soundpost.server.admin_http.routes import Routes

__all__ = [
    "AdminConnection",
    "AdminError",
    "AdminListener",
    "AdminRequest",
    "AdminResponse",
    "AdminStream",
    "Answer",
    "Handle",
    "Routes",
    "Timeouts",
    "check_address",
    "json_answer",
    "not_found",
    "read_body",
]
