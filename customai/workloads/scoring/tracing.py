"""A span for each request, sent to an OpenTelemetry collector (extra `tracing`). Imported only where the spec asks for it."""

from customai.errors import NotInstalled
from customai.workloads.scoring.answers import Answer, Headers
from customai.workloads.scoring.service import Handler, Service

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import SpanKind, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as error:
    hint = "pip install 'customai[tracing]', or leave endpoint.tracing out of the spec"
    raise NotInstalled(f"tracing needs what is not installed here: {error.name}", hint=hint) from None

PATIENCE = 2  # seconds for the collector to take a batch


class Traced:
    """The service, with a span around each request that is answered; a request's `traceparent` is honoured."""

    def __init__(self, service: Service, collector: str, name: str = "customai") -> None:
        self._service = service
        exporter = OTLPSpanExporter(endpoint=f"{collector.rstrip('/')}/v1/traces", timeout=PATIENCE)
        self._provider = TracerProvider(resource=Resource.create({"service.name": name}), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, export_timeout_millis=PATIENCE * 1000))
        self._tracer = self._provider.get_tracer("customai.workloads.scoring")
        self._propagator = TraceContextTextMapPropagator()
        self.route, self.told, self.rest = service.route, service.told, service.rest

    async def attempt(self, method: str, path: str, handler: Handler, headers: Headers, body: bytes) -> Answer:
        carrier = {
            name: headers[name.encode()].decode("latin-1")
            for name in ("traceparent", "tracestate")
            if name.encode() in headers
        }
        parent = self._propagator.extract(carrier)
        told: dict[str, str | int] = {
            "http.request.method": method,
            "url.path": path,
            "http.request.body.size": len(body),
        }
        with self._tracer.start_as_current_span(f"{method} {path}", parent, SpanKind.SERVER, told) as span:
            result = await self._service.attempt(method, path, handler, headers, body)
            span.set_attribute("http.response.status_code", result.status)
            if result.status >= 500:
                span.set_status(StatusCode.ERROR)
            return result

    def close(self) -> None:
        self._provider.shutdown()
        self._service.close()
