"""Real-time scoring (2-1, 2-2, 2-5): a model folder, an endpoint that serves it, a request with a known answer."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from customai.model import Json, Step, digest
from customai.paths import Files, azure_scoring
from customai.paths.azure_section import Scoring
from customai.paths.served_model import Model, Version
from customai.provisioning import endpoint, model, smoke_test
from customai.spec import Secret
from customai.spec import key as spec_key

TLS_ON_AZURE = {
    "2-2": "the online endpoint serves https by itself",
    "2-5": "and let a gateway before the cluster's private address serve https, such as Application Gateway",
}


@dataclass(frozen=True)
class Tls:
    """Two PEM files on this machine, for this machine: on Azure, they are refused."""

    certificate: str = spec_key("The certificate, and those that lead to its issuer.", pattern=".+")
    key: str = spec_key("The certificate's private key, without a passphrase.", pattern=".+")


@dataclass(frozen=True)
class Endpoint:
    """Where and how it is served."""

    host: str = spec_key(
        "The address to listen on; 127.0.0.1 is this machine alone.", default="127.0.0.1", pattern=r"^\S+$"
    )
    port: int = spec_key("The port to listen on.", default=8025, minimum=1, maximum=65535)
    replicas: int = spec_key("How many server processes.", default=1, minimum=1, maximum=64)
    key: Secret | None = spec_key(
        "The API key that requests must carry; required unless only this machine is served.", default=None
    )
    threads: int = spec_key(
        "onnxruntime's threads in each replica; 0 shares out the cores.", default=0, minimum=0, maximum=256
    )
    max_batch: int = spec_key(
        "Most rows scored in one run; 0 chooses from the model's speed.", default=0, minimum=0, maximum=4096
    )
    max_body: int = spec_key("Largest request body, in bytes.", default=10 * 2**20, minimum=1024, maximum=2**30)
    body_timeout: float = spec_key("Seconds for a request's body to arrive.", default=30.0, minimum=0.1, maximum=3600)
    max_rows: int = spec_key("Most rows or images in one request.", default=10_000, minimum=1, maximum=1_000_000)
    max_queue: int = spec_key(
        "Most rows waiting; beyond it the answer is 503.", default=1024, minimum=1, maximum=1_000_000
    )
    max_wait: float = spec_key(
        "Most seconds that what is waiting may take; beyond it the answer is 503.",
        default=2.0,
        minimum=0.001,
        maximum=600,
    )
    drain: float = spec_key(
        "Seconds that a replica may take to finish its requests.", default=10.0, minimum=0, maximum=600
    )

    tls: Tls | None = spec_key("Serve https; without it, http.", default=None)
    tracing: str | None = spec_key(
        "Where an OpenTelemetry collector takes traces over HTTP (pip install 'customai[tracing]').",
        default=None,
        pattern=r"^https?://\S+$",
        examples=("http://127.0.0.1:4318",),
    )

    def problems(self) -> Iterable[tuple[str, str]]:
        if self.key is None and not _is_loopback(self.host):
            how = "add `key: {env: SCORING_KEY}` or `key: {file: PATH}`"
            yield "host", f"{self.host} can be reached from other machines, so an API key is required: {how}"

    def limits(self) -> Json:
        return {
            name: getattr(self, name)
            for name in (
                "threads",
                "max_batch",
                "max_body",
                "max_rows",
                "body_timeout",
                "max_queue",
                "max_wait",
                "drain",
            )
        }


@dataclass(frozen=True)
class SmokeTest:
    """A request with a known answer, sent before any traffic."""

    image: str | None = spec_key("A PNG or JPEG file.", default=None)
    row: str | None = spec_key("A JSON file with one row, an object.", default=None)
    label: str = spec_key("The label that the model must give it.", default="")

    def problems(self) -> Iterable[tuple[str, str]]:
        if (self.image is None) == (self.row is None):
            yield "", "expected exactly one of image and row"
        if not self.label:
            yield "label", "this key is missing: expected the label that the model must give"

    @property
    def file(self) -> str:
        return self.image or self.row or ""


@dataclass(frozen=True)
class Served:
    """A model behind an endpoint, wherever that is."""

    path: Literal["2-2", "2-5"] = spec_key("The learning path.")
    name: str = spec_key(
        "The deployment's name, and the model's in requests.",
        pattern=r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$",
        examples=("digits",),
        expected="2 to 32 small letters, digits and hyphens, a letter first",
    )
    model: Model = spec_key("The trained model.")
    endpoint: Endpoint = spec_key("Where and how it is served.", default=Endpoint)
    smoke_test: SmokeTest | None = spec_key("A request with a known answer.", default=None)

    def problems(self) -> Iterable[tuple[str, str]]:
        test, takes_images = self.smoke_test, self.model.preprocessing is not None
        if test is not None and test.image is not None and not takes_images:
            yield "smoke_test.image", "the model takes no images: it has no preprocessing"
        if test is not None and test.row is not None and takes_images:
            yield "smoke_test.row", "the model takes images, not rows: it has preprocessing"


@dataclass(frozen=True)
class Spec(Served):
    """Real-time scoring: a model behind an endpoint, on Azure in a Kubernetes cluster."""

    azure: Scoring | None = spec_key("With --target azure: where, and on what cluster.", default=None)


def files(spec: Served) -> tuple[tuple[str, str], ...]:
    """(key path, file) of every file of the user's own that the spec names."""
    named = [("model.labels", spec.model.labels)]
    places = [f"model.versions[{i}].file" for i in range(len(spec.model.versions))] or ["model.file"]
    pairs = zip(places, spec.model.served, strict=True)
    named[:0] = [(place, version.file) for place, version in pairs if _is_local(version)]
    if spec.smoke_test is not None:
        named.append(("smoke_test.image" if spec.smoke_test.image else "smoke_test.row", spec.smoke_test.file))
    if spec.endpoint.key is not None:
        named.append(("endpoint.key.file", spec.endpoint.key.file))
    if spec.endpoint.tls is not None:
        named.append(("endpoint.tls.certificate", spec.endpoint.tls.certificate))
        named.append(("endpoint.tls.key", spec.endpoint.tls.key))
    return tuple((place, file) for place, file in named if file is not None)


