"""docs/doctor.md has every fault under a heading of its own, and how it was set up."""

from __future__ import annotations

import re

import pytest

from soundpost import documentation
from soundpost.tools.doctor.faults import FAULTS, SECTIONS, Fault
from soundpost.tools.doctor.findings import facts_of
from support.doctor_page import PAGE, set_ups, written


def test_the_page_has_the_list_of_faults() -> None:
    assert PAGE.read_text() == written(), "python tests/support/doctor_page.py writes it anew"


def test_every_fault_is_set_up() -> None:
    assert set(set_ups()) == set(FAULTS)


def test_the_address_of_a_fault_is_its_heading() -> None:
    """GitHub and MkDocs make a heading's anchor of its text alike: small letters, digits and hyphens stay."""
    headings = re.findall(r"^#+ (.*)$", PAGE.read_text(), re.MULTILINE)
    anchors = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    assert len(anchors) == len(set(anchors))
    for fault in FAULTS.values():
        assert fault.docs == documentation.page("doctor", fault.anchor)
        assert fault.anchor in anchors


def test_ids_are_unique() -> None:
    assert len(FAULTS) == sum(len(faults) for faults in SECTIONS.values())


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.code)
def test_a_fault_is_told_well(fault: Fault) -> None:
    assert re.fullmatch(r"[a-z0-9.]+(-[a-z0-9.]+)*", fault.code)
    assert not fault.message.endswith("."), "it is part of a line"
    assert fault.why.endswith(".")
    assert fault.fix.endswith((".", ".{seen}", ".{log}", "…", "'", "/"))
    assert not facts_of(fault.why), "it is the same wherever it is found"
    for situation, fix in fault.other_fixes.items():
        assert not situation.endswith(".")
        assert fix.endswith(".")
