"""Data of this machine, put into a container: a file or a folder, as it stands."""

from __future__ import annotations

from customai.model import Json, Step

OUTPUTS: dict[str, str] = {}


def step(
    id_: str,
    *,
    endpoint: Json,
    container: str,
    folder: str,
    source: str,
    listing: str,
    after: tuple[str, ...],
    why: str,
) -> Step:
    """The step that uploads it.

    Args:
        id_: the step's id.
        endpoint: of the account's blobs, usually a reference.
        container: its name.
        folder: where in the container it goes.
        source: the file or folder on this machine.
        listing: a digest of the names, sizes and times of its files: another one is a reason to look again.
        after: the steps that make the container, and give whoever deploys the right to write in it.
        why: one line for people.
    """
    inputs = {"endpoint": endpoint, "container": container, "folder": folder, "source": source, "listing": listing}
    return Step(id_, "upload", "upload", "store", inputs, after, why)


def azure(inputs: Json) -> Json:
    return dict(inputs)
