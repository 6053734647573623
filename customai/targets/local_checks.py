"""What could stop a deployment on this machine, found out before anything is done."""

from __future__ import annotations

import errno
import shutil
import socket
import time
from importlib.util import find_spec
from pathlib import Path

from customai.errors import Conflict, Forbidden, NoQuota, NotFound, NotInstalled
from customai.model import Json
from customai.targets import local_server

SERVE_EXTRA = ("httptools", "numpy", "onnxruntime", "orjson", "PIL", "uvloop")
ROOM = 50 * 2**20  # bytes to be left beside the files themselves
ANY = "0.0.0.0"
PATIENCE = 1.0  # seconds for a predecessor's processes to let go of the port


def serving(server: Json, servers: Path) -> None:
    missing = [module for module in SERVE_EXTRA if find_spec(module) is None]
    if missing:
        raise NotInstalled(
            f"serving needs what is not installed here: {', '.join(missing)}", hint="pip install 'customai[serve]'"
        )
    host, port = server["host"], server["port"]
    if not local_server.runs_at(servers, host, port):
        if own := [other for other in local_server.hosts_at(servers, port) if ANY in (other, host)]:
            raise Conflict(
                f"{host}:{port} is already in use by this deployment itself, as {own[0]}:{port}",
                where="endpoint.host",
                hint="change endpoint.port too, or destroy the deployment first: one port cannot move between them",
            )
        _address_is_free(host, port)


def _address_is_free(host: str, port: int) -> None:
    address = f"{host}:{port}"
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            family, kind, protocol, _, found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(found)
                probe.listen(1)
                return
        except socket.gaierror:
            raise NotFound(
                f"there is no address '{host}'", where="endpoint.host", hint="127.0.0.1 is this machine"
            ) from None
        except PermissionError:
            hint = "choose a port from 1024 up"
            raise Forbidden(f"no right to listen on {address}", where="endpoint.port", hint=hint) from None
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                hint = "127.0.0.1 is this machine alone, 0.0.0.0 all its addresses"
                raise NotFound(f"{host} is not an address of this machine", where="endpoint.host", hint=hint) from None
            if time.monotonic() > deadline:
                hint = (
                    f"stop what uses it (who? ss -ltnp 'sport = :{port}'), or choose another endpoint.port in the spec"
                )
                raise Conflict(f"{address} is already in use", where="endpoint.port", hint=hint) from None
            time.sleep(0.05)


def uploading(files: Json, store: Path) -> None:
    needed = ROOM
    for file in files:
        source = file["source"]
        if not isinstance(source, str):
            continue  # an earlier step makes it
        if source.startswith("hf://") and find_spec("huggingface_hub") is None:
            hint = "pip install 'customai[hub]'"
            raise NotInstalled("models from the Hugging Face hub need an extra", where=source, hint=hint)
        if "://" not in source and Path(source).is_file():
            needed += Path(source).stat().st_size
    existing = next(parent for parent in (store, *store.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise NoQuota(
            f"the disk has {free / 1e6:.0f} MB free, the deployment needs {needed / 1e6:.0f} MB",
            where=str(existing),
            hint="free some disk space, or set CUSTOMAI_HOME to a folder on another disk",
        )
