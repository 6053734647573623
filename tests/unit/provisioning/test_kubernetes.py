"""The objects of a scoring service: as the case files say, and each pod as the pod rules of Azure Policy want it.

tests/cases/azure/manifests: what is asked of kubernetes.scoring() (asked), and the objects (manifests).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from customai.model import refs
from customai.provisioning import image, kubernetes, node_pool

CASES = sorted((Path(__file__).parents[2] / "cases" / "azure" / "manifests").glob("*.json"))
MADE = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in CASES}


@pytest.mark.parametrize("case", MADE)
def test_the_objects_are_what_the_case_says(case):
    asked = MADE[case]["asked"]
    made = (*(kubernetes.gpus() if asked["gpu"] else ()), *kubernetes.scoring(**asked))
    assert json.loads(json.dumps(made)) == MADE[case]["manifests"]


def pods(case):
    for manifest in MADE[case]["manifests"]:
        if "template" in manifest.get("spec", {}):
            yield manifest, manifest["spec"]["template"]["spec"]


@pytest.mark.parametrize("case", MADE)
def test_a_pod_has_no_privilege_and_no_more_than_its_room(case):
    for manifest, pod in pods(case):
        assert manifest["metadata"]["namespace"] not in ("default", "kube-system")
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        for container in pod["containers"]:
            rights = container["securityContext"]
            assert rights["allowPrivilegeEscalation"] is False
            assert rights["readOnlyRootFilesystem"] is True
            assert rights["capabilities"] == {"drop": ["ALL"]}
            assert "privileged" not in rights
            assert set(container["resources"]["limits"]) >= {"cpu", "memory"}
            assert ":latest" not in str(container["image"])


@pytest.mark.parametrize("case", MADE)
def test_the_server_is_nobody_in_particular_and_keeps_nothing(case):
    pod = next(pod for manifest, pod in pods(case) if manifest["kind"] == "Deployment")
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == image.USER != 0
    assert {kind for volume in pod["volumes"] for kind in volume if kind != "name"} == {"emptyDir", "secret"}
    container = pod["containers"][0]
    assert {probe for probe in container if probe.endswith("Probe")} == {
        "startupProbe",
        "readinessProbe",
        "livenessProbe",
    }
    drain = json.loads(container["env"][0]["value"])["drain"]
    assert pod["terminationGracePeriodSeconds"] > drain + container["lifecycle"]["preStop"]["sleep"]["seconds"]


@pytest.mark.parametrize("case", MADE)
def test_the_key_stands_in_its_secret_and_nowhere_else(case):
    for manifest in MADE[case]["manifests"]:
        assert ("$secret" in json.dumps(manifest)) == (manifest["kind"] == "Secret")
    assert [ref.to_json() for ref in refs(MADE[case]["manifests"])] == [{"$ref": "image#reference"}]


@pytest.mark.parametrize("case", MADE)
def test_nothing_reaches_it_from_outside_the_network(case):
    service = next(each for each in MADE[case]["manifests"] if each["kind"] == "Service")
    assert service["metadata"]["annotations"] == {"service.beta.kubernetes.io/azure-load-balancer-internal": "true"}
    assert service["spec"]["loadBalancerSourceRanges"] == [MADE[case]["asked"]["callers"]]
    policy = next(each for each in MADE[case]["manifests"] if each["kind"] == "NetworkPolicy")
    assert policy["spec"]["egress"] == []
    assert policy["spec"]["ingress"] == [{"ports": [{"protocol": "TCP", "port": kubernetes.PORT}]}]


@pytest.mark.parametrize("case", MADE)
def test_everything_is_found_by_the_same_labels(case):
    mine = {each["kind"]: each for each in MADE[case]["manifests"] if each["metadata"]["namespace"] == "scoring"}
    labels = mine["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        mine["Deployment"]["spec"]["selector"]["matchLabels"],
        mine["Service"]["spec"]["selector"],
        mine["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        mine["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)
    assert mine["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == mine["Deployment"]["metadata"]["name"]
    assert "replicas" not in mine["Deployment"]["spec"], "their number is the autoscaler's"


def test_with_gpus_each_pod_asks_for_one_and_bears_the_taints_of_the_pool():
    pod = next(pod for manifest, pod in pods("gpu-spot") if manifest["kind"] == "Deployment")
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    borne = {f"{each['key']}={each['value']}:{each['effect']}" for each in pod["tolerations"]}
    assert borne == {f"{node_pool.LABEL}=scoring:NoSchedule", f"{node_pool.SPOT_TAINT}=spot:NoSchedule"}
    assert pod["nodeSelector"][node_pool.LABEL] == "scoring"
