"""The end of a certificate, read from its file."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from cryptography import x509

from soundpost.server.figures.certificate_end import certificate_ends_at
from support.certificates import Authority


def truth(file: Path) -> float:
    return x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc.timestamp()


@pytest.mark.parametrize("days", [90, 20_000])
def test_the_end_of_the_first_certificate_in_the_file(tmp_path: Path, days: int) -> None:
    chain = Authority(tmp_path).certificate("localhost", days=(-1, days)).chain
    assert certificate_ends_at(str(chain)) == truth(chain)
    assert truth(chain) > time.time()


def test_a_renewed_certificate_ends_later(tmp_path: Path) -> None:
    authority, live = Authority(tmp_path), tmp_path / "live.pem"
    for days in (10, 90):
        new = authority.certificate("localhost", days=(-1, days)).chain
        shutil.copyfile(new, live)
        os.utime(live, (days, days))
        assert certificate_ends_at(str(live)) == truth(new)


def test_nobody_knows_the_end_without_a_certificate(tmp_path: Path) -> None:
    assert certificate_ends_at(None) is None
    assert certificate_ends_at(str(tmp_path / "none.pem")) is None
    for content in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no certificate"):
        (tmp_path / "broken.pem").write_text(content)
        assert certificate_ends_at(str(tmp_path / "broken.pem")) is None
        (tmp_path / "broken.pem").unlink()
