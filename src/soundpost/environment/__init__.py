"""Environment variables: one reader, and one table of names, for the server and for applications."""

from soundpost.environment.names import APPLICATION, BUILD, FRAMEWORKS, PREFIX, PUBLIC, REVERB, names_of
from soundpost.environment.service_links import is_service_link, is_service_port
from soundpost.environment.text import EMPTY, NULL, truth, unquoted
from soundpost.environment.values import plain_value, value_from_file, value_of

__all__ = [
    "APPLICATION",
    "BUILD",
    "EMPTY",
    "FRAMEWORKS",
    "NULL",
    "PREFIX",
    "PUBLIC",
    "REVERB",
    "is_service_link",
    "is_service_port",
    "names_of",
    "plain_value",
    "truth",
    "unquoted",
    "value_from_file",
    "value_of",
]
