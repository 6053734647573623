"""A function app's code: published with the login's own token, and kept by Azure in the app's container.

No request shows it: the target packs the files and publishes them, unless the same are there already.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from customai.model import Json, Step
from customai.provisioning import function_app
from customai.provisioning.api_versions import API_VERSIONS

OUTPUTS: dict[str, str] = {}
BUNDLE = {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"}
HOST = {"version": "2.0", "extensionBundle": BUNDLE, "logging": {"logLevel": {"default": "Information"}}}
REQUIREMENTS = "azure-functions>=1.21,<2\n"


def step(
    id_: str,
    *,
    place: Json,
    endpoint: Json,
    container: str,
    files: Sequence[Json],
    settings: Json,
    after: tuple[str, ...],
    why: str,
) -> Step:
    """The step that publishes it.

    Args:
        id_: the step's id.
        place: the deployment's.
        endpoint: of the account's blobs, usually a reference.
        container: where the app's code is kept; what was published last is written there.
        files: {"name", "source", "sha256"} of each.
        settings: what the code reads from settings.json.
        after: the steps that make the app and its settings, and give whoever deploys the right to write in the container.
        why: one line for people.
    """
    inputs = {
        "app": function_app.id_of(place),
        "endpoint": endpoint,
        "container": container,
        "files": list(files),
        "settings": settings,
    }
    return Step(id_, "upload", "function_code", "service", inputs, after, why)


def azure(inputs: Json) -> Json:
    app = f"{inputs['app']}?api-version={API_VERSIONS[function_app.TYPE]}"
    texts = {"host.json": f"{json.dumps(HOST, indent=2)}\n", "requirements.txt": REQUIREMENTS}
    return {**inputs, "app": app, "texts": texts}
