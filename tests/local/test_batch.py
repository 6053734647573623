"""Batch runs, really: processes of their own, killed at bad moments, fed with bad data."""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.local.conftest import processes

pa = pytest.importorskip("pyarrow", reason="batch scoring needs: pip install 'customai[batch]'")
import onnx  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

COLUMNS = ["a", "b", "c"]


def classifier(width: int = 8) -> bytes:
    """[n, 3] floats -> [n, 4] probabilities; the wider, the slower."""
    rng = np.random.default_rng(0)
    weights = {"w1": (3, width), "w2": (width, width), "w3": (width, 4)}
    made = [numpy_helper.from_array(rng.normal(0, 1, s).astype(np.float32), n) for n, s in weights.items()]
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["h1"]),
        helper.make_node("Tanh", ["h1"], ["t1"]),
        helper.make_node("MatMul", ["t1", "w2"], ["h2"]),
        helper.make_node("Tanh", ["h2"], ["t2"]),
        helper.make_node("MatMul", ["t2", "w3"], ["h3"]),
        helper.make_node("Softmax", ["h3"], ["p"]),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])
    put_out = helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, 4])
    graph = helper.make_graph(nodes, "classifier", [given], [put_out], made)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def model_folder(folder: Path, data: bytes, **card: Any) -> Path:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(data)
    asked = {"name": "m", "version": "1", "labels": None, "scores": "probabilities", "preprocessing": None}
    sha256 = hashlib.sha256(data).hexdigest()
    (folder / "model.json").write_text(json.dumps({"format": 1, "smoke_test": None, "sha256": sha256, **asked, **card}))
    return folder


def rows(count: int, first: int = 0) -> Any:
    rng = np.random.default_rng(first)
    columns = {name: rng.normal(size=count).astype(np.float32) for name in COLUMNS}
    return pa.table({"id": np.arange(first, first + count), **columns})


class Batch:
    """One data set, one model, many runs: each as the process group that a job is."""

    def __init__(self, folder: Path, **asked: Any) -> None:
        self.folder = folder
        self.input, self.output = folder / "data", folder / "out"
        self.input.mkdir()
        self.model = model_folder(folder / "model", classifier(asked.pop("width", 8)))
        self.asked = {"kind": "rows", "columns": COLUMNS, "keep": ["id"], "chunk": 100, **asked}

    def start(self, run: str, *flags: str, limit: int | None = None, **asked: Any) -> subprocess.Popen[bytes]:
        places = {"input": str(self.input), "output": str(self.output)}
        request = {"format": 1, "run": run, **places, **self.asked, **asked}
        job = self.folder / f"job-{run}"
        job.mkdir(exist_ok=True)
        for left_over in ("result.json", "error.json"):
            (job / left_over).unlink(missing_ok=True)
        command = [sys.executable, "-m", "customai.workloads.batch", json.dumps(request), str(self.model), *flags]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        return subprocess.Popen(
            command,
            env={**environment, "CUSTOMAI_RUN_FOLDER": str(job)},
            start_new_session=True,
            stderr=subprocess.PIPE,
            preexec_fn=None if limit is None else lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),  # noqa: PLW1509
        )

    def run(self, run: str = "r", *flags: str, **asked: Any) -> dict[str, Any]:
        """result.json, or error.json as {"error": ...}."""
        process = self.start(run, *flags, **asked)
        _, said = process.communicate(timeout=120)
        job = self.folder / f"job-{run}"
        if process.returncode == 0:
            return dict(json.loads((job / "result.json").read_bytes()))
        assert (job / "error.json").exists(), said.decode()
        return {"error": json.loads((job / "error.json").read_bytes())}

    def table(self, run: str = "r") -> Any:
        parts = sorted((self.output / f"run={run}").glob("part-*.parquet"))
        return pa.concat_tables([pq.ParquetFile(part).read() for part in parts])

    def errors(self, run: str = "r") -> list[dict[str, Any]]:
        return list(pq.ParquetFile(self.output / f"run={run}" / "_errors.parquet").read().to_pylist())

    def staged(self) -> list[str]:
        return [each.name for each in self.output.glob("_run=*")]


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    made = Batch(tmp_path)
    pq.write_table(rows(250), made.input / "one.parquet", row_group_size=60)
    pq.write_table(rows(50, 250), made.input / "two.parquet")
    return made