def steps(spec: Served, files: Files) -> tuple[Step, ...]:
    api_key = _secret(spec.endpoint.key, files)
    known = _known_answer(spec.smoke_test, files)
    served, tls = spec.model.served, _tls(spec.endpoint.tls, files)
    ids = {version: f"model/{version.version}" if spec.model.versions else "model" for version in served}
    made = [
        *(_model_step(ids[version], version, spec, known, files) for version in served),
        endpoint.step(
            "endpoint",
            models=[
                {"folder": {"$ref": f"{ids[version]}#folder"}, "version": version.version, "traffic": version.traffic}
                for version in served
            ],
            host=spec.endpoint.host,
            port=spec.endpoint.port,
            replicas=spec.endpoint.replicas,
            key=api_key,
            limits=spec.endpoint.limits(),
            tls=tls,
            tracing=spec.endpoint.tracing,
            why=f"{_counted(spec.endpoint.replicas)} of the scoring server behind port {spec.endpoint.port}",
        ),
    ]
    if known is not None:
        made.append(
            smoke_test.step(
                "smoke-test",
                endpoint="endpoint",
                kind=known["kind"],
                file=known["source"],
                sha256=known["sha256"],
                label=known["label"],
                key=api_key,
                certificate=tls["certificate"] if tls is not None else None,
                why=f"one real request, whose answer must be '{known['label']}'",
            )
        )
    return tuple(made)


def azure_problems(spec: Served) -> Iterable[tuple[str, str]]:
    """(key path, message) of what is right on this machine and would be left undone on Azure."""
    if spec.endpoint.tls is not None:
        yield (
            "endpoint.tls",
            f"a certificate on this machine is not taken to Azure: leave it out, {TLS_ON_AZURE[spec.path]}",
        )
    if spec.endpoint.tracing is not None:
        told = (
            "nothing leaves the pods there, traces neither" if spec.path == "2-5" else "traces are not sent from there"
        )
        yield "endpoint.tracing", f"on Azure, {told}: leave it out; /metrics and the log tell of every request"


def azure_steps(spec: Spec, files: Files, surroundings: Json) -> tuple[Step, ...]:
    """A cluster that serves the same models in the same way."""
    section = spec.azure or Scoring()
    return composed(azure_scoring.steps, section, spec, steps(spec, files), files=files, surroundings=surroundings)


def composed(
    compose: Callable[..., tuple[Step, ...]],
    section: Any,
    spec: Any,
    local: Sequence[Step],
    *,
    files: Files,
    surroundings: Json,
) -> tuple[Step, ...]:
    """What `compose` makes, in this `azure:` section, of the steps that serve on this machine."""
    return compose(
        section,
        name=spec.name,
        path=spec.path,
        spec_digest=digest(asdict(spec)),
        subscription=surroundings["subscription"],
        files=files,
        models=[step for step in local if step.kind == "model"],
        served=next(step for step in local if step.kind == "endpoint"),
    )


def _model_step(id_: str, version: Version, spec: Served, known: Json, files: Files) -> Step:
    preprocessing, is_local = spec.model.preprocessing, _is_local(version)
    return model.step(
        id_,
        source=files.absolute(version.file) if is_local else version.file,
        sha256=files.sha256(version.file) if is_local else version.sha256 or "",
        name=spec.name,
        version=version.version,
        labels=files.lines(spec.model.labels) if spec.model.labels is not None else None,
        scores=spec.model.scores,
        preprocessing=preprocessing.to_json() if preprocessing is not None else None,
        columns=spec.model.column_list(),
        smoke_test=known,
        why="the trained model, fetched, verified and checked against its known answer",
    )


def _is_local(version: Version) -> bool:
    return "://" not in version.file


def _known_answer(test: SmokeTest | None, files: Files) -> Json:
    if test is None:
        return None
    kind = "image" if test.image is not None else "row"
    return {"kind": kind, "source": files.absolute(test.file), "sha256": files.sha256(test.file), "label": test.label}


def _counted(replicas: int) -> str:
    return "1 replica" if replicas == 1 else f"{replicas} replicas"


def _tls(tls: Tls | None, files: Files) -> Json:
    """With the certificate's digest, so that a new one is deployed."""
    if tls is None:
        return None
    paths = {"certificate": files.absolute(tls.certificate), "key": files.absolute(tls.key)}
    return paths | {"sha256": files.sha256(tls.certificate)}


def _secret(secret: Secret | None, files: Files) -> Json:
    if secret is None:
        return None
    return {"$secret": f"env:{secret.env}" if secret.env else f"file:{files.absolute(secret.file or '')}"}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
