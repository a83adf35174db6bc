"""Rights of Nginx's user to a Unix socket, and who that user is."""

from __future__ import annotations

import os
from pathlib import Path

from soundpost.tools.doctor.socket_rights import UserGroups, closed_to, nginx_user

STRANGER = UserGroups("stranger", 4_000_000, frozenset())
GROUP = UserGroups("member", 4_000_000, frozenset({os.getegid()}))


def socket_in(folder: Path, mode: int, own: int = 0o666) -> Path:
    for parent in folder.parents:
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    path = folder / "run" / "soundpost.sock"
    path.parent.mkdir()
    path.touch()
    path.chmod(own)
    folder.chmod(0o755)
    path.parent.chmod(mode)
    return path


def test_a_folder_that_is_closed_to_others(tmp_path: Path) -> None:
    path = socket_in(tmp_path, 0o700)
    closed = closed_to(STRANGER, path)
    assert closed is not None
    assert (closed.path, closed.mode, closed.command) == (path.parent, 0o700, f"chmod o+x {path.parent}")


def test_a_folder_that_is_open_to_a_group(tmp_path: Path) -> None:
    path = socket_in(tmp_path, 0o710)
    assert closed_to(STRANGER, path) is not None
    assert closed_to(GROUP, path) is None
    assert closed_to(UserGroups("root", 0, frozenset()), path) is None


def test_a_socket_that_is_closed_itself(tmp_path: Path) -> None:
    path = socket_in(tmp_path, 0o755, 0o600)
    closed = closed_to(STRANGER, path)
    assert closed is not None
    assert closed.command == f"chmod o+rw {path}"
    path.chmod(0o666)
    assert closed_to(STRANGER, path) is None


def test_the_user_of_nginx_is_that_of_its_configuration(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text("# user root;\nuser nobody nogroup;\nworker_processes 1;\n")
    user = nginx_user(tmp_path, tmp_path / "no-proc")
    assert user is not None
    assert user.name == "nobody"
