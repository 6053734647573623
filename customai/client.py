"""Sends images to a scoring endpoint, ours or another that answers /score: stdlib only, quick to import."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from customai.errors import Forbidden, NotAvailable, RunFailed, TargetError, TimedOut
from customai.model import Json


@dataclass(frozen=True)
class Endpoint:
    """An endpoint's base URL and its API key, if it asks for one."""

    url: str
    key: str | None = None
    timeout: float = 30.0

    def score(self, image: bytes, *, name: str = "image") -> Json:
        """The endpoint's answer for one PNG or JPEG image.

        Raises:
            RunFailed: the endpoint refused this image; Forbidden: the key is wrong; TargetError: it cannot be reached.
        """
        kind = "image/jpeg" if image.startswith(b"\xff\xd8") else "image/png"
        status, answer = self._send("POST", "/score", image, {"content-type": kind})
        if status == http.client.OK:
            return answer
        said = answer.get("error", "") if isinstance(answer, dict) else ""
        if status == http.client.UNAUTHORIZED:
            hint = "is the key in the spec the one it was deployed with?"
            raise Forbidden("the endpoint refused the API key", where=self.url, hint=hint)
        if status in (http.client.TOO_MANY_REQUESTS, http.client.SERVICE_UNAVAILABLE):
            raise NotAvailable(said or "the endpoint is busy", where=self.url, hint="try again in a second")
        raise RunFailed(f"the endpoint refused {name}: {said or status}", where=f"{self.url}/score")

    def ready(self) -> bool:
        try:
            return self._send("GET", "/v2/health/ready", None, {})[0] == http.client.OK
        except TargetError:
            return False

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, Json]:
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self.timeout)
        if self.key is not None:
            headers = {**headers, "authorization": f"Bearer {self.key}"}
        try:
            connection.request(method, parts.path.rstrip("/") + path, body, headers)
            response = connection.getresponse()
            text = response.read()
        except TimeoutError:
            raise TimedOut(f"no answer within {self.timeout:g} s", where=self.url) from None
        except (OSError, http.client.HTTPException) as error:
            hint = "is it running? customai status"
            raise TargetError(f"the endpoint cannot be reached: {error}", where=self.url, hint=hint) from None
        finally:
            connection.close()
        try:
            return response.status, json.loads(text or b"null")
        except ValueError:
            return response.status, None


def url_of(host: str, port: int) -> str:
    """Where to send requests to what listens on this address."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
