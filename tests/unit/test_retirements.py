"""What has ended is an error that names its successor; what will end warns with the day."""

from __future__ import annotations

import json
import re
import shutil
from datetime import date
from pathlib import Path

import pytest

from customai import planner, retirements
from docs import retirements as script

REPOSITORY = Path(__file__).parents[2]
SHARED = REPOSITORY.parent / "shared" / "azure" / "facts" / "retirements.tsv"
TODAY = "2026-11-25"


@pytest.fixture(autouse=True)
def _day(monkeypatch):
    monkeypatch.setenv(retirements.TODAY_VARIABLE, TODAY)


@pytest.fixture
def spec(tmp_path):
    """spec("vm: {size: X}") -> the file of a spec of 1-1, or of 2-5 where it is about a cluster."""

    def write(more):
        folder = REPOSITORY / "paths" / ("2-5" if more.startswith("cluster") else "1-1")
        made = (
            shutil.copytree(folder, tmp_path / "mine", ignore=shutil.ignore_patterns("__pycache__")) / "customai.yaml"
        )
        made.write_text(f"{made.read_text(encoding='utf-8')}\nazure:\n  {more}\n", encoding="utf-8")
        return made

    return write


ENDED = [
    ("vm: {size: Standard_NV12s_v3}", "azure.vm.size", "2026-09-30", "Standard_NC4as_T4_v3"),
    ("vm: {image: 'microsoft-ads:linux-data-science-vm-ubuntu:x:latest'}", "azure.vm.image", "2022-10-01", "dsvm"),
    ("vm: {image: 'microsoft-dsvm:ubuntu-2004:2004-gen2:latest'}", "azure.vm.image", "2025-05-31", "dsvm"),
    ("cluster: {version: '1.29'}", "azure.cluster.version", "2026-07-31", "1.36"),
    ("cluster: {pools: [{size: Standard_NC6}]}", "azure.cluster.pools[0].size", "2023-08-31", "Standard_NC4as_T4_v3"),
]


@pytest.mark.parametrize(("more", "key", "day", "successor"), ENDED, ids=[case[1] + case[2] for case in ENDED])
def test_what_has_ended_is_an_error_with_its_place(spec, more, key, day, successor):
    file = spec(more)
    with pytest.raises(planner.spec.InvalidSpec) as error:
        planner.read(file)
    (problem,) = error.value.problems
    assert (problem.key, problem.file) == (key, str(file))
    assert f"ended on {day}: take {successor}" in problem.message
    assert problem.line == len(file.read_text(encoding="utf-8").splitlines())
    assert error.value.exit_code == 2


ENDING = [
    ("vm: {size: Standard_DS3_v2}", "azure.vm.size", "2028-05-01"),
    ("vm: {image: 'microsoft-dsvm:ubuntu-hpc:2204:latest'}", "azure.vm.image", "2027-06-30"),
    ("cluster: {version: '1.35.1'}", "azure.cluster.version", "2027-03-31"),
    ("cluster: {pools: [{size: Standard_F4s_v2}]}", "azure.cluster.pools[0].size", "2028-11-15"),
    ("cluster: {system: {size: Standard_DS2_v2}}", "azure.cluster.system.size", "2028-05-01"),
]


@pytest.mark.parametrize(("more", "key", "day"), ENDING, ids=[case[1] for case in ENDING])
def test_what_will_end_warns_with_the_day_and_its_place(spec, more, key, day, monkeypatch):
    file = spec(more)
    (warning,) = planner.read(file).warnings
    assert (warning.key, warning.line) == (key, len(file.read_text(encoding="utf-8").splitlines()))
    assert f"ends on {day}: take " in warning.message
    monkeypatch.setenv(retirements.TODAY_VARIABLE, day)  # on that day it has ended
    with pytest.raises(planner.spec.InvalidSpec):
        planner.read(file)


@pytest.mark.parametrize("id_", ["1-1", "2-5"])
def test_the_examples_use_nothing_that_ends(id_):
    assert planner.read(planner.locate(id_)).warnings == ()


def test_warnings_go_to_stderr_and_into_the_json(spec, customai):
    file = spec("vm: {size: Standard_DS3_v2}")
    done = customai("check", str(file), "-o", "json")
    assert done.returncode == 0
    assert re.search(
        r"Warning: .*customai.yaml:\d+:\d+: azure.vm.size: Standard_DS3_v2 .*ends on 2028-05-01", done.stderr
    )
    (warning,) = json.loads(done.stdout)["warnings"]
    assert (warning["key"], warning["file"]) == ("azure.vm.size", str(file))


def test_successors_have_not_ended_and_will_not():
    for each in retirements.table():
        assert each.successor
        known = retirements.find(each.kind, each.successor)
        assert known is None, f"{each.pattern} names {each.successor}, which ends on {known.day}"


def test_every_line_is_whole_and_is_found_by_its_own_pattern():
    rows = [line.split("\t") for line in retirements.TABLE.read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    assert rows[0] == ["date", "kind", "pattern", "was", "successor", "listed", "source"]
    assert all(len(row) == 7 and row[6] for row in rows)
    assert {row[1] for row in rows[1:]} == {"size", "image", "kubernetes", "service", "runtime", "tier"}
    assert len(retirements.table()) == len(rows) - 1


@pytest.mark.parametrize(
    "size", ["NC4as_T4_v3", "NC24ads_A100_v4", "NC40ads_H100_v5", "ND96asr_v4", "D4s_v3", "D2ds_v5", "E8s_v3", "B2s_v2", "A4_v3"]
)  # fmt: skip
def test_what_stays_is_not_taken_for_what_goes(size):
    assert retirements.find("size", f"Standard_{size}") is None


def test_a_day_that_is_none_is_told(monkeypatch):
    monkeypatch.setenv(retirements.TODAY_VARIABLE, "tomorrow")
    with pytest.raises(retirements.SpecError, match="no day"):
        retirements.today()
    monkeypatch.delenv(retirements.TODAY_VARIABLE)
    assert isinstance(retirements.today(), date)


def test_the_script_brings_the_dates_up_to_the_list(tmp_path):
    text = "# head\ndate\tkind\tpattern\twas\tsuccessor\tlisted\tsource\n"
    text += "2020-01-01\tsize\tA\ta\tb\tS|F\tx\n2020-01-01\tsize\tB\ta\tb\tS|G\tx\n2020-01-01\tsize\tC\ta\tb\t\tx\n"
    new, missing = script.updated(text, {"S|F": "2021-02-03"})
    assert [line.split("\t")[0] for line in new.splitlines()[2:]] == ["2021-02-03", "2020-01-01", "2020-01-01"]
    assert missing == ["S|G"]


def test_the_table_has_the_dates_of_microsofts_list():
    if not SHARED.is_file():
        pytest.skip("../shared is not there: nothing to compare with")
    text = retirements.TABLE.read_text(encoding="utf-8")
    assert script.updated(text, script.dates(SHARED)) == (text, [])
