"""The scoring image: Python, the scoring server, the models, built where it is kept, by a task of the registry.

There is no request to show for it: a build is an upload and a task, and the target does both. What goes in stands in the
inputs in full, each file with its digest, so that equal inputs are the same image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from customai.model import Json, Step

BASE = "mcr.microsoft.com/azurelinux/base/python:3.12"  # Microsoft's own registry: no pull limits in a build task
USER = 65532  # nobody in particular, and not root
MODELS = "/models"
RUN = "/run/scoring"  # where the server keeps its state: memory
KEY = "/run/secrets/scoring/key"  # where the API key is mounted
KEY_DIGEST = "@KEY_SHA256@"  # in the server's configuration, until the container is started
OUTPUTS = {"reference": ""}  # LOGIN_SERVER/REPOSITORY@sha256:..., from the finished build

REQUIREMENTS = (  # the extra `serve` of pyproject.toml, held by a test
    "httptools>=0.6.4,<1",
    "numpy>=1.26,<3",
    "onnxruntime>=1.20,<2",
    "orjson>=3.10.12,<4",
    "pillow>=11,<14",
    "uvloop>=0.21,<1",
)

START = f"""\
#!/bin/sh
# Tells the server the digest of the API key, never the key, and starts it.
set -eu
run=${{CUSTOMAI_RUN:-{RUN}}}
mkdir -p "$run"
case "$CUSTOMAI_SERVER" in
*{KEY_DIGEST}*) ;;
*)  # whoever stands before it lets nobody through unasked
    printf '%s' "$CUSTOMAI_SERVER" > "$run/server.json"
    exec python3 -m customai.workloads.scoring.supervisor "$run" ;;
esac
key=$(cat "${{CUSTOMAI_KEY:-{KEY}}}")
digest=$(printf '%s' "$key" | sha256sum)
printf '%s' "${{CUSTOMAI_SERVER%%{KEY_DIGEST}*}}" "${{digest%% *}}" "${{CUSTOMAI_SERVER#*{KEY_DIGEST}}}" > "$run/server.json"
unset key
exec python3 -m customai.workloads.scoring.supervisor "$run"
"""


def step(
    id_: str,
    *,
    registry: Json,
    repository: str,
    code: Sequence[Json],
    models: Mapping[str, Json],
    gpu: bool,
    after: tuple[str, ...],
    why: str,
) -> Step:
    """The step that builds the image.

    Args:
        id_: the step's id.
        registry: {"id", "login_server"} of the registry.
        repository: the image's name in it.
        code: the server's own files: {"name" in the image, "source", "sha256"}.
        models: folder name -> what model.local() gives: {"files", "model"}.
        gpu: whether onnxruntime is to use CUDA.
        after: the step that makes the registry.
        why: one line for people.
    """
    inputs = {
        "registry": dict(registry),
        "repository": repository,
        "code": list(code),
        "models": dict(models),
        "gpu": gpu,
    }
    return Step(id_, "build", "image", "registry", inputs, after, why)


def azure(inputs: Json) -> Json:
    """{"registry", "repository", "platform", "texts", "files", "models"}: the build's context, relative to its root.

    `models` are made as on this machine: the files fetched and verified into models/NAME, beside them model.json.
    """
    texts = {
        "Dockerfile": dockerfile(sorted(inputs["models"])),
        "requirements.txt": "".join(f"{line}\n" for line in requirements(gpu=inputs["gpu"])),
        "start": START,
    }
    return {
        "registry": inputs["registry"],
        "repository": inputs["repository"],
        "platform": "linux/amd64",
        "texts": texts,
        "files": inputs["code"],
        "models": {f"models/{name}": model for name, model in inputs["models"].items()},
    }


def requirements(*, gpu: bool) -> tuple[str, ...]:
    """With a GPU, onnxruntime's other build, which brings CUDA's libraries from the package index."""
    return tuple(
        line.replace("onnxruntime", "onnxruntime-gpu[cuda,cudnn]") if gpu and line.startswith("onnxruntime") else line
        for line in REQUIREMENTS
    )


def dockerfile(models: Sequence[str]) -> str:
    """Each model is loaded and asked its known answer while the image is built: a bad one never gets out."""
    checks = dockerfile_of_models(models)
    return f"""\
ARG BASE={BASE}
FROM ${{BASE}}
ENV PYTHONUNBUFFERED=1 PYTHONPATH=/app ORT_DISABLE_TELEMETRY=1
WORKDIR /app
COPY requirements.txt .
RUN python3 -m pip install --no-cache-dir -r requirements.txt
COPY models {MODELS}
COPY customai customai
COPY --chmod=0555 start /app/start
RUN python3 -m compileall -q customai
{checks}USER {USER}:{USER}
EXPOSE 8080
ENTRYPOINT ["/app/start"]
"""


def dockerfile_of_models(models: Sequence[str]) -> str:
    """The lines that load each model while the image is built, and ask it its known answer."""
    return "".join(f"RUN python3 -m customai.workloads.scoring.inspect {MODELS}/{name}\n" for name in models)
