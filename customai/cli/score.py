from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import click

from customai import parity, samples, secret, ui
from customai.cli import azure_ml, options
from customai.client import Endpoint
from customai.errors import CustomAIError, NotFound, RunFailed, SpecError
from customai.journal import Journal
from customai.model import Json
from customai.parity import Reply
from customai.samples import Sample

CHUNK = 100  # rows in one request


@click.command("score")
@options.deployment()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--model-version", metavar="VERSION", help="Ask this version, whatever its share of the requests.")
@click.option("--compare", metavar="URL", help="Send the same to this endpoint too, and report how far the two differ.")
@click.option("--key-env", metavar="NAME", help="The environment variable with the API key of --compare's endpoint.")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=1e-4,
    show_default=True,
    help="The largest difference of a probability or value that --compare lets pass.",
)
@options.output
def command(
    deployment: str,
    files: tuple[Path, ...],
    *,
    model_version: str | None,
    compare: str | None,
    key_env: str | None,
    tolerance: float,
    output: str,
) -> int:
    """Send images (PNG, JPEG) or rows (.json, .jsonl, .csv with a header) to the endpoint; print what it says.

    One that fails does not stop the others; the exit code is 1 then, or if --compare finds a larger difference.
    """
    if key_env is not None and compare is None:
        raise click.UsageError("--key-env belongs to --compare: the deployment's own key is in its spec")
    journal = options.deployment_of(deployment)
    endpoint = _endpoint(journal)
    headers = _headers(journal, model_version)
    has_csv = any(file.suffix.lower() == ".csv" for file in files)
    columns = (azure_ml.columns(journal) or endpoint.describe().get("columns") or []) if has_csv else []
    found, unreadable = _read(files, columns)
    if compare is not None:
        other = Endpoint(_base(compare), secret.read(f"env:{key_env}") if key_env else None)
        result = _compared(endpoint, other, found, headers, tolerance) | {"unreadable": unreadable}
        ui.show(result, _parity_lines(result), output)
        return 0 if result["same"] and not unreadable else 1
    order = {str(file): place for place, file in enumerate(files)}
    predictions = unreadable + _scored(endpoint, found, headers)
    predictions.sort(key=lambda prediction: order[prediction.get("image") or prediction["file"]])
    ui.show({"predictions": predictions}, _lines(predictions), output)
    return 1 if any("error" in prediction for prediction in predictions) else 0


def _endpoint(journal: Journal) -> Endpoint:
    name = journal.header.name
    if (there := azure_ml.endpoint_of(journal)) is not None:
        return there
    known = next((known for known in journal.known.values() if known.step.kind == "endpoint"), None)
    if known is None or known.outputs is None:
        raise NotFound(f"{name} has no endpoint that is up", hint=f"customai deploy {journal.header.spec}")
    asked, tls = known.step.inputs["key"], known.step.inputs.get("server", {}).get("tls") or {}
    key = secret.read(asked["$secret"]) if asked is not None else None
    return Endpoint(known.outputs["url"], key, certificate=tls.get("certificate"))


def _headers(journal: Journal, version: str | None) -> dict[str, str]:
    """What asks for one version alone; in Azure ML a deployment serves each."""
    if version is None:
        return {}
    deployments = azure_ml.versions([known.step for known in journal.known.values()])
    if not deployments:
        return {"x-model-version": version}
    if version not in deployments:
        raise SpecError(f"there is no version '{version}'", hint=f"the versions are {', '.join(deployments)}")
    return {"azureml-model-deployment": deployments[version]}


def _base(url: str) -> str:
    """The endpoint's own address, of what may be its /score."""
    if not url.startswith(("http://", "https://")):
        raise SpecError(f"'{url}' is not the address of an endpoint", hint="http://127.0.0.1:8022, https://.../score")
    return url.rstrip("/").removesuffix("/score")


def _read(files: Sequence[Path], columns: Sequence[Json]) -> tuple[list[Sample], list[Json]]:
    """The samples, and an error for each file that has none."""
    found: list[Sample] = []
    unreadable: list[Json] = []
    for file in files:
        try:
            found += samples.read(file, columns)
        except CustomAIError as error:
            unreadable.append({"file" if samples.has_rows(file) else "image": str(file), "error": error.message})
    return found, unreadable


# Scoring


def _scored(endpoint: Endpoint, found: Sequence[Sample], headers: dict[str, str]) -> list[Json]:
    predictions: list[Json] = []
    with endpoint.kept_open() as connected:
        for is_row, group in groupby(found, key=lambda sample: sample.number is not None):
            together, several = CHUNK if is_row else 1, list(group)
            for start in range(0, len(several), together):
                predictions += _predictions(connected, several[start : start + together], headers)
    return predictions


