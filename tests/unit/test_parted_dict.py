"""A mapping made of several dictionaries: it is one mapping, and is gone through while entries come and go."""

from __future__ import annotations

import pytest

from soundpost.backplane.parted_dict import PartedDict

NAMES = [f"name-{number}" for number in range(50)]


@pytest.fixture
def mapping() -> PartedDict[str, int]:
    mapping = PartedDict[str, int]()
    mapping.update({name: number for number, name in enumerate(NAMES)})
    return mapping


def test_it_has_what_was_put_in(mapping: PartedDict[str, int]) -> None:
    assert [mapping[name] for name in NAMES] == [mapping.of(name) for name in NAMES] == [*range(50)]
    assert sorted(mapping.each_value()) == [*range(50)]
    assert dict(mapping) == dict(zip(NAMES, range(50), strict=True))
    assert (len(mapping), "name-7" in mapping, "other" in mapping, mapping.of("other")) == (50, True, False, None)


def test_an_entry_that_is_deleted_is_gone(mapping: PartedDict[str, int]) -> None:
    del mapping["name-7"]
    assert (len(mapping), "name-7" in mapping) == (49, False)
    with pytest.raises(KeyError):
        mapping["name-7"]


def test_keys_come_and_go_while_all_are_gone_through(mapping: PartedDict[str, int]) -> None:
    keys = list[str]()
    for key in mapping.each_key():
        keys.append(key)
        del mapping[key]
        mapping[f"new-{key}"] = 100

    assert set(NAMES) <= set(keys)
    assert len(set(keys)) == len(keys)
    assert len(mapping) == len(NAMES)