def test_every_row_is_in_the_output_with_what_onnxruntime_says_of_it(batch: Batch) -> None:
    import onnxruntime as ort

    found = batch.run()
    assert (found["rows"], found["errors"], found["files"], found["unchanged"]) == (300, 0, 2, False)
    table = batch.table()
    assert table["id"].to_pylist() == list(range(300))
    given = pa.concat_tables([rows(250), rows(50, 250)])
    x = np.column_stack([given[name].to_numpy() for name in COLUMNS])
    (p,) = ort.InferenceSession((batch.model / "model.onnx").read_bytes()).run(None, {"x": x})
    assert table["label"].to_pylist() == [str(best) for best in p.argmax(1)]
    np.testing.assert_allclose(table["probability"].to_numpy(), p.max(1), rtol=1e-5)
    assert json.loads((batch.output / "run=r" / "_summary.json").read_bytes())["rows"] == 300
    assert batch.staged() == []


@pytest.mark.slow
def test_killed_at_random_twenty_times_every_input_is_scored_exactly_once(tmp_path: Path) -> None:
    batch = Batch(tmp_path, width=256, chunk=2000, workers=2)
    for number in range(3):
        pq.write_table(rows(20_000, number * 20_000), batch.input / f"{number}.parquet", row_group_size=5000)
    started = time.monotonic()
    batch.run("undisturbed")
    whole = time.monotonic() - started
    seed = random.randrange(10**6)
    chance, kills, run = random.Random(seed), 0, 0
    resumed = 0
    while kills < 20:
        process = batch.start(f"r{run}")
        try:
            process.communicate(timeout=chance.uniform(0.2, 1.0) * whole)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            continue
        run += 1  # it came through: the next kills are another run's
    for number in range(run + 1):
        found = batch.run(f"r{number}")
        resumed += found["attempts"] > 1
        assert (found["rows"], found["errors"]) == (60_000, 0), seed
        assert batch.table(f"r{number}").equals(batch.table("undisturbed")), seed
        assert batch.table(f"r{number}")["id"].to_pylist() == list(range(60_000)), seed
    assert resumed, f"no kill came while it scored (seed {seed})"
    assert batch.staged() == []


def test_the_same_name_with_unchanged_input_does_nothing_and_with_changed_input_replaces_it_whole(batch: Batch) -> None:
    batch.run()
    part = batch.output / "run=r" / "part-00000.parquet"
    before = part.stat().st_ino
    assert batch.run()["unchanged"] is True
    assert batch.run(limit_errors=7)["unchanged"] is True
    assert part.stat().st_ino == before
    (batch.input / "one.parquet").unlink()
    again = batch.run()
    assert (again["unchanged"], again["rows"]) == (False, 50)
    assert batch.table()["id"].to_pylist() == list(range(250, 300))
    assert batch.staged() == []


def test_a_run_that_was_killed_while_it_was_put_in_place_is_put_in_place(batch: Batch) -> None:
    batch.run()
    place, aside = batch.output / "run=r", batch.output / "_run=r"
    aside.mkdir()
    place.rename(aside / "output")
    found = batch.run()
    assert (found["rows"], len(batch.table()), batch.staged()) == (300, 300, [])


def test_a_run_that_was_taken_aside_for_one_that_never_came_is_still_there(batch: Batch) -> None:
    batch.run()
    place, aside = batch.output / "run=r", batch.output / "_run=r"
    aside.mkdir()
    place.rename(aside / "old")
    (batch.input / "one.parquet").unlink()
    assert "error" in batch.run(columns=["a", "b", "no-such-column"])
    assert len(batch.table()) == 300


