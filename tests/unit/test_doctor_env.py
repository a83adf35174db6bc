"""Contradictions in ``.env`` files: each has its id, and files that are well have none."""

from __future__ import annotations

from pathlib import Path

import pytest

from soundpost.tools.doctor.base_url import parse_base_url
from soundpost.tools.doctor.contradictions import contradictions
from soundpost.tools.doctor.dotenv import read_env_file
from soundpost.tools.doctor.findings import FaultFound
from soundpost.tools.doctor.sourced_address import SourcedAddress
from support.doctor_env_cases import BACKEND, CASES, FRONTEND, LARAVEL, WELL, Case


def found(folder: Path, files: dict[str, str], url: str | None = None) -> list[FaultFound]:
    for name, text in files.items():
        (folder / name).write_text(text)
    read = tuple(read_env_file(folder / name, name) for name in files)
    return contradictions(read, None if url is None else SourcedAddress(parse_base_url(url), "--url"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code}: {case.set_up}")
def test_a_contradiction_is_named(case: Case, tmp_path: Path) -> None:
    faults = found(tmp_path, case.files)
    assert [fault.code for fault in faults] == [case.code]
    assert all(fault.message and fault.fix for fault in faults)


@pytest.mark.parametrize("name", WELL)
def test_files_that_are_well(name: str, tmp_path: Path) -> None:
    assert [(fault.code, fault.message) for fault in found(tmp_path, WELL[name])] == []


def test_the_place_is_told_with_its_file(tmp_path: Path) -> None:
    files = {"backend.env": BACKEND, "frontend.env": FRONTEND.replace("${REVERB_APP_KEY}", "old-key")}
    (fault,) = found(tmp_path, files)
    assert fault.message == (
        "frontend.env: VITE_REVERB_APP_KEY is 'old-key', but the app's key is 'app-key' (backend.env: REVERB_APP_KEY)"
    )


def test_no_secret_is_told(tmp_path: Path) -> None:
    for case in CASES:
        for fault in found(tmp_path, case.files):
            assert "river-8-lantern" not in fault.message + fault.fix, case


def test_localhost_is_well_until_a_public_address_is_given(tmp_path: Path) -> None:
    text = LARAVEL.replace("APP_ENV=local\nAPP_URL=http://localhost\n", "")
    assert found(tmp_path, {".env": text}) == []
    codes = [fault.code for fault in found(tmp_path, {".env": text}, url="https://ws.example.com")]
    assert "env-frontend-localhost" in codes


def test_the_given_address_is_compared_with_what_browsers_are_told(tmp_path: Path) -> None:
    (fault,) = found(tmp_path, {".env": BACKEND + FRONTEND}, url="https://rt.example.com")
    assert fault.code == "env-public-differs"
    assert "--url to rt.example.com" in fault.message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (fault,) = contradictions((read_env_file(tmp_path / "backend" / ".env", "backend/.env"),), None)
    assert fault.code == "env-unreadable"


def test_a_folder_stands_for_its_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(LARAVEL)
    assert read_env_file(tmp_path, ".").values["REVERB_PORT"].text == "8080"
