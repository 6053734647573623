"""A customai.yaml becomes frozen data, or the whole list of what is wrong with it.

tests/cases/spec/*.yaml are specs with problems; the *.problems.txt beside each holds them all.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from customai import spec
from customai.errors import SpecError
from customai.spec import InvalidSpec, Problem, Secret, load, read_path
from customai.spec.schema import to_json

if TYPE_CHECKING:
    from collections.abc import Iterable

CASES = Path(__file__).parents[1] / "cases" / "spec"


@dataclass(frozen=True)
class Preprocessing:
    size: tuple[int, int] = spec.key("Width and height.", default=(224, 224), minimum=1, maximum=4096)
    mean: tuple[float, ...] = spec.key("Subtracted from each channel.", default=())
    std: tuple[float, ...] = spec.key("Each channel is divided by it.", default=(), minimum=0.001)

    def problems(self) -> Iterable[tuple[str, str]]:
        if len(self.mean) != len(self.std):
            yield "std", "expected as many numbers as in mean"


@dataclass(frozen=True)
class Stage:
    name: str = spec.key("What it is called.", pattern="[a-z][a-z0-9-]{0,30}", examples=("warm-up",))
    users: int = spec.key("How many at once.", default=1, minimum=1)


@dataclass(frozen=True)
class Endpoint:
    host: str = spec.key("The address to listen on.", default="127.0.0.1")
    port: int = spec.key("The port.", default=8025, minimum=1, maximum=65535)
    public: bool = spec.key("Whether others can reach it.", default=False)
    timeout: float | None = spec.key("Seconds until a request is given up.", default=None, minimum=0, maximum=60)
    key: Secret | None = spec.key("What a caller must send.", default=None)


@dataclass(frozen=True)
class Spec:
    path: Literal["2-5"] = spec.key("Which path this is.")
    name: str = spec.key("What it is called.", pattern="[a-z][a-z0-9-]{0,30}", expected="a name such as my-model")
    model: str = spec.key("The model's file.", default="model.onnx")
    mode: Literal["cold", "warm", "off"] = spec.key("How it starts.", default="cold")
    labels: tuple[str, ...] = spec.key("The classes, in order.", default=())
    tags: dict[str, str] = spec.key("Put on every resource.", default=dict)
    weights: dict[str, float] | None = spec.key("Of each class.", default=None)
    password: str = spec.key("Not a good idea.", default="", pattern="[a-z]*")
    endpoint: Endpoint = spec.key("Where it is served.", default=Endpoint)
    preprocessing: Preprocessing = spec.key("What happens to an image.", default=Preprocessing)
    stages: tuple[Stage, ...] = spec.key("The load test.", default=())
    smoke_test: str | None = spec.key("An image to try.", default=None)

    def problems(self) -> Iterable[tuple[str, str]]:
        if self.mode == "off" and self.stages:
            yield f"stages[{len(self.stages) - 1}].users", "nobody can use what is off"
        if self.smoke_test and not self.labels:
            yield "labels", "expected labels, since there is a smoke_test"


START = "path: 2-5\nname: cats\n"


def read(text: str) -> Spec:
    return load(text, Spec, file="customai.yaml")


def problems_of(text: str) -> tuple[str, ...]:
    with pytest.raises(InvalidSpec) as caught:
        read(text)
    return tuple(str(problem) for problem in caught.value.problems)


@pytest.mark.parametrize("case", sorted(CASES.glob("*.yaml")), ids=lambda case: case.stem)
def test_a_spec_with_problems_gets_exactly_these(case: Path) -> None:
    with pytest.raises(InvalidSpec) as caught:
        load(case.read_text("utf-8", "surrogateescape"), Spec, file=case.name)
    told = "".join(f"{problem}\n" for problem in caught.value.problems)
    assert told == case.with_suffix(".problems.txt").read_text("utf-8")


def test_every_expectation_belongs_to_a_spec() -> None:
    assert {each.name.split(".")[0] for each in CASES.iterdir()} == {each.stem for each in CASES.glob("*.yaml")}


def test_a_minimal_spec_gets_every_default() -> None:
    assert read(START) == Spec(path="2-5", name="cats")


def test_every_type_is_read() -> None:
    text = """
