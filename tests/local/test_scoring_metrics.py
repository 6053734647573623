"""What is told of the serving: Prometheus's text of all replicas, and traces."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import http.server
import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from onnx import TensorProto, helper

from customai.workloads.scoring.config import ModelConfig, dump
from customai.workloads.scoring.metrics import Metrics
from customai.workloads.scoring.model import load
from customai.workloads.scoring.series import Series
from tests.local.scoring_server import serving

parser = pytest.importorskip(
    "prometheus_client.parser", reason="prometheus_client is not installed: pip install '.[dev]'"
)


@pytest.fixture
def linear_model(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    (tmp_path / "model.onnx").write_bytes(data)
    (tmp_path / "model.json").write_text(dump(ModelConfig("linear", "1", hashlib.sha256(data).hexdigest())))
    return load(tmp_path)


def families(text):
    """{(sample, labels): value} as Prometheus's own parser reads it, and the families' types."""
    found = list(parser.text_string_to_metric_families(text))
    samples = {(s.name, tuple(sorted(s.labels.items()))): s.value for family in found for s in family.samples}
    return samples, {family.name: family.type for family in found}


def quiet(metrics):
    return families(metrics.text(queue=3, active=2, connections=1).decode())


def test_what_was_counted_is_told_in_prometheus_form(tmp_path):
    metrics = Metrics(["1", 'a"b\\c'])
    for seconds in (0.0002, 0.003, 0.003, 99.0):
        metrics.request(0, 200, seconds)
    metrics.request(2, 418, 0.1)
    metrics.batch_rows['a"b\\c'].add(64)
    samples, types = quiet(metrics)
    assert samples["customai_requests_total", (("route", "infer"), ("status", "200"))] == 4
    assert samples["customai_requests_total", (("route", "other"), ("status", "0"))] == 1
    infer = {le: v for (name, labels), v in samples.items() if name == "customai_request_seconds_bucket"
             for key, le in labels if key == "le" and ("route", "infer") in labels}  # fmt: skip
    assert (infer["0.0001"], infer["0.00025"], infer["0.005"], infer["10"], infer["+Inf"]) == (0, 1, 3, 3, 4)
    assert samples["customai_request_seconds_count", (("route", "infer"),)] == 4
    assert samples["customai_request_seconds_sum", (("route", "infer"),)] == pytest.approx(99.0062)
    assert samples["customai_batch_rows_sum", (("version", 'a"b\\c'),)] == 64
    assert (samples["customai_queue_rows", ()], samples["customai_active_requests", ()]) == (3, 2)
    assert samples["customai_replicas", ()] == 1
    assert samples["process_resident_memory_bytes", ()] > 2**20
    assert types["customai_request_seconds"] == "histogram"
    assert types["customai_requests"] == "counter"


def test_replicas_add_up_whoever_is_asked_and_those_that_ended_still_count(tmp_path):
    script = (
        "import sys, pathlib; from customai.workloads.scoring.metrics import Metrics\n"
        "m = Metrics(['1'], pathlib.Path(sys.argv[1])); [m.request(1, 200, 0.01) for _ in range(5)]\n"
        "m.rest(queue=7, active=0, connections=0)\n"
        "print('counted', flush=True); sys.stdin.read()"
    )
    others = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdin=-1, stdout=-1, env=os.environ)
        for _ in range(2)
    ]
    mine = Metrics(["1", "2"], tmp_path)  # of a newer configuration
    mine.request(1, 200, 0.01)
    for other in others:
        assert other.stdout.readline() == b"counted\n"
    scored = ("customai_requests_total", (("route", "score"), ("status", "200")))
    samples, _ = quiet(mine)
    assert (samples[scored], samples["customai_replicas", ()], samples["customai_queue_rows", ()]) == (11, 3, 17)
    others[0].send_signal(signal.SIGKILL)  # which writes nothing any more
    others[0].communicate()
    samples, _ = quiet(mine)
    assert (samples[scored], samples["customai_replicas", ()], samples["customai_queue_rows", ()]) == (11, 2, 10)
    others[1].communicate()
    for _ in range(2):
        samples, _ = quiet(mine)
        assert (samples[scored], samples["customai_replicas", ()]) == (11, 1)
    assert samples["customai_request_seconds_count", (("route", "score"),)] == 11
    assert samples["customai_model_seconds_count", (("version", "2"),)] == 0
    assert len(list(tmp_path.glob("*.series"))) == 1


def test_a_file_that_was_cut_short_is_no_harm(tmp_path):
    (tmp_path / "1-1.series").write_bytes(b"\x10")
    (tmp_path / "ended.json").write_text("{")
    series = Series(["a"], tmp_path)
    series.values[0] = 2.5
    alive, ended = series.read()
    assert (alive, ended) == ([(os.getpid(), {"a": 2.5})], {})


def scrape(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, text
        return families(text)[0]
    finally:
        connection.close()


def test_the_replicas_of_a_deployment_are_one_in_the_metrics(deployment, wait_for):
    deployment.edit(replicas=2)
    deployment.deploy()
    scored = ("customai_requests_total", (("route", "score"), ("status", "200")))
    before = scrape(deployment.port)[scored]
    body = json.dumps({"rows": [np.zeros((1, 8, 8)).tolist()]})
    for _ in range(40):  # each on a connection of its own: any replica
        connection = http.client.HTTPConnection("127.0.0.1", deployment.port, timeout=30)
        connection.request("POST", "/score", body, {"content-type": "application/json"})
        assert connection.getresponse().status == 200
        connection.close()
    assert {scrape(deployment.port)[scored] for _ in range(10)} == {before + 40}
    os.kill(deployment.replicas()[0], signal.SIGKILL)
    wait_for(lambda: deployment.status()["endpoint"]["restarts"] == 1 and len(deployment.replicas()) == 2)
    samples = scrape(deployment.port)
    assert samples[scored] == before + 40
    assert samples["customai_replicas", ()] == 2
    rows = ("customai_batch_rows_sum", (("version", "1"),))
    assert samples[rows] == before + 40


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes spans as an OpenTelemetry collector does."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append((self.path, gzip.decompress(body) if "content-encoding" in self.headers else body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Quiet."""


