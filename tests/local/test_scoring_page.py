"""The page at `/` in a browser, as a person uses it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import urllib.request
from pathlib import Path

import pytest
import yaml

from customai.workloads.scoring.config import Column, ModelConfig, Preprocessing, dump
from customai.workloads.scoring.model import load
from tests.local.scoring_server import serving

REPOSITORY = Path(__file__).parents[2]
KEY = "a-key-for-the-page"
THREE = [(70, 40), (140, 40), (150, 75), (105, 105), (155, 140), (145, 185), (70, 190)]  # as a hand draws it


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The model of path 2-5, with an API key."""
    source, folder = REPOSITORY / "paths" / "2-5", tmp_path_factory.mktemp("digits")
    spec = yaml.safe_load((source / "customai.yaml").read_text(encoding="utf-8"))["model"]
    how = spec["preprocessing"] | {"size": tuple(spec["preprocessing"]["size"])}
    shutil.copy(source / spec["file"], folder / "model.onnx")
    labels = tuple((source / spec["labels"]).read_text(encoding="utf-8").split())
    config = ModelConfig("digits", "1", spec["sha256"], labels, spec["scores"], Preprocessing(**how))
    (folder / "model.json").write_text(dump(config))
    with serving(load(folder), key_sha256=hashlib.sha256(KEY.encode()).hexdigest()) as running:
        yield running


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """A model that takes a row of three named columns and gives back their sum."""
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    folder = tmp_path_factory.mktemp("rows")
    graph = helper.make_graph(
        [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=1)],
        "rows",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor("axes", onnx.TensorProto.INT64, [1], [1])],
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    (folder / "model.onnx").write_bytes(data)
    columns = (
        Column("age", "number"),
        Column("income", "number"),
        Column("debt", "number", nullable=True, default=5.0),
    )
    config = ModelConfig("sums", "1", hashlib.sha256(data).hexdigest(), columns=columns)
    (folder / "model.json").write_text(dump(config))
    with serving(load(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[dev]'")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield made
        made.close()


@pytest.fixture
def page(browser):
    """A page that fails the test on any error in its console, a refusal by its own policy included, but for a 401 or 400."""
    made = browser.new_page(viewport={"width": 1100, "height": 800})
    made.set_default_timeout(60_000)
    wrong = []
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("console", lambda told: wrong.append(told.text) if told.type == "error" else None)
    yield made
    made.close()
    assert not [text for text in wrong if "status of 40" not in text]


def test_the_page_runs_its_own_script_and_nothing_else(digits):
    request = urllib.request.Request(f"http://127.0.0.1:{digits.port}/", headers={"accept": "text/html"})
    with urllib.request.urlopen(request, timeout=30) as got:
        text, policy = got.read().decode(), got.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert len(re.findall(r"'sha256-[\w+/=]{44}'", policy)) == 2
    assert not re.findall(r"""(?:src|href|action)=["'](?!metrics|data:,)""", text)
    assert "://" not in text
    assert not re.findall(r"\son\w+=", text)
    assert KEY not in text


def test_without_asking_for_html_it_is_the_index_and_needs_the_key(digits):
    url = f"http://127.0.0.1:{digits.port}/"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(url, timeout=30)
    with urllib.request.urlopen(
        urllib.request.Request(url, headers={"authorization": f"Bearer {KEY}"}), timeout=30
    ) as got:
        assert json.loads(got.read())["takes"] == {"images": {"size": [8, 8], "channels": "gray"}}


@pytest.mark.slow
def test_a_drawn_digit_is_recognised(digits, page):
    page.goto(f"http://127.0.0.1:{digits.port}/")
    page.get_by_label("API key").fill("wrong")
    page.get_by_role("button", name="Use this key").click()
    page.get_by_text("The API key is wrong").wait_for()
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Use this key").click()
    page.get_by_label("Drawing area").wait_for()
    box = page.get_by_label("Drawing area").bounding_box()
    scale = box["width"] / 224
    places = [(box["x"] + x * scale, box["y"] + y * scale) for x, y in THREE]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()
    page.locator("#answer", has_text=re.compile(r"^3 \(")).wait_for()
    assert "ms" in page.locator("#latency").text_content()
    assert page.locator("#top li").count() == 5
    page.locator("#metrics dd").nth(8).wait_for()
    page.get_by_label("Or an image file (PNG or JPEG)").set_input_files(REPOSITORY / "paths/2-5/samples/7.png")
    page.locator("#answer", has_text=re.compile(r"^7 \(")).wait_for()


@pytest.mark.slow
def test_a_digit_is_drawn_by_keyboard_and_told_to_screen_readers(digits, page):
    page.goto(f"http://127.0.0.1:{digits.port}/")
    page.keyboard.type(KEY)  # the field has the focus
    page.keyboard.press("Enter")
    page.get_by_label("Drawing area").wait_for()
    page.get_by_label("Drawing area").focus()
    for _ in range(5):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    for _ in range(10):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("status").filter(has_text=re.compile(r"^1 \(")).wait_for()
    assert page.locator("#pen").text_content() == "drawing, column 8, row 13"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Score the drawing"


@pytest.mark.slow
def test_a_row_is_filled_in_by_its_columns(rows, page):
    page.goto(f"http://127.0.0.1:{rows.port}/")
    page.get_by_label("age", exact=True).fill("1.5")
    page.get_by_label("income", exact=True).fill("2")
    page.keyboard.press("Enter")
    page.locator("#answer", has_text=re.compile(r"^8\.5$")).wait_for()
    page.get_by_label("debt (may be empty)").fill("1e39")
    page.get_by_role("button", name="Score the row").click()
    page.get_by_role("status").filter(has_text="rows[0].debt is").wait_for()