@pytest.mark.parametrize(
    ("module", "place", "pip"),
    [("pyarrow", None, "pip install 'customai[batch]'"), ("adlfs", "az://data/x", "pip install 'customai[blob]'")],
)
def test_an_extra_that_is_missing_is_told_with_the_command_that_mends_it(
    batch: Batch, monkeypatch: pytest.MonkeyPatch, module: str, place: str | None, pip: str
) -> None:
    hidden = batch.folder / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(f"import sys\nsys.modules['{module}'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(hidden))
    error = batch.run(**({} if place is None else {"input": place}))["error"]
    assert (error["type"], error["exit_code"], error["hint"]) == ("NotInstalled", 3, pip)
    assert module in error["message"]


def test_a_dry_run_says_what_would_be_read_and_writes_nothing(batch: Batch) -> None:
    found = batch.run("r", "--dry-run")
    assert (found["files"], found["rows"], found["would"]) == (2, 300, "score")
    assert (found["columns"], found["predictions"]) == (COLUMNS, ["id", "label", "probability"])
    assert not batch.output.exists()
    batch.run()
    assert batch.run("r", "--dry-run")["would"] == "do nothing"
    (batch.input / "two.parquet").unlink()
    assert batch.run("r", "--dry-run")["would"] == "replace"
    assert len(batch.table()) == 300


def test_one_corrupt_file_among_many_is_listed_and_the_rest_is_finished(batch: Batch) -> None:
    (batch.input / "cut.parquet").write_bytes((batch.input / "one.parquet").read_bytes()[:500])
    damaged = bytearray((batch.input / "two.parquet").read_bytes())
    damaged[10:300] = bytes(290)  # its footer is whole: only reading the rows tells
    (batch.input / "damaged.parquet").write_bytes(damaged)
    error = batch.run()["error"]
    assert (error["exit_code"], error["type"]) == (1, "RunFailed")
    assert "2 of 302 inputs could not be scored, 0 are allowed" in error["message"]
    assert error["where"].endswith("run=r/_errors.csv")
    assert len(batch.table()) == 300
    listed = batch.errors()
    assert [each["file"] for each in listed] == ["cut.parquet", "damaged.parquet"]
    assert all("cannot be read" in each["reason"] for each in listed)
    assert batch.run(limit_errors=2)["errors"] == 2


def csv_of(text: str):
    return lambda folder: (folder / "data.csv").write_text(text)


def parquet_of(**columns: Any):
    return lambda folder: pq.write_table(pa.table(columns), folder / "data.parquet")


@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        (lambda folder: None, 2, ["the input is empty: there is no .parquet or .pq or .csv file"]),
        (lambda folder: (folder / "notes.txt").write_text("?"), 2, ["(1 other files)"]),
        (lambda folder: folder.rmdir(), 2, ["the input is not there"]),
        (parquet_of(id=[1], a=[1.0], b=[1.0]), 2, ["missing column: c", "the file has id, a, b"]),
        (parquet_of(id=[1], a=[1.0], b=["x"], c=[1.0]), 2, ["column b is string", "input x is FP32"]),
        (parquet_of(id=pa.array([], pa.int64()), **{c: pa.array([], pa.float32()) for c in COLUMNS}), 2, ["no rows"]),
        (lambda folder: (folder / "data.parquet").write_text("what?"), 2, ["none of the 1 files can be read"]),
        (csv_of(""), 2, ["none of the 1 files", "expected a line with the columns' names"]),
        (csv_of("id,a,b,a\n1,2,3,4\n"), 2, ["column a stands there twice"]),
        (csv_of("id,a,b\n1,2,3\n"), 2, ["missing column: c"]),
    ],
)
def test_bad_input_is_told_in_words(tmp_path: Path, make: Any, code: int, words: list[str]) -> None:
    batch = Batch(tmp_path)
    make(batch.input)
    error = batch.run()["error"]
    told = " ".join((error["message"], error["where"], error["hint"]))
    assert (error["exit_code"], [word for word in words if word not in told]) == (code, []), told
    assert batch.staged() in ([], ["_run=r"])


def test_rows_of_a_csv_that_are_wrong_are_listed_and_the_others_scored(tmp_path: Path) -> None:
    batch = Batch(tmp_path, keep=["id", "note"], csv=True)
    text = 'id,a,b,c,note,extra\n001,1,2,3,"two\nlines, ""quoted""",x\n2,1,wrong,3,,\n3,1,2\n4,1,,3,end,'
    (batch.input / "data.csv").write_text(text)
    assert "2 of 4 inputs" in batch.run()["error"]["message"]
    table = batch.table().to_pylist()
    assert [(row["id"], row["note"]) for row in table] == [("001", 'two\nlines, "quoted"'), ("4", "end")]
    assert sorted((each["row"], each["reason"]) for each in batch.errors()) == [
        (1, "column b is 'wrong', no float"),
        (2, "3 values, expected 6"),
    ]
    assert (batch.output / "run=r" / "_csv" / "part-00000.csv").read_text().startswith('"id","note","label"')


