"""One version of the model at work: a request's body -> the model's inputs -> its batcher -> an answer."""

from customai.workloads.scoring import binary, protocol, score
from customai.workloads.scoring.answers import JSON, Answer, Headers, RequestError, bad
from customai.workloads.scoring.aside import Aside
from customai.workloads.scoring.batching import Batcher
from customai.workloads.scoring.config import ServerConfig
from customai.workloads.scoring.image import decoded, open_image
from customai.workloads.scoring.metrics import Metrics
from customai.workloads.scoring.model import Model
from customai.workloads.scoring.pace import Pace
from customai.workloads.scoring.signature import Feed
from customai.workloads.scoring.tensors import DATATYPES

# More than this is worked on in a thread, because it can take the event loop milliseconds.
INLINE_BODY = 128 * 1024
INLINE_PIXELS = 256 * 256
INLINE_IMAGES = 16
INLINE_ROWS = 256


class Version:
    def __init__(
        self, model: Model, traffic: int, pace: Pace, config: ServerConfig, *, aside: Aside, metrics: Metrics
    ) -> None:
        """traffic: its share of the requests, in percent."""
        self.model = model
        self.name = model.config.version
        self.traffic = traffic
        self.pace = pace
        rows_of_runs, seconds_of_runs = metrics.batch_rows[self.name], metrics.model_seconds[self.name]

        def told(rows: int, seconds: float) -> None:
            rows_of_runs.add(rows)
            seconds_of_runs.add(seconds)

        self.batcher = Batcher(model.run, pace, config.max_queue, config.max_wait, told)
        self._max_rows = config.max_rows
        self._aside = aside

    async def infer(self, headers: Headers, body: bytes) -> Answer:
        signature = self.model.signature
        _check_plain(headers)
        split = binary.split(headers, len(body))
        if split is None:
            _check_json(headers)
        if len(body) <= INLINE_BODY:
            request = protocol.parse(body, signature, split)
        elif split is not None and split <= INLINE_BODY and not binary.has_text(signature):
            request = protocol.parse(body, signature, split)  # the tensors are looked at where they are
        else:
            request = await self._aside(protocol.parse, body, signature, split)
        if request.rows > self._max_rows:
            raise bad(f"the inputs have {request.rows} rows", field="inputs", expected=f"at most {self._max_rows} rows")
        outputs = await self.batcher.score(request.feed, request.rows)
        return protocol.encode(request, outputs, signature, self.model.config)

    async def score(self, headers: Headers, body: bytes) -> Answer:
        _check_plain(headers)
        if media_type(headers).startswith(b"image/"):
            feed = await self._images([body], None)
        else:
            _check_json(headers, "-H 'Content-Type: image/png', image/jpeg or application/json", needed=True)
            if len(body) <= INLINE_BODY:
                parsed = score.parse(body, self.model, self._max_rows)
            else:
                parsed = await self._aside(score.parse, body, self.model, self._max_rows)
            feed = await self._images(parsed, "images") if isinstance(parsed, list) else parsed
        rows = len(next(iter(feed.values())))
        outputs = await self.batcher.score(feed, rows)
        if rows > INLINE_ROWS:
            return await self._aside(score.encode, outputs, self.model.signature, self.model.config)
        return score.encode(outputs, self.model.signature, self.model.config)

    def close(self) -> None:
        self.batcher.close()

    async def _images(self, images: list[bytes], field: str | None) -> Feed:
        how = self.model.config.preprocessing
        if how is None:
            raise RequestError(415, "this model takes no images", expected='application/json with {"rows": [...]}')
        tensor = self.model.signature.inputs[0]
        dtype = DATATYPES[tensor.datatype].dtype
        if len(images) > INLINE_IMAGES:
            return {tensor.name: await self._aside(decoded, images, how, dtype, field)}
        first = open_image(images[0], field and f"{field}[0]")
        if first.width * first.height * len(images) > INLINE_PIXELS:
            return {tensor.name: await self._aside(decoded, images, how, dtype, field)}
        return {tensor.name: decoded(images, how, dtype, field)}


def media_type(headers: Headers) -> bytes:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def _check_json(
    headers: Headers, expected: str = "-H 'Content-Type: application/json'", *, needed: bool = False
) -> None:
    """Without `needed`, no type at all is JSON too: the protocol's clients send none."""
    given = headers.get(b"content-type", b"")
    if given != JSON and media_type(headers) != JSON and (needed or given):
        found = media_type(headers)[:60].decode("latin-1") or "missing"
        raise RequestError(415, f"the content type is {found}", field="Content-Type", expected=expected)


def _check_plain(headers: Headers) -> None:
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise RequestError(415, "the body is compressed", field="Content-Encoding", expected="a body as it is")
