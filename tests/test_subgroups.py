import json

import pytest

from renalseg.errors import EvaluationError
from renalseg.evaluation.subgroups import Subgroup, find_clinical, read_clinical, subgroups


def names(groups, kind):
    return [(group.name, len(group.case_ids)) for group in groups if group.kind == kind]


def of_size(size):
    return subgroups({"case_1": {"radiographic_size": size}}, ["case_1"])[0].name


def test_real_cohort_in_groups(real_data):
    """Counted in KiTS23's file with awk."""
    path = find_clinical(real_data / "kits23")
    clinical = read_clinical(path)
    found = subgroups(clinical, clinical)
    assert names(found, "size") == [
        ("up to 4 cm", 24),
        ("4-7 cm", 20),
        ("7-10 cm", 6),
        ("over 10 cm", 10),
    ]
    assert names(found, "sex") == [("male", 33), ("female", 27)]
    assert names(found, "subtype")[:4] == [
        ("clear_cell_rcc", 41),
        ("papillary_rcc", 9),
        ("oncocytoma", 3),
        ("clear_cell_papillary", 2),
    ]
    for kind in ("size", "sex", "subtype"):
        cases = [case for group in found if group.kind == kind for case in group.case_ids]
        assert sorted(cases) == sorted(clinical)


def test_sizes_of_the_real_cohort_lie_within_their_groups_bounds(real_data):
    clinical = read_clinical(find_clinical(real_data / "kits23"))
    for group in subgroups(clinical, clinical)[:4]:
        sizes = [clinical[case]["radiographic_size"] for case in group.case_ids]
        low, high = {"up": (0, 4), "4-": (4, 7), "7-": (7, 10), "ov": (10, 99)}[group.name[:2]]
        assert all(low < size <= high for size in sizes)


@pytest.mark.parametrize(
    ("size_cm", "name"),
    [
        (4, "up to 4 cm"),
        (4.01, "4-7 cm"),
        (7.0, "4-7 cm"),
        (7.07, "7-10 cm"),
        (10, "7-10 cm"),
        (10.4, "over 10 cm"),
        (None, "unknown"),
        ("big", "unknown"),
        (float("nan"), "unknown"),
        (0, "unknown"),
    ],
)
def test_bound_belongs_to_the_smaller_size(size_cm, name):
    assert of_size(size_cm) == name


def test_case_without_record_or_value_is_unknown_and_comes_last():
    clinical = {"case_2": {"gender": "female", "radiographic_size": 3}, "case_3": {"gender": None}}
    assert subgroups(clinical, ["case_3", "case_2", "case_1"]) == (
        Subgroup("size", "up to 4 cm", ("case_2",)),
        Subgroup("size", "unknown", ("case_1", "case_3")),
        Subgroup("sex", "female", ("case_2",)),
        Subgroup("sex", "unknown", ("case_1", "case_3")),
        Subgroup("subtype", "unknown", ("case_1", "case_2", "case_3")),
    )


def test_only_the_cases_asked_for_are_grouped():
    clinical = {f"case_{number}": {"gender": "male"} for number in range(5)}
    assert {group.case_ids for group in subgroups(clinical, ["case_3"])} == {("case_3",)}


def test_clinical_file_is_beside_the_cases_or_above(tmp_path):
    cases = tmp_path / "data"
    cases.mkdir()
    assert find_clinical(cases) is None
    (tmp_path / "kits.json").write_text("[]")
    assert find_clinical(cases) == tmp_path / "kits.json"
    (cases / "kits.json").write_text("[]")
    assert find_clinical(cases) == cases / "kits.json"
    (cases / "kits23.json").write_text("[]")
    assert find_clinical(cases) == cases / "kits23.json"


@pytest.mark.parametrize(
    "content", ['{"case_id": "case_1"}', "[1]", '[{"case_id": 1}]', "[{}]", "[", "\n", "null"]
)
def test_other_json_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "kits.json"
    path.write_text(content)
    with pytest.raises(EvaluationError, match="expected a JSON list of records") as caught:
        read_clinical(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "kits.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EvaluationError, match="expected a JSON list"):
        read_clinical(tmp_path / "kits.json")


def test_records_are_by_case(tmp_path):
    path = tmp_path / "kits.json"
    path.write_text(json.dumps([{"case_id": "case_00001", "gender": "male"}]))
    assert read_clinical(path)["case_00001"]["gender"] == "male"