@pytest.mark.parametrize("chunk", [1, 3, 7, 1000])
def test_a_csv_is_cut_between_records_whatever_stands_in_quotes(tmp_path: Path, chunk: int) -> None:
    batch = Batch(tmp_path, keep=["id", "note"], chunk=chunk)
    notes = ["plain", '"a\nb"', '"say ""hi"""', '",\n\n,"', '""']
    lines = "".join(f"{number},1,2,{number},{notes[number % 5]}\r\n" for number in range(40))
    (batch.input / "data.csv").write_text("\ufeffid,a,b,c,note\r\n" + lines)
    found = batch.run()
    assert (found["rows"], found["errors"], found["chunks"]) == (40, 0, -(-40 // chunk))
    assert batch.table()["id"].to_pylist() == [str(number) for number in range(40)]


def test_an_output_that_cannot_be_written_is_told_before_anything_is_scored(batch: Batch) -> None:
    batch.output.write_text("a file, no folder")
    error = batch.run()["error"]
    assert "the output cannot be written" in error["message"]
    assert error["where"].startswith(str(batch.output))


def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(batch: Batch) -> None:
    batch.output.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", batch.output], check=False)
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a file system")
    try:
        filler = batch.output / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        os.truncate(filler, filler.stat().st_size - 5 * 4096)
        error = batch.run()["error"]
        assert (error["type"], error["exit_code"]) == ("NoQuota", 3), error
        assert "the disk is full" in error["message"]
        filler.unlink()
        assert batch.run()["rows"] == 300
        assert batch.table()["id"].to_pylist() == list(range(300))
    finally:
        subprocess.run(["umount", "--lazy", batch.output], check=True)


def children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def test_a_worker_that_dies_is_replaced_and_its_chunk_done_again(tmp_path: Path) -> None:
    batch = Batch(tmp_path, width=512, chunk=2000, workers=2)
    pq.write_table(rows(40_000), batch.input / "data.parquet")
    process = batch.start("r")
    journal = batch.output / "_run=r" / "chunks.jsonl"
    killed = 0
    while process.poll() is None and killed < 3:
        if journal.exists() and journal.read_text().count("done") > 2 * killed and (workers := children(process.pid)):
            os.kill(workers[0], signal.SIGKILL)
            killed += 1
        time.sleep(0.01)
    process.communicate(timeout=60)
    assert (process.returncode, killed) == (0, 3)
    assert batch.table()["id"].to_pylist() == list(range(40_000))


def test_a_chunk_that_no_worker_survives_is_named_and_the_rest_is_finished(tmp_path: Path) -> None:
    """An image that takes more memory than there is, among small ones."""
    from PIL import Image

    how = {"size": [2, 2], "channels": "rgb", "scale": 1.0, "mean": [], "std": [], "layout": "nchw"}
    batch = Batch(tmp_path, kind="images", columns=[], keep=[], chunk=1, workers=2)
    data = reshaped_classifier()
    (batch.model / "model.onnx").write_bytes(data)
    card = json.loads((batch.model / "model.json").read_text())
    card |= {"sha256": hashlib.sha256(data).hexdigest(), "preprocessing": {**how, "resample": "box", "crop": "none"}}
    (batch.model / "model.json").write_text(json.dumps(card))
    for number in range(6):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(batch.input / f"{number}.png")
    Image.new("RGBA", (7000, 7000)).save(batch.input / "huge.png")
    error = batch.run(limit=1_200_000_000)["error"]
    assert error["exit_code"] == 1
    assert "1 of 7 chunks could not be scored, the others are done: images huge.png to huge.png" in error["message"]
    assert "memory" in error["message"]
    assert (batch.output / "_run=r" / "chunks.jsonl").read_text().count("done") == 6
    found = batch.run()  # with more memory: only that one is done
    assert (found["rows"], found["attempts"]) == (7, 2)


def reshaped_classifier() -> bytes:
    """[n, 3, 2, 2] -> [n, 4]: the classifier on the mean colour."""
    model = onnx.load_from_string(classifier())
    mean = helper.make_node("ReduceMean", ["image", "axes"], ["x"], keepdims=0)
    model.graph.node.insert(0, mean)
    model.graph.initializer.append(numpy_helper.from_array(np.array([2, 3]), "axes"))
    del model.graph.input[:]
    model.graph.input.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, [None, 3, 2, 2]))
    return bytes(model.SerializeToString())


