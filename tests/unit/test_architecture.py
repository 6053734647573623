"""The shape of the house: which module may import which, and that tables, folders, pages and commands agree."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from customai import paths
from customai.cli import FOR_A_PATH, GROUPS, OF_A_GROUP, VERBS, module_of, root
from customai.provisioning import KINDS
from customai.targets import TARGETS
from docs import generate

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "customai"
MODULES = {
    ".".join(file.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): file
    for file in sorted(PACKAGE.rglob("*.py"))
}

# What each part may import of the package, beside itself and the errors. A part is a module or a folder of modules.
MAY_IMPORT = {
    "errors": set(),
    "model": set(),
    "spec": set(),
    "secret": set(),
    "retirements": set(),
    "cost": {"model", "provisioning"},
    "convert": {"spec", "retirements"},
    "client": {"model"},
    "load": set(),
    "tuning": {"model", "load"},
    "tuning_run": {"model", "load", "tuning", "client", "engine", "planner", "spec", "targets"},
    "journal": {"model"},
    "history": {"model"},
    "samples": {"model"},
    "parity": {"model"},
    "resources": {"model"},
    "provisioning": {"model"},
    "paths": {"model", "spec", "provisioning", "retirements"},
    "targets": {
        "model",
        "client",
        "secret",
        "provisioning",
        "retirements",
        "workloads.job.run",
        "workloads.spark.session",
    },
    "engine": {"model", "journal", "targets.base"},
    "planner": {"model", "spec", "paths", "targets.base"},
    "ui": {"model", "engine"},
    "cli": {
        "model",
        "paths",
        "planner",
        "engine",
        "journal",
        "history",
        "samples",
        "parity",
        "resources",
        "targets",
        "client",
        "tuning_run",
        "convert",
        "cost",
        "secret",
        "ui",
        "spec",
    },
    "workloads": set(),
    "__main__": {"cli"},
}
# Packages that only some modules may import.
RESERVED = {
    "click": r"customai\.(cli(\..*)?|ui)",
    "rich": r"customai\.ui",
    "yaml": r"customai\.(spec\.yaml_nodes|convert\.\w+|targets\.azure_(kubernetes_api|kubeconfig))",  # a spec, what it is made from, a kubeconfig
    "kubernetes": r"customai\.targets\.azure_kubernetes\w*",
    "azure": r"customai\.(targets\.azure\w*|workloads\.function\.function_app)",
    "subprocess": r"customai\.(targets\.(local\w*|azure_machine)|workloads\..*)",
    "uvloop": r"customai\.workloads\..*",
    "numpy": r"customai\.workloads\..*",
    "onnxruntime": r"customai\.workloads\..*",
    "platformdirs": r"customai\.journal",
}
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
LONGEST = 350


def tree(file):
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def imports(module):
    """The full name of everything that a module imports, inside functions too."""
    for node in ast.walk(tree(MODULES[module])):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls(module):
    for node in ast.walk(tree(MODULES[module])):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def part_of(name):
    return name.removeprefix("customai.").partition(".")[0]


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module):
    if module == "customai":
        assert not list(imports(module))
        return
    own = part_of(module)
    for name in imports(module):
        if not name.startswith("customai.") or name == "customai.__version__" or part_of(name) in (own, "errors"):
            continue
        inner = name.removeprefix("customai.")
        allowed = MAY_IMPORT[own]
        assert any(inner == each or inner.startswith(f"{each}.") for each in allowed), f"{module} imports {name}"


def test_every_part_has_its_rule():
    assert {part_of(module) for module in MODULES if module != "customai"} == set(MAY_IMPORT)


@pytest.mark.parametrize("module", MODULES)
def test_the_outside_world_is_touched_in_few_places(module):
    for name in imports(module):
        package = name.partition(".")[0]
        assert package not in RESERVED or re.fullmatch(RESERVED[package], module), f"{module} imports {package}"
        assert package not in ("pickle", "shelve", "marshal", "dill", "joblib"), f"{module} runs what it reads"


@pytest.mark.parametrize("module", MODULES)
def test_ui_is_the_only_printer(module):
    """A workload writes its own log."""
    if module != "customai.ui" and part_of(module) != "workloads":
        assert not {"print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"} & set(calls(module))


@pytest.mark.parametrize("module", MODULES)
def test_files_are_short_and_named_for_what_they_hold(module):
    assert not EMPTY_NAMES & set(module.split("."))
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_kinds_are_the_files_of_provisioning():
    """A kind's module makes its step; the other modules there are words that kinds share."""
    functions = {
        module: {node.name for node in tree(file).body if isinstance(node, ast.FunctionDef)}
        for module, file in MODULES.items()
        if part_of(module) == "provisioning"
    }
    assert set(KINDS.values()) == {module for module, names in functions.items() if "step" in names}
    for kind, module in KINDS.items():
        assert module == f"customai.provisioning.{kind}"
        assert functions[module] & {*TARGETS, "azure"}, f"{kind} exists on no target"