def test_a_request_is_a_span_that_follows_its_clients_trace(linear_model):
    tracing = pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="pip install 'customai[tracing]'")
    assert tracing
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from customai.workloads.scoring.tracing import Traced

    collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    collector.got = []
    thread = threading.Thread(target=collector.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{collector.server_port}"
    with serving(linear_model, wrap=lambda app: Traced(app, url, "linear")) as running:
        trace = "0af7651916cd43dd8448eb211c80319c"
        for body, headers in ((b'{"rows": [[1, 2]]}', {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}), (b"{", {})):
            connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
            connection.request("POST", "/score", body, {"content-type": "application/json", **headers})
            connection.getresponse().read()
            connection.close()
    collector.shutdown()
    thread.join()
    collector.server_close()
    spans = []
    for path, body in collector.got:
        assert path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            assert "linear" in {each.value.string_value for each in resource.resource.attributes}
            spans += [span for scope in resource.scope_spans for span in scope.spans]
    told = [{each.key: each.value for each in span.attributes} for span in spans]
    assert [span.name for span in spans] == ["POST /score", "POST /score"]
    assert [each["http.response.status_code"].int_value for each in told] == [200, 400]
    assert spans[0].trace_id.hex() == trace
    assert spans[1].trace_id.hex() != trace


def test_without_a_collector_in_the_spec_nothing_of_tracing_is_imported():
    script = (
        "import sys, customai.workloads.scoring.app, customai.workloads.scoring.server, customai.workloads.scoring.replica\n"
        "assert not [name for name in sys.modules if name.startswith(('opentelemetry', 'prometheus'))]"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