def test_input_that_changes_meanwhile_is_told_and_the_next_run_begins_anew(tmp_path: Path) -> None:
    batch = Batch(tmp_path, width=512, chunk=2000, workers=1)
    pq.write_table(rows(30_000), batch.input / "data.parquet")
    process = batch.start("r")
    journal = batch.output / "_run=r" / "chunks.jsonl"
    while process.poll() is None and not (journal.exists() and "done" in journal.read_text()):
        time.sleep(0.005)
    pq.write_table(rows(100), batch.input / "new")
    (batch.input / "new").replace(batch.input / "data.parquet")
    process.communicate(timeout=60)
    error = json.loads((tmp_path / "job-r" / "error.json").read_bytes())
    assert "the input was changed while it was scored" in error["message"]
    assert batch.run()["rows"] == 100


def test_a_second_run_of_a_name_that_goes_on_waits_and_then_finds_it_done(tmp_path: Path) -> None:
    batch = Batch(tmp_path, width=256, chunk=2000)
    pq.write_table(rows(20_000), batch.input / "data.parquet")
    both = [batch.start("r"), batch.start("r")]
    for process in both:
        process.communicate(timeout=60)
    assert [process.returncode for process in both] == [0, 0]
    assert batch.table()["id"].to_pylist() == list(range(20_000))


def test_sigterm_lets_what_was_begun_come_to_its_end_and_the_next_run_goes_on(tmp_path: Path) -> None:
    batch = Batch(tmp_path, width=512, chunk=2000, workers=2)
    pq.write_table(rows(40_000), batch.input / "data.parquet")
    process = batch.start("r")
    journal = batch.output / "_run=r" / "chunks.jsonl"
    while process.poll() is None and not (journal.exists() and "done" in journal.read_text()):
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 130
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert sum("begun" in line for line in lines) == sum("done" in line for line in lines) < 20
    found = batch.run()
    assert (found["rows"], found["attempts"], found["chunks_redone"]) == (40_000, 2, 0)


def test_a_rehearsed_eviction_tells_what_it_costs_and_that_the_result_is_the_same(tmp_path: Path) -> None:
    batch = Batch(tmp_path, width=512, chunk=2000, workers=2)
    pq.write_table(rows(40_000), batch.input / "data.parquet")
    process = batch.start("r", "--rehearse-eviction", "0")
    process.communicate(timeout=90)
    found = json.loads((tmp_path / "job-r" / "result.json").read_bytes())
    assert (found["equal"], found["rows"]) == (True, 40_000)
    assert 0 <= found["rows_lost"] <= 4000
    assert found["seconds_lost"] == pytest.approx(found["seconds"] - found["undisturbed"], abs=0.002)
    assert not batch.output.exists()
    assert not (tmp_path / "job-r" / "rehearsal").exists()


def test_a_rehearsal_that_is_cancelled_while_it_waits_leaves_nothing_running(tmp_path: Path) -> None:
    batch = Batch(tmp_path, width=512, chunk=2000, workers=2)
    pq.write_table(rows(60_000), batch.input / "data.parquet")
    process = batch.start("r", "--rehearse-eviction", "0")
    scratch = tmp_path / "job-r" / "rehearsal"
    journal = scratch / "output" / "_run=disturbed" / "chunks.jsonl"
    while process.poll() is None and not (journal.exists() and "begun" in journal.read_text()):
        time.sleep(0.005)
    assert journal.exists(), "it was over before it could be cancelled"
    assert processes(scratch), "its first process goes on"
    process.terminate()  # it alone: what it started has sessions of its own
    process.wait(60)
    assert process.stderr
    process.stderr.close()
    assert process.returncode == 130
    assert not processes(scratch)
    assert not scratch.exists()