def test_targets_are_modules():
    assert {entry.partition(":")[0] for entry in TARGETS.values()} <= set(MODULES)


def test_every_path_is_in_its_groups_text():
    for group, text in GROUPS.items():
        assert re.findall(r"\d-\d", text) == [path.id for path in paths.PATHS.values() if path.group == group]
    assert {path.group for path in paths.PATHS.values()} == set(GROUPS)


def test_every_path_has_a_folder_with_its_spec_and_guidance():
    folders = {folder.parent.name for folder in (REPOSITORY / "paths").glob("*/customai.yaml")}
    assert set(paths.PATHS) == folders == set(paths.specs())
    for id_ in folders:
        assert (REPOSITORY / "paths" / id_ / "README.md").is_file()


def test_the_readme_lists_every_path():
    rows = re.findall(r"(?m)^\| (\[?)(\d-\d)\S* \|.*`([\w-]+)`", (REPOSITORY / "README.md").read_text(encoding="utf-8"))
    assert [(id_, group) for _, id_, group in rows] == [(path.id, path.group) for path in paths.PATHS.values()]
    assert {id_ for link, id_, _ in rows if link} == set(paths.specs())


def test_every_command_exists_and_is_documented():
    files = {file.stem for file in (PACKAGE / "cli").glob("*.py")} - {
        "__init__",
        "azure_batch",
        "azure_ml",
        "databricks",
        "options",
    }
    assert files - {module_of(group) for group in GROUPS} == set(VERBS)
    assert set(FOR_A_PATH) <= set(VERBS)
    assert set(OF_A_GROUP) == set(GROUPS)
    page = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
    of_a_group = {f"{group} {name}" for group, own in OF_A_GROUP.items() for name in own if name not in VERBS}
    assert set(re.findall(r"(?m)^##+ customai ([\w -]+)$", page)) == {*root.table, *of_a_group}


@pytest.mark.parametrize("page", generate.PAGES)
def test_generated_pages_are_fresh(page):
    assert (REPOSITORY / page).read_text(encoding="utf-8") == generate.PAGES[page](), "run: make docs"


@pytest.mark.parametrize("page", [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("paths/*/*.md")],
                         ids=lambda page: str(page.relative_to(REPOSITORY)))  # fmt: skip
def test_links_between_pages_lead_somewhere(page):
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text):
        target = "".join(link)
        if "://" not in target and not target.startswith("#"):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("id_", paths.specs())
def test_an_example_names_its_schema_and_is_right(id_, customai):
    file = REPOSITORY / "paths" / id_ / "customai.yaml"
    text = file.read_text(encoding="utf-8")
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert named is not None, "the first line names the schema, so that editors complete the keys"
    schema = json.loads((file.parent / named[1]).read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(text), schema)
    assert schema["properties"]["path"]["enum"] == list(paths.specs())
    assert customai("check", id_).returncode == 0
