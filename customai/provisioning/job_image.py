"""The image that jobs run in: Python, customai's workloads, the path's own files and models, built in the registry.

What runs there is the code that runs on this machine. No request shows it: as with the scoring image, the target uploads what
goes in, and a task of the registry builds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from customai.model import Json, Step, digest
from customai.provisioning.image import BASE, MODELS, dockerfile_of_models

OUTPUTS = {"reference": ""}  # LOGIN_SERVER/REPOSITORY@sha256:..., from the finished build
APP = "/app"
REQUIREMENTS = {  # extras of pyproject.toml, held by a test
    "batch": (
        "numpy>=1.26,<3",
        "onnxruntime>=1.20,<2",
        "orjson>=3.10.12,<4",
        "pillow>=11,<14",
        "pyarrow>=18,<27",
    ),
    "blob": ("adlfs>=2024.12",),
    "train": (
        "numpy>=1.26,<3",
        "onnx>=1.19,<2",
        "onnxscript>=0.5.6,<1",
        "pillow>=11,<14",
        "onnxruntime>=1.20,<2",
        "scikit-learn>=1.6,<2",
        "skl2onnx>=1.18,<2",
        "torch==2.13.0",
    ),
}
TRACKING = ("azureml-mlflow>=1.60,<2", "mlflow-skinny>=2.20,<3")  # what tells Azure ML of a run's numbers


def step(
    id_: str,
    *,
    registry: Json,
    repository: str,
    code: Sequence[Json],
    models: Mapping[str, Json],
    packages: Sequence[str],
    gpu: bool,
    after: tuple[str, ...],
    why: str,
) -> Step:
    """The step that builds the image.

    Args:
        id_: the step's id.
        registry: {"id", "login_server"} of the registry.
        repository: the image's name in it.
        code: files: {"name" below APP in the image, "source", "sha256"}.
        models: folder name -> what model.local() gives.
        packages: what pip installs.
        gpu: whether onnxruntime is to use CUDA.
        after: the step that makes the registry.
        why: one line for people.
    """
    inputs = {
        "registry": dict(registry),
        "repository": repository,
        "code": list(code),
        "models": dict(models),
        "packages": sorted({on_gpu(each) if gpu else each for each in packages}),
    }
    return Step(id_, "build", "job_image", "registry", inputs, after, why)


def on_gpu(package: str) -> str:
    """The build of onnxruntime that brings CUDA's libraries; torch's own wheel for Linux has them already."""
    return (
        package.replace("onnxruntime", "onnxruntime-gpu[cuda,cudnn]") if package.startswith("onnxruntime") else package
    )


def content(inputs: Json) -> str:
    """A digest of what goes in, wherever on this machine it comes from: a version for whatever names the image."""
    files = [[each["name"], each["sha256"]] for each in inputs["code"]]
    models = {
        folder: [model["model"], [[each["name"], each["sha256"]] for each in model["files"]]]
        for folder, model in inputs["models"].items()
    }
    return digest([files, models, inputs["packages"], _dockerfile_of(inputs)])[:16]


def azure(inputs: Json) -> Json:
    return {
        "registry": inputs["registry"],
        "repository": inputs["repository"],
        "platform": "linux/amd64",
        "texts": {
            "Dockerfile": _dockerfile_of(inputs),
            "requirements.txt": "".join(f"{line}\n" for line in inputs["packages"]),
        },
        "files": inputs["code"],
        "models": {f"models/{name}": model for name, model in inputs["models"].items()},
    }


def _dockerfile_of(inputs: Json) -> str:
    return dockerfile(sorted(inputs["models"]), files=any(each["name"].startswith("files/") for each in inputs["code"]))


def dockerfile(models: Sequence[str], *, files: bool) -> str:
    """Azure ML runs jobs as root in a container of theirs, and mounts data: no other user can.

    Args:
        models: folders in models/.
        files: whether the path has files of its own.
    """
    copied = (f"COPY models {MODELS}\n" if models else "") + ("COPY files files\n" if files else "")
    return f"""\
ARG BASE={BASE}
FROM ${{BASE}}
ENV PYTHONUNBUFFERED=1 PYTHONPATH={APP} ORT_DISABLE_TELEMETRY=1
WORKDIR {APP}
COPY requirements.txt .
RUN python3 -m pip install --no-cache-dir -r requirements.txt
{copied}COPY customai customai
RUN ln -sf "$(command -v python3)" /usr/local/bin/python && python3 -m compileall -q customai
{dockerfile_of_models(models)}"""
