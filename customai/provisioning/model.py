"""A model folder: model.onnx and what the scoring server must know of it, in one place and named by its digest."""

from __future__ import annotations

from customai.model import Json, Step

FORMAT = 1  # of model.json, read by customai.workloads.scoring


def step(
    id_: str,
    *,
    source: str,
    sha256: str,
    name: str,
    version: str,
    labels: list[str] | None,
    scores: str,
    preprocessing: Json,
    smoke_test: Json,
    why: str,
    columns: Json = None,
) -> Step:
    """The step that fetches the model and checks it.

    Args:
        source: an absolute path, https://... or hf://owner/repo/file.onnx[@revision].
        sha256: of the model file; empty where the source does not promise one (hf://).
        smoke_test: {"kind": "image" or "row", "source": path, "sha256": ..., "label": ...} or None; its file travels
            with the model.
        columns: what a row holds, [{"name", "type", "nullable", "default"}], or None.
    """
    return Step(
        id_,
        "upload",
        "model",
        "store",
        {
            "source": source,
            "sha256": sha256,
            "name": name,
            "version": version,
            "labels": labels,
            "scores": scores,
            "preprocessing": preprocessing,
            "columns": columns,
            "smoke_test": smoke_test,
        },
        why=why,
    )


def local(inputs: Json) -> Json:
    files = [{"source": inputs["source"], "sha256": inputs["sha256"], "name": "model.onnx"}]
    smoke_test = inputs["smoke_test"]
    if smoke_test is not None:
        files.append({"source": smoke_test["source"], "sha256": smoke_test["sha256"], "name": "smoke-test"})
    card = {key: inputs[key] for key in ("name", "version", "labels", "scores", "preprocessing", "columns", "sha256")}
    card["format"] = FORMAT
    card["smoke_test"] = smoke_test and {smoke_test["kind"]: "smoke-test", "label": smoke_test["label"]}
    return {"files": files, "model": card}