path: '2-5'
name: cats
mode: warm
labels: [cat, "no", 'a bird']
tags: {owner: me, no: "3"}
weights: {cat: 1, dog: -2.5e-1, bird: 1e3}
endpoint:
  port: 80
  public: TRUE
  timeout: 3
  key: {env: API_KEY}
preprocessing: {size: [32, 16], mean: [0.5], std: [1.]}
stages:
  - name: first
  - {name: second, users: 20}
smoke_test: ~
"""
    assert read(text) == Spec(
        path="2-5",
        name="cats",
        mode="warm",
        labels=("cat", "no", "a bird"),
        tags={"owner": "me", "no": "3"},
        weights={"cat": 1.0, "dog": -0.25, "bird": 1000.0},
        endpoint=Endpoint(port=80, public=True, timeout=3.0, key=Secret(env="API_KEY")),
        preprocessing=Preprocessing(size=(32, 16), mean=(0.5,), std=(1.0,)),
        stages=(Stage("first"), Stage("second", 20)),
    )


def test_a_whole_number_where_a_number_is_expected_becomes_a_float() -> None:
    assert isinstance(read(START + "endpoint: {timeout: 3}\n").endpoint.timeout, float)


def test_the_result_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        read(START).name = "dogs"  # type: ignore[misc]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_byte_order_mark_and_either_line_ending_are_fine(ending: str) -> None:
    assert read("\ufeff" + START.replace("\n", ending)).name == "cats"


def test_json_is_yaml() -> None:
    assert read('{"path": "2-5", "name": "cats", "labels": ["a"]}').labels == ("a",)


def test_an_alias_repeats_what_it_names() -> None:
    loaded = read(START + "preprocessing: {mean: &ones [1, 1], std: *ones}\n")
    assert loaded.preprocessing.mean == loaded.preprocessing.std == (1.0, 1.0)


def test_a_problem_inside_an_alias_is_told_at_each_of_its_paths() -> None:
    told = problems_of(START + "preprocessing: {mean: &m [x], std: *m}\n")
    assert [line.split(": ")[1] for line in told] == ["preprocessing.mean[0]", "preprocessing.std[0]"]


def test_aliases_that_stand_for_billions_are_refused_quickly() -> None:
    @dataclass(frozen=True)
    class Deep:
        value: dict[str, dict[str, dict[str, dict[str, str]]]] = spec.key("Much.")

    ten = ", ".join(f"k{index}: *{{0}}" for index in range(100))
    layers = "".join(f"  {name}: &{name} {{{ten.format(below)}}}\n" for below, name in zip("abc", "bcd", strict=True))
    text = f"x:\n  a: &a {{{', '.join(f'k{index}: t' for index in range(100))}}}\n{layers}value: *d\n"
    with pytest.raises(InvalidSpec) as caught:
        load(text, Deep, file="laughs.yaml")
    assert "too large: more than 20000 values" in str(caught.value.problems[-1])


def test_a_huge_file_is_refused_unread() -> None:
    assert problems_of("# " + "x" * 300_000) == (
        "customai.yaml:1:1: the file is longer than 256 kB; keep data in files of their own",
    )


def test_at_most_a_hundred_problems_are_told() -> None:
    assert len(problems_of("".join(f"key{index}: 1\n" for index in range(5000)))) == 100


def test_a_class_that_holds_itself_can_be_read() -> None:
    assert load("inner: {inner: {}}", Nested, file="f") == Nested(Nested(Nested()))


def test_a_class_that_holds_itself_cannot_be_nested_without_end() -> None:
    links = "".join(f"  a{index}: &a{index} {{inner: *a{index - 1}}}\n" for index in range(1, 60))
    with pytest.raises(InvalidSpec):
        load(f"x:\n  a0: &a0 {{}}\n{links}inner: *a59\n", Nested, file="f")


@dataclass(frozen=True)
class Nested:
    inner: Nested | None = spec.key("Another.", default=None)


def test_rules_between_keys_wait_until_the_class_can_be_built() -> None:
    told = problems_of(START + "smoke_test: cat.jpg\nmodel: 3\n")
    assert told == ('customai.yaml:4:8: model: expected text, got the number 3: write it in quotes, "3"',)


def test_rules_between_keys_name_the_nearest_place_there_is() -> None:
    told = problems_of(START + "preprocessing:\n  mean: [1]\n")
    assert told == ("customai.yaml:3:1: preprocessing.std: expected as many numbers as in mean",)


def test_problems_are_told_in_the_order_of_the_file() -> None:
    with pytest.raises(InvalidSpec) as caught:
        read("zzz: 1\nname: 3\npath: 9\naaa: 1\n")
    assert [problem.line for problem in caught.value.problems] == [1, 2, 3, 4]


def test_the_error_counts_its_problems_and_points_at_the_first() -> None:
    with pytest.raises(SpecError) as caught:
        read(START + "port: 3\nmode: x\n")
    assert (str(caught.value), caught.value.where, caught.value.exit_code) == (
        "customai.yaml has 2 problems",
        "customai.yaml:3:1",
        2,
    )
    with pytest.raises(InvalidSpec, match=r"^customai\.yaml has 1 problem$"):
        read("")


def test_problems_are_json_too() -> None:
    with pytest.raises(InvalidSpec) as caught:
        read(START + "endpoint: {port: 0}\n")
    said = caught.value.to_json()
    assert said["type"] == "InvalidSpec"
    assert said["problems"] == [
        {
            "file": "customai.yaml",
            "line": 3,
            "column": 18,
            "key": "endpoint.port",
            "message": "expected a whole number from 1 to 65535, got the number 0",
        }
    ]


def test_a_problem_without_a_key_is_written_without_one() -> None:
    assert str(Problem("f", 1, 2, "", "no")) == "f:1:2: no"
    assert str(Problem("f", 1, 2, "a.b", "no")) == "f:1:2: a.b: no"


@pytest.mark.parametrize(
    "text",
    ["endpoint: {key: s3cret}", "endpoint: {key: {env: s3cret-1}}", "password: S3CRET", "password: [s3cret]"],
)
def test_what_may_be_a_secret_is_not_repeated(text: str) -> None:
    assert "s3cret" not in "".join(problems_of(START + text)).lower()


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in "".join(problems_of(START + 'mode: "\\e[31m"\n"\\e[0m": 1\n'))


def test_a_byte_that_is_not_utf8_has_a_place() -> None:
    text = b"path: 2-5\nname: caf\xe9\n".decode("utf-8", "surrogateescape")
    assert problems_of(text) == ("customai.yaml:2:10: the byte 0xe9 is not UTF-8; save the file as UTF-8",)


@pytest.mark.parametrize(("value", "why"), [(int | str, "union"), (bytes, "scalar"), (list[int], "mutable")])
def test_a_type_a_spec_cannot_hold_is_the_authors_mistake(value: Any, why: str) -> None:
    @dataclass(frozen=True)
    class Wrong:
        it: Any = spec.key("It.")

    Wrong.__annotations__["it"] = value
    with pytest.raises(TypeError, match="a spec cannot hold"):
        load("it: 3", Wrong, file="f")


def test_only_a_dataclass_can_be_loaded() -> None:
    with pytest.raises(TypeError, match="not a dataclass"):
        load("a: 3", int, file="f")


def test_a_field_without_key_and_one_that_is_computed() -> None:
    @dataclass(frozen=True)
    class Plain:
        a: int
        b: int = field(default=2)
        c: int = field(init=False, default=3)

    assert load("a: 1", Plain, file="f") == Plain(1)
    with pytest.raises(InvalidSpec):
        load("a: 1\nc: 4", Plain, file="f")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("path: 2-5", "2-5"),
        ("name: x\npath: '2-5' # five\nrest: [broken", "2-5"),
        ('"path": "2-5"\r\n', "2-5"),
        ('{"name": "x", "path": "2-5"}', "2-5"),
        ("path: >\n  odd value\n", "odd value\n"),
        ("inner:\n  path: 2-5\n", None),
        ("path:\n", None),
        ("path: ~\n", None),
        ("path: [1]\n", None),
        ("[path]", None),
        ("", None),
        ("{broken", None),
        ("# path: 2-5", None),
    ],
)
def test_the_path_is_found_whatever_else_is_wrong(text: str, path: str | None) -> None:
    assert read_path(text, file="f") == path


def test_the_path_may_stand_in_a_spec_whose_class_does_not_name_it() -> None:
    assert load("path: 2-5\nname: first", Stage, file="f") == Stage("first")


def test_importing_spec_does_not_import_yaml() -> None:
    code = "import sys, customai.spec; print(sorted({'yaml', 'difflib', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


words = st.text("abcxyz019-", min_size=1, max_size=8)
anything = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
floats = st.floats(allow_nan=False, allow_infinity=False)
names = st.from_regex("[a-z][a-z0-9-]{0,30}", fullmatch=True)
channels = st.lists(st.tuples(floats, st.floats(0.001, 1e6)), max_size=3)
secrets = st.one_of(
    st.builds(Secret, env=st.from_regex("[A-Za-z_][A-Za-z0-9_]*", fullmatch=True)), st.builds(Secret, file=words)
)
endpoints = st.builds(
    Endpoint,
    host=anything,
    port=st.integers(1, 65535),
    public=st.booleans(),
    timeout=st.none() | st.floats(0, 60),
    key=st.none() | secrets,
)
preprocessings = st.builds(
    lambda size, both: Preprocessing(size, tuple(mean for mean, _ in both), tuple(std for _, std in both)),
    st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
    channels,
)
specs = st.builds(
    Spec,
    path=st.just("2-5"),
    name=names,
    model=anything,
    mode=st.sampled_from(["cold", "warm"]),
    labels=st.lists(anything, max_size=4).map(tuple),
    tags=st.dictionaries(words, anything, max_size=3),
    weights=st.none() | st.dictionaries(words, floats, max_size=3),
    endpoint=endpoints,
    preprocessing=preprocessings,
    stages=st.lists(st.builds(Stage, name=names, users=st.integers(1, 10**17)), max_size=3).map(tuple),
)


class Quoting(yaml.SafeDumper):
    """Quotes all text: PyYAML would write 1e3 or 09 without, which YAML 1.2 takes for numbers and load() for a doubt."""


Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


@settings(deadline=None)
@given(specs, st.booleans())
def test_a_spec_that_is_written_loads_back_equal(written: Spec, flow: bool) -> None:
    text = yaml.dump(to_json(written), Dumper=Quoting, default_flow_style=flow, allow_unicode=False, sort_keys=False)
    assert read(text) == written
    assert read_path(text, file="f") == "2-5"


def survives(text: str) -> None:
    try:
        read(text)
    except InvalidSpec as error:
        for problem in error.problems:
            assert (problem.line, problem.column) >= (1, 1), problem
            str(problem).encode()


@settings(deadline=None)
@given(st.text(max_size=200) | st.text("abn:-#&*!|>'\"%@`{}[],? \n\t0123.~<\\xuU", max_size=60))
@example('"\\UFFFFFFFF"')
@example("%YAML " + "9" * 5000 + ".1\n---\n")
@example("a: &a [*a]")
@example("?\n- [\n")
@example("1:1" * 5000)
@example("1:" * 9000 + "1")
@example("{" * 5000)
@example("- " * 5000)
@example("9" * 5000)
def test_no_text_is_too_strange(text: str) -> None:
    read_path(text, file="f")
    survives(text)
    survives(f"{START}labels: {text}")
    survives(f"{START}endpoint:\n  port: {text}\n  key: {text}")