def _predictions(endpoint: Endpoint, chunk: Sequence[Sample], headers: dict[str, str]) -> list[Json]:
    """One for each; where one row of several is wrong, each goes by itself."""
    try:
        answer = _answer(endpoint, chunk, headers)
    except RunFailed as error:
        if len(chunk) > 1:
            return [prediction for sample in chunk for prediction in _predictions(endpoint, [sample], headers)]
        return [chunk[0].to_json() | {"error": _reason(error)}]
    pairs = zip(chunk, answer["predictions"], strict=True)
    version = answer.get("model", {}).get("version")
    return [sample.to_json() | prediction | {"version": version} for sample, prediction in pairs]


def _answer(endpoint: Endpoint, chunk: Sequence[Sample], headers: dict[str, str]) -> Json:
    first = chunk[0]
    body = first.content if first.number is None else json.dumps({"rows": [each.content for each in chunk]}).encode()
    answer = endpoint.score(body, name=first.name, headers=headers)
    told = answer.get("predictions") if isinstance(answer, dict) else None
    if not isinstance(told, list) or len(told) != len(chunk) or not all(isinstance(each, dict) for each in told):
        raise RunFailed("the endpoint's answer is not a prediction for each input", where=endpoint.url)
    return answer


def _reason(error: RunFailed) -> str:
    said = error.message.replace("rows[0].", "").replace("rows[0]", "the row")
    return f"{said} ({error.hint})" if error.hint else said


def _lines(found: list[Json]) -> Iterator[str]:
    rows = []
    for prediction in found:
        name = prediction.get("image") or f"{prediction['file']} {prediction.get('row', '')}".rstrip()
        if "error" in prediction:
            rows.append((name, "error", prediction["error"]))
        elif "label" in prediction:
            rows.append((name, prediction["label"], _percent(prediction["probability"])))
        else:
            rows.append((name, "", str(prediction.get("value", prediction.get("outputs")))))
    head = "IMAGE" if all("image" in prediction for prediction in found) else "INPUT"
    return ui.table(rows, (head, "LABEL", "PROBABILITY"))


def _percent(probability: float | None) -> str:
    return f"{probability:.1%}" if probability is not None else "not a number"


# Comparing


def _compared(
    mine: Endpoint, theirs: Endpoint, found: Sequence[Sample], headers: dict[str, str], tolerance: float
) -> Json:
    with mine.kept_open() as left, theirs.kept_open() as right:
        for endpoint in (left, right):
            endpoint.describe()  # connects, so that no request's time has that in it
        pairs = [(_reply(left, sample, headers), _reply(right, sample, {})) for sample in found]
    return parity.report((mine.url, theirs.url), [sample.name for sample in found], pairs, tolerance)


def _reply(endpoint: Endpoint, sample: Sample, headers: dict[str, str]) -> Reply:
    # The same identity on both sides: where both share requests out among versions alike, the same one answers.
    content = sample.content if sample.number is None else json.dumps(sample.content).encode()
    headers = {"x-request-id": hashlib.sha256(content).hexdigest()[:16], **headers}
    started = time.perf_counter()
    try:
        answer = _answer(endpoint, [sample], headers)
    except RunFailed as error:
        return Reply(None, "", time.perf_counter() - started, _reason(error))
    seconds = time.perf_counter() - started
    version = (answer.get("model") or {}).get("version")
    return Reply(answer["predictions"][0], str(version or "unknown"), seconds)


def _parity_lines(result: Json) -> Iterator[str]:
    rows = [
        (
            each["url"],
            ", ".join(f"{version} ({count})" for version, count in each["versions"].items()) or "none",
            *(f"{each[key]:.2f} ms" if each[key] is not None else "-" for key in ("median_ms", "p95_ms")),
        )
        for each in result["endpoints"]
    ]
    yield from ui.table(rows, ("ENDPOINT", "VERSIONS", "MEDIAN", "95 %"))
    yield ""
    largest = result["largest_difference"]
    told = (
        f"{largest:.3g} ({result['at']})"
        if largest is not None
        else result["at"] and f"of another kind ({result['at']})"
    )
    summary = [
        ("compared", f"{result['compared']} of {result['inputs']} inputs"),
        ("largest difference", f"{told or '-'}, tolerance {result['tolerance']:g}"),
        ("labels that differ", str(len(result["label_disagreements"]))),
    ]
    summary += [
        ("", f"{each['input']}: {each['labels'][0]}, {each['labels'][1]}")
        for each in result["label_disagreements"][:10]
    ]
    summary += [
        ("refused", f"{each['input']}: {' | '.join(error or 'answered' for error in each['errors'])}")
        for each in result["errors"][:10]
    ]
    summary += [("not read", f"{each.get('file') or each['image']}: {each['error']}") for each in result["unreadable"]]
    yield from ui.table(summary)
    yield ""
    yield "The two endpoints say the same." if result["same"] else "The two endpoints do not say the same."
