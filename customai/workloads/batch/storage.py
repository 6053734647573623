"""Files of a data set: in a folder of this machine, or of Azure blob storage by fsspec and adlfs.

Credentials of a URL come from the environment: AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME with
AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN; without any of them, from whoever is logged in
(DefaultAzureCredential). They never stand in a spec, a plan or a log.
"""

from __future__ import annotations

import contextlib
import os
import socket
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from customai.errors import CustomAIError, Forbidden, NotFound, NotInstalled, NotLoggedIn, SpecError, TimedOut

SCHEMES = ("abfss", "abfs", "wasbs", "wasb", "az")
_KEYS = ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN")


@dataclass(frozen=True)
class Entry:
    """A file as it was listed; another version is another file."""

    name: str  # below the folder, with /
    size: int
    version: str


class Folder(Protocol):
    """Where files are; `whole` is the folder or the one file that was meant, in words."""

    where: str

    def entries(self) -> list[Entry]:
        """Every file, sorted by name. What begins with . or _ is left out, as Spark does, at any depth."""

    def entry(self, name: str) -> Entry: ...
    def open(self, name: str) -> BinaryIO: ...

    def path(self, name: str) -> str | None:
        """Where other code can open the file by itself; None: it cannot."""


def is_url(place: str) -> bool:
    return "://" in place


def of(place: str) -> tuple[Folder, str | None]:
    """The folder that is meant, and the one file in it, if a file is.

    Raises:
        SpecError: there is nothing there.
    """
    if is_url(place):
        blob = Blob(place)
        with reaching(place):
            if blob.files.isfile(blob.root):
                parent, _, name = blob.root.rpartition("/")
                return Blob(place, parent), name
        return blob, None
    path = Path(place)
    if path.is_file():
        return Local(path.parent), path.name
    if not path.is_dir():
        raise SpecError("the input is not there", where=place, hint="a file, a folder, or an abfss:// or wasbs:// URL")
    return Local(path), None


class Local:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.where = str(root)

    def entries(self) -> list[Entry]:
        return sorted(self._below(self.root, ""), key=lambda entry: entry.name)

    def _below(self, folder: Path, prefix: str) -> Iterator[Entry]:
        try:
            found = list(os.scandir(folder))
        except PermissionError:
            raise Forbidden("no right to read the input", where=str(folder)) from None
        for each in found:
            if each.name.startswith((".", "_")):
                continue
            if each.is_dir():
                yield from self._below(Path(each.path), f"{prefix}{each.name}/")
            elif each.is_file():
                yield _entry(prefix + each.name, each.stat())

    def entry(self, name: str) -> Entry:
        return _entry(name, (self.root / name).stat())

    def open(self, name: str) -> BinaryIO:
        return open(self.root / name, "rb")

    def path(self, name: str) -> str | None:
        return str(self.root / name)


def _entry(name: str, found: os.stat_result) -> Entry:
    return Entry(name, found.st_size, str(found.st_mtime_ns))


class Blob:
    """A container, or a folder in one."""

    def __init__(self, url: str, root: str | None = None) -> None:
        self.where = url
        self.files, found = connected(url)
        self.root = found if root is None else root

    def entries(self) -> list[Entry]:
        with reaching(self.where):
            found = self.files.find(self.root, detail=True)
        if not found:
            raise SpecError("there is nothing under this URL", where=self.where)
        named = [(path[len(self.root) :].lstrip("/"), info) for path, info in found.items()]
        kept = [_blob_entry(name, info) for name, info in named if not _hidden(name) and info["type"] == "file"]
        return sorted(kept, key=lambda entry: entry.name)

    def entry(self, name: str) -> Entry:
        with reaching(self.where):
            return _blob_entry(name, self.files.info(f"{self.root}/{name}", refresh=True))

    def open(self, name: str) -> BinaryIO:
        with reaching(self.where):
            return cast("BinaryIO", self.files.open(f"{self.root}/{name}", "rb", block_size=4 * 2**20))

    def path(self, name: str) -> str | None:
        return None


def _blob_entry(name: str, info: dict[str, Any]) -> Entry:
    return Entry(name, info["size"], str(info.get("etag") or info.get("last_modified")))


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in name.split("/"))


def connected(url: str) -> tuple[Any, str]:
    """(the file system, the path on it) of a URL."""
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES:
        raise SpecError(f"there is no way to {scheme}://", where=url, hint="abfss://, wasbs:// or az:// is possible")
    try:
        import adlfs  # noqa: F401 (fsspec imports it by name, and tells less when it is not there)
        from fsspec.core import url_to_fs
    except ImportError as error:
        message = f"blob storage needs what is not installed here: {error.name}"
        raise NotInstalled(message, where=url, hint="pip install 'customai[blob]'") from None
    given = any(os.environ.get(name) for name in _KEYS)
    _is_known(rest.partition("@")[2].partition("/")[0], url)
    with reaching(url):
        # wasbs is the old name of the same place; adlfs knows the newer ones. The default would be anonymous access.
        files, path = url_to_fs(f"{scheme.replace('wasb', 'abfs')}://{rest}", **({} if given else {"anon": False}))
    return files, str(path).rstrip("/")


def _is_known(host: str, url: str) -> None:
    """Azure's libraries try for minutes to reach an account that does not exist. Behind a proxy only that can tell."""
    redirected = os.environ.get("AZURE_STORAGE_CONNECTION_STRING") or "https" in urllib.request.getproxies()
    if not host or redirected:
        return
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        raise NotFound(
            f"there is no storage account at {host}", where=url, hint="is the name right? and the network?"
        ) from None


@contextlib.contextmanager
def reaching(url: str) -> Iterator[None]:
    """Errors of blob storage in our words."""
    try:
        yield
    except CustomAIError:
        raise
    except FileNotFoundError:
        raise SpecError("there is nothing under this URL", where=url, hint="is the container right?") from None
    except Exception as error:
        raise _told(error, url) from error


def _told(error: Exception, url: str) -> CustomAIError:
    """What went wrong, in our words: adlfs wraps what Azure says in errors of its own: the innermost one tells."""
    inner: BaseException = error
    while inner.__cause__ is not None and getattr(inner, "status_code", None) is None:
        inner = inner.__cause__
    status, reason = getattr(inner, "status_code", None), str(inner).strip().partition("\n")[0][:200]
    if status == 403 or isinstance(error, PermissionError):
        hint = "give your identity the role Storage Blob Data Contributor, or set AZURE_STORAGE_ACCOUNT_KEY"
        return Forbidden(f"no right to this storage: {reason}", where=url, hint=hint)
    if status == 404:
        return SpecError("there is nothing under this URL", where=url, hint="is the container right?")
    if "account_name" in reason or "redential" in type(inner).__name__ + reason:
        hint = "az login, or set AZURE_STORAGE_CONNECTION_STRING"
        return NotLoggedIn(f"the storage account cannot be opened: {reason}", where=url, hint=hint)
    if isinstance(error, TimeoutError):
        return TimedOut("the storage did not answer", where=url)
    return NotFound(f"the storage cannot be reached: {reason}", where=url, hint="is the account's name right?")
