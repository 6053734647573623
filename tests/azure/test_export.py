"""The plan as an ARM template: every expression is read and worked out here, and what comes of it is the plan again."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from customai.errors import NotAvailable
from customai.model import Plan, Step, resolve
from customai.provisioning import KINDS, lowering
from customai.provisioning.api_versions import type_of
from customai.provisioning.azure_names import NO_SUBSCRIPTION
from customai.targets.azure_template import exported
from tests.azure import test_requests
from tests.azure.test_requests import CASES, REPOSITORY, VARIANTS, neutral

referee = test_requests.referee  # the fixture
GROUP = f"/subscriptions/{NO_SUBSCRIPTION}/resourceGroups/"


def planned(variant: str) -> Plan:
    steps = tuple(
        replace(step, inputs=lowering(step.kind, "azure")(step.inputs)) for step in neutral(VARIANTS[variant])
    )
    return Plan("digits", variant[:3], "azure", "digest", steps)


def outputs(kind: str) -> dict[str, str]:
    found: dict[str, str] = import_module(KINDS[kind]).OUTPUTS
    return found


def known_later(plan: Plan) -> dict[str, Any]:
    """Something plausible for every output of every step."""
    return {
        step.id: {"id": step.inputs.get("url", "").partition("?")[0]}
        | {name: f"{step.id}-{name}" for name in outputs(step.kind)}
        for step in plan.steps
    }


# An expression is a text, or a call with texts and calls in it, and properties of what it gives.

TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<mark>[(),.]))")


@dataclass(frozen=True)
class Call:
    function: str
    arguments: tuple[Any, ...]
    properties: tuple[str, ...]


def parsed(code: str) -> Any:
    tokens, at = [], 0
    while at < len(code):
        token = TOKEN.match(code, at)
        assert token is not None, f"no token at {code[at:]!r}"
        tokens.append((str(token.lastgroup), token[str(token.lastgroup)]))
        at = token.end()
    found = _operand(tokens)
    assert not tokens, f"{tokens} after the end of {code!r}"
    return found


def _operand(tokens: list[tuple[str, str]]) -> Any:
    kind, token = tokens.pop(0)
    if kind == "text":
        return token[1:-1].replace("''", "'")
    assert kind == "word", token
    assert tokens.pop(0)[1] == "("
    arguments: list[Any] = []
    while tokens[0][1] != ")":
        arguments.append(_operand(tokens))
        assert tokens[0][1] in {",", ")"}
        if tokens[0][1] == ",":
            tokens.pop(0)
            assert tokens[0][1] != ")"
    tokens.pop(0)
    properties = []
    while tokens and tokens[0][1] == ".":
        tokens.pop(0)
        properties.append(tokens.pop(0)[1])
    return Call(token, tuple(arguments), tuple(properties))


@pytest.mark.parametrize("code", ["f('a'", "f('a',)", "f('a') g()", "f(a)", "'a", "f('it's')", ""])
def test_what_is_no_expression_is_not_read(code: str) -> None:
    with pytest.raises((AssertionError, IndexError)):
        parsed(code)


class Deployment:
    """What Azure makes of a template's group: expressions worked out."""

    def __init__(self, plan: Plan) -> None:
        self.template = exported(plan).template["resources"][1]["properties"]["template"]
        self.steps = {step.inputs["url"].partition("?")[0]: step for step in plan.steps if step.is_request}
        self.group = next(id_ for id_, step in self.steps.items() if step.kind == "resource_group")
        self.later = known_later(plan)
        self.functions = {
            "concat": lambda *texts: "".join(texts),
            "extensionResourceId": self.id_in,
            "guid": lambda *texts: str(uuid5(NAMESPACE_URL, "|".join(texts))),
            "parameters": self.parameter,
            "reference": self.reference,
            "resourceGroup": lambda: {"id": self.group},
            "resourceId": lambda *parts: self.id_in(self.group, *parts),
            "subscription": lambda: {"id": self.group.partition("/resourceGroups/")[0]},
            "subscriptionResourceId": lambda *parts: self.id_in(self.group.partition("/resourceGroups/")[0], *parts),
        }

    def value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.value(key): self.value(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if not isinstance(value, str) or not (value.startswith("[") and value.endswith("]")):
            return value
        return value[1:] if value.startswith("[[") else self.work_out(parsed(value[1:-1]))

    def work_out(self, code: Any) -> Any:
        if not isinstance(code, Call):
            return code
        found = self.functions[code.function](*map(self.work_out, code.arguments))
        for each in code.properties:
            found = found[each]
        return found

    def id_in(self, scope: str, type_: str, *names: str) -> str:
        provider, *types = type_.split("/")
        assert len(types) == len(names)
        return f"{scope}/providers/{provider}" + "".join(f"/{a}/{b}" for a, b in zip(types, names, strict=True))

    def parameter(self, name: str) -> Any:
        assert name in self.template["parameters"]
        return f"parameter {name}"

    def reference(self, id_: str, version: str, full: str = "") -> Any:
        """Each property of it is the output that the plan means by it."""
        assert re.fullmatch(r"\d{4}-\d\d-\d\d(-preview)?", version)
        step = self.steps[id_]
        whole: dict[str, Any] = {}
        for output, place in outputs(step.kind).items():
            *above, last = place.split(".")
            inner = whole
            for each in above:
                inner = inner.setdefault(each, {})
            inner[last] = self.later[step.id][output]
        return whole if full else whole["properties"]

    def id_of(self, resource: Any) -> str:
        scope = self.value(resource.get("scope", "[resourceGroup().id]"))
        return self.id_in(scope, resource["type"], *self.value(resource["name"]).split("/"))


def deployed(plan: Plan) -> tuple[Deployment, dict[str, Any]]:
    """The template's group and, by id, the resources in it: each once."""
    deployment = Deployment(plan)
    resources = deployment.template["resources"]
    by_id = {deployment.id_of(each): each for each in resources}
    assert len(by_id) == len(resources)
    return deployment, by_id


def named_anew(deployment: Deployment, id_: str) -> str:
    """The id as the template has it: a role assignment is named by guid()."""
    scope, _, own = id_.rpartition("/providers/")
    if not own.startswith("Microsoft.Authorization/roleAssignments/"):
        return id_
    return f"{scope}/providers/{own.rpartition('/')[0]}/{deployment.functions['guid'](scope, own.rpartition('/')[2])}"


BESIDE_A_TEMPLATE = {
    "resource_group",
    "ml_job",
    "batchai_job",
}  # the group holds it; a job is begun, and does not stand


def asked(deployment: Deployment, plan: Plan) -> dict[str, Step]:
    """By id, the steps that are resources of the group."""
    return {
        named_anew(deployment, step.inputs["url"].partition("?")[0]): step
        for step in plan.steps
        if step.is_request and step.inputs["method"] == "PUT" and step.kind not in BESIDE_A_TEMPLATE
    }


def parameters(step: Step) -> dict[str, str]:
    """What whoever deploys the template says in the place of this step's outputs."""
    words = {name: re.findall(r"[a-z0-9]+", f"{step.id} {name}") for name in outputs(step.kind)}
    return {
        name: f"parameter {first}{''.join(word.capitalize() for word in rest)}"
        for name, (first, *rest) in words.items()
    }


def worked_out(plan: Plan) -> dict[str, Any]:
    """By step, the request that the template comes to."""
    deployment, resources = deployed(plan)
    steps = asked(deployment, plan)
    found = {}
    for id_, resource in resources.items():
        body = {key: each for key, each in resource.items() if key not in BY_THE_TEMPLATE}
        url = f"{id_}?api-version={resource['apiVersion']}"
        found[steps[id_].id] = {"method": "PUT", "url": url, "body": deployment.value(body)}
    return found


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_the_template_makes_is_what_the_plan_makes(variant: str) -> None:
    """Each resource once, at its version, with its body to the letter."""
    plan = planned(variant)
    deployment, found = Deployment(plan), worked_out(plan)
    assert set(found) == {step.id for step in asked(deployment, plan).values()}
    told = {step.id: parameters(step) for step in exported(plan).left_out}
    told_or_later = deployment.later | told
    for step in asked(deployment, plan).values():
        id_, _, version = step.inputs["url"].partition("?")
        url = f"{named_anew(deployment, id_)}?{version}"
        assert found[step.id] == resolve(step.inputs, told_or_later, lambda name: f"secret {name}") | {"url": url}


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_referee_takes_the_template_as_it_takes_the_plan(variant: str, referee: Any) -> None:
    results = referee([{"id": id_, "request": likely(each)} for id_, each in worked_out(planned(variant)).items()])
    assert [each for each in results if each["status"] != "ok"] == []
    assert len(results) >= (4 if "batchai" in variant else 7)


BY_THE_TEMPLATE = {"type", "apiVersion", "name", "scope", "dependsOn"}


def likely(value: Any) -> Any:
    """What is known later, as Azure would have it."""
    if isinstance(value, dict):
        return {key: likely(each) for key, each in value.items()}
    if isinstance(value, list):
        return [likely(each) for each in value]
    if not isinstance(value, str):
        return value
    if value.endswith(("-principal_id", "-client_id", "ObjectId", "TenantId")):
        return NO_SUBSCRIPTION
    return {"parameter callerAddressPrefix": "203.0.113.7/32", "parameter callerObjectType": "User"}.get(value, value)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_resource_waits_for_what_it_waits_for_in_the_plan(variant: str) -> None:
    plan = planned(variant)
    deployment, resources = deployed(plan)
    steps = asked(deployment, plan)
    ids = {step.id: id_ for id_, step in steps.items()}
    for id_, resource in resources.items():
        depends = deployment.value(resource.get("dependsOn", []))
        assert set(depends) <= set(resources)
        assert {ids[need] for need in steps[id_].needs if need in ids} <= set(depends)
        assert id_ not in depends


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_template_is_made_as_microsoft_describes_it(variant: str) -> None:
    plan = planned(variant)
    template = exported(plan).template
    assert json.dumps(template) == json.dumps(exported(planned(variant)).template)
    group, nested = template["resources"]
    assert group["type"] == "Microsoft.Resources/resourceGroups"
    assert nested["resourceGroup"] == group["name"]
    assert nested["dependsOn"] == [f"[subscriptionResourceId('{group['type']}', '{group['name']}')]"]
    assert nested["properties"]["expressionEvaluationOptions"] == {"scope": "inner"}
    inner = nested["properties"]["template"]
    for one, schema in ((template, "subscriptionDeploymentTemplate"), (inner, "deploymentTemplate")):
        assert re.fullmatch(rf"https://schema\.management\.azure\.com/schemas/[\d-]+/{schema}\.json#", one["$schema"])
        assert set(one) <= {"$schema", "contentVersion", "metadata", "parameters", "variables", "resources", "outputs"}
        assert all(each["type"] in {"string", "secureString"} for each in one["parameters"].values())
    assert set(nested["properties"]["parameters"]) == set(inner["parameters"]) == set(template["parameters"])
    texts = [text for text in test_requests.strings(inner["resources"]) if text.startswith("[")]
    asked_for = {text for text in texts if "parameters(" in text}
    assert asked_for == {f"[parameters('{name}')]" for name in template["parameters"]}
    assert NO_SUBSCRIPTION not in json.dumps(inner)  # it can be deployed to any subscription
    assert GROUP not in json.dumps(template["resources"])
    calculated_at_the_start = [each.get("scope", "") + each["name"] for each in inner["resources"]]
    assert not any("reference(" in text for text in calculated_at_the_start)


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_no_template_holds_is_named_in_it(variant: str) -> None:
    plan = planned(variant)
    found = exported(plan)
    named = {each["step"]: each for each in found.template["metadata"]["notInThisTemplate"]}
    held = {step.id for step in asked(deployed(plan)[0], plan).values()} | {"group"}
    assert set(named) == {step.id for step in plan.steps} - held == {step.id for step in found.left_out}
    if plan.path == "1-1":
        assert named["disk-access"]["request"]["body"]["properties"]["networkAccessPolicy"] == "DenyAll"


ID = f"{GROUP}g/providers/Microsoft.Storage/storageAccounts/s"


def by_hand(*more: Step) -> Plan:
    group = {"method": "PUT", "url": f"{GROUP}g?api-version=2025-04-01", "body": {"location": "eastus"}}
    return Plan("n", "2-5", "azure", "d", (Step("group", "put", "resource_group", "scope", group), *more))


def account(properties: Any) -> Step:
    request = {"method": "PUT", "url": f"{ID}?api-version=2025-06-01", "body": {"properties": properties}}
    return Step("store", "put", "registry", "store", request, ("group",))


def test_a_secret_is_a_secure_parameter_and_nothing_else_of_it_is_there() -> None:
    plan = by_hand(account({"a": {"$secret": "env:SCORING_KEY"}, "b": {"$secret": "file:/home/me/scoring-key"}}))
    template = exported(plan).template
    assert {name: each["type"] for name, each in template["parameters"].items()} == {
        "scoringKey": "secureString",
        "scoringKey2": "secureString",
    }
    inner = template["resources"][1]["properties"]["template"]["resources"][0]["properties"]
    assert inner == {"a": "[parameters('scoringKey')]", "b": "[parameters('scoringKey2')]"}
    assert "/home/me" not in json.dumps(template)


def test_a_text_in_brackets_stays_a_text_and_an_id_in_a_text_becomes_the_groups() -> None:
    given = {"list": "[1, 2]", "half": "[1", "name": "it's", "in": f"it's:{GROUP}g/x", "other": f"a {GROUP}g2/x"}
    template = exported(by_hand(account(given))).template
    inner = template["resources"][1]["properties"]["template"]["resources"][0]["properties"]
    joined = "[concat('it''s:', resourceGroup().id, '/x')]"
    assert inner == {"list": "[[1, 2]", "half": "[1", "name": "it's", "in": joined, "other": given["other"]}


def test_an_output_outside_the_properties_and_a_part_of_one_are_referred_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("customai.provisioning.registry.OUTPUTS", {"tier": "sku.name", "points": "properties.points"})
    user = Step(
        "user",
        "put",
        "registry",
        "store",
        {
            "method": "PUT",
            "url": f"{ID}2?api-version=2025-06-01",
            "body": {
                "properties": {
                    "tier": {"$ref": "store#tier"},
                    "blob": {"$ref": "store#points/blob"},
                    "id": {"$ref": "store#id"},
                }
            },
        },
    )
    made = exported(by_hand(account({}), user)).template["resources"][1]["properties"]["template"]["resources"][1]
    own = "resourceId('Microsoft.Storage/storageAccounts', 's')"
    assert made["properties"] == {
        "tier": f"[reference({own}, '2025-06-01', 'full').sku.name]",
        "blob": f"[reference({own}, '2025-06-01').points.blob]",
        "id": f"[{own}]",
    }
    assert made["dependsOn"] == [f"[{own}]"]


def test_a_plan_without_a_group_is_refused() -> None:
    with pytest.raises(NotAvailable, match="this plan has 0"):
        exported(replace(by_hand(), steps=()))


def command(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = (
        os.environ | {"CUSTOMAI_HOME": str(folder / "home"), "AZURE_CONFIG_DIR": str(folder / "nobody")} | more
    )
    if not more:
        environment.pop("AZURE_SUBSCRIPTION_ID", None)
    line = [sys.executable, "-m", "customai", "export", *words]
    return subprocess.run(line, check=False, env=environment, cwd=folder, capture_output=True, text=True, timeout=250)


def test_the_command_writes_the_template_and_tells_what_is_missing(tmp_path: Path) -> None:
    shown, written = command(tmp_path, "2-5"), command(tmp_path, "2-5", "--out", "main.json", "--output", "json")
    assert shown.returncode == written.returncode == 0
    template = json.loads(shown.stdout)
    assert json.loads((tmp_path / "main.json").read_text(encoding="utf-8")) == template
    told = json.loads(written.stdout)
    assert told["resources"] == len(template["resources"][1]["properties"]["template"]["resources"])
    assert told["left_out"] == ["caller", "image", "kubernetes"]
    assert told["parameters"] == list(template["parameters"])
    for said in (
        "Not in the template: image, ",
        "Not in the template: kubernetes, ",
        "none is known",
        "az deployment sub",
    ):
        assert said in shown.stderr
    assert "none is known" not in command(tmp_path, "2-5", AZURE_SUBSCRIPTION_ID=test_requests.SUBSCRIPTION).stderr


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    refused = command(tmp_path, "2-5", "--out", "nowhere/main.json")
    assert refused.returncode == 2
    assert "it cannot be written: No such file or directory" in refused.stderr


# checkov

CHECKED = (
    "1-1 gpu",
    "2-5 private",
    "2-4 by Functions",
    "2-4 every five minutes",
)  # every kind of these, every waiver of one


@pytest.mark.slow
def test_checkov_finds_nothing_that_is_not_waived(tmp_path: Path) -> None:
    """Every waiver stands in waivers.tsv with its reason, and one that checkov does not ask for is none."""
    own = REPOSITORY / ".checkov" / "bin" / "checkov"
    program = str(own) if own.is_file() else shutil.which("checkov")
    if program is None:
        pytest.skip("checkov is not installed: make .checkov/bin/checkov")
    plans = [planned(variant) for variant in CHECKED]
    there = {type_of(step.inputs["url"].partition("?")[0]) for plan in plans for step in plan.steps if step.is_request}
    found = {key for plan in plans for key in failures(program, tmp_path, plan)}
    rows = [row.split("\t") for row in (CASES / "waivers.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    waived = {(rule, type_) for rule, type_, _ in rows if rule.startswith("CKV") and type_ in there}
    assert found - waived == set(), "neither mended nor waived"
    assert waived - found == set(), "waived for nothing"


def failures(program: str, folder: Path, plan: Plan) -> set[tuple[str, str]]:
    """(rule, resource type) of what checkov does not like."""
    inner = exported(plan).template["resources"][1]["properties"]["template"]
    text = re.sub(
        r'("(customData|userData)": )"[^"]+"', r'\1"dGV4dA=="', json.dumps(inner)
    )  # minutes of a rule's regex
    (folder / "template.json").write_text(text)
    command = [program, "-f", "template.json", "--framework", "arm", "-o", "json", "--compact", "--skip-download"]
    ran = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=140)
    report = json.loads(ran.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["resource_count"] == len(inner["resources"])
    return {(each["check_id"], each["resource"].rpartition(".")[0]) for each in report["results"]["failed_checks"]}
