"""The `azure:` block of a spec: every problem with its place, before anything is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from customai import spec
from customai.errors import SpecError
from customai.paths.azure_scoring import dns_address
from customai.paths.azure_section import Scoring, Training, wrong_size
from customai.paths.azure_training import public_key
from customai.planner import SpecFiles
from customai.spec import InvalidSpec


@dataclass(frozen=True)
class OnScoring:
    azure: Scoring = spec.key("Where.", default=Scoring)


@dataclass(frozen=True)
class OnTraining:
    azure: Training = spec.key("Where.", default=Training)


CASES = sorted((Path(__file__).parents[2] / "cases" / "azure" / "spec").glob("*.yaml"))


def problems(text, cls, file="customai.yaml"):
    with pytest.raises(InvalidSpec) as found:
        spec.load(text, cls, file=file)
    return "".join(f"{problem}\n" for problem in found.value.problems)


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_every_problem_is_told_with_its_place(file):
    cls = OnTraining if file.name.startswith("training") else OnScoring
    told = problems(file.read_text(encoding="utf-8"), cls, file.name)
    assert told == file.with_suffix(".problems.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("size", ["NC6", "NC24r", "NC6_Promo", "NC12s_v2", "NC24rs_v3", "ND24rs", "NV6", "NV12s_v3", "NV8as_v4"])  # fmt: skip
def test_a_retired_size_names_its_successor(size):
    ((_, message),) = wrong_size("size", f"Standard_{size}")
    assert "ended on 20" in message
    successor = message.rpartition("take ")[2]
    assert list(wrong_size("size", successor)) == []


@pytest.mark.parametrize("size", ["NC4as_T4_v3", "NC24ads_A100_v4", "NC40ads_H100_v5", "ND96isr_H100_v5", "NV36ads_A10_v5", "D4ds_v5", "ND96asr_v4"])  # fmt: skip
def test_a_current_size_is_no_problem(size):
    assert list(wrong_size("size", f"Standard_{size}")) == []


def test_the_dns_address_is_within_the_services_range():
    assert dns_address("10.100.0.0/16") == "10.100.0.10"


@pytest.fixture
def key(tmp_path):
    def read(text):
        if text is not None:
            (tmp_path / "id.pub").write_text(text)
        return public_key(SpecFiles(tmp_path), "id.pub")

    return read


@pytest.mark.parametrize("text", ["ssh-ed25519 AAAA me@here\n", "\nssh-rsa AAAA\n\n"])
def test_a_public_key_is_one_line(key, text):
    assert key(text) == text.strip()


def test_a_key_that_is_not_there_is_no_problem_where_none_is_needed(key):
    assert key(None) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n", "is a private key"),
        ("", "is not a public key"),
        ("ssh-ed25519\n", "is not a public key"),
        ("ecdsa-sha2-nistp256 AAAA me\n", "is not a public key that Azure takes"),
        ("ssh-rsa AAAA\nssh-rsa BBBB\n", "is not a public key"),
        ("hello world\n", "is not a public key"),
    ],
)
def test_what_is_not_a_public_key_is_refused(key, text, message):
    with pytest.raises(SpecError, match=message) as told:
        key(text)
    assert told.value.hint
    assert "abc" not in told.value.message + told.value.hint
