import base64

import numpy as np
import pytest
from onnx import TensorProto

from customai.workloads.scoring.classes import best, predictions, probabilities
from customai.workloads.scoring.config import ModelConfig

BRIGHT = {"labels": ["bright", "dark"], "scores": "logits"}
PNG = {"content-type": "image/png"}


@pytest.fixture
def images(serve, models):
    return serve(models.brightness(), preprocessing=models.GRAY, **BRIGHT)


def text(data):
    return base64.b64encode(data).decode()


def test_an_image_gets_its_label(images, models):
    status, _, answer = images("POST", "/score", models.png(255), PNG)
    assert status == 200
    assert answer["model"]["name"] == "tiny"
    assert len(answer["model"]["sha256"]) == 64
    [prediction] = answer["predictions"]
    assert (prediction["label"], prediction["index"]) == ("bright", 0)
    assert prediction["probability"] == pytest.approx(1, abs=1e-3)
    assert [entry["label"] for entry in prediction["top"]] == ["bright", "dark"]


@pytest.mark.parametrize("header", ["image/png", "image/jpeg", "IMAGE/JPEG; x=y", "image/webp"])
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_the_bytes_decide_what_an_image_is(images, models, header, form):
    answer = images("POST", "/score", models.png(0, form=form), {"content-type": header})[2]
    assert answer["predictions"][0]["label"] == "dark"


def test_a_large_image_is_scored_too(images, models):
    data = models.png(0, size=(900, 900))
    answers = images.post("/score", {"images": [text(data), text(models.png(255))]})[2]
    assert [row["label"] for row in answers["predictions"]] == ["dark", "bright"]


def test_many_images_and_rows_keep_their_order(images, models):
    values = [255 * (i % 3 == 0) for i in range(300)]
    answer = images.post("/score", {"images": [text(models.png(value)) for value in values]})[2]
    assert [row["label"] == "bright" for row in answer["predictions"]] == [value == 255 for value in values]
    status, _, answer = images.post("/score", {"images": [text(models.png())] * 20 + ["QUJD"]})
    assert (status, answer["field"]) == (400, "images[20]")


def test_rows_get_labels(serve, models):
    answer = serve(models.linear(), labels=["a", "b", "c"]).post("/score", {"rows": [[1, 2, 3, 4], [0, 0, 0, 0]]})[2]
    assert [row["label"] for row in answer["predictions"]] == ["c", "a"]
    assert answer["predictions"][1]["probability"] == pytest.approx(1 / 3, abs=1e-5)


def test_without_labels_the_index_is_the_label(serve, models):
    answer = serve(models.linear()).post("/score", {"rows": [[1, 2, 3, 4]]})[2]
    assert answer["predictions"][0]["label"] == "2"


def test_a_model_without_classes_answers_its_outputs(serve, models):
    client = serve(models.identity(shape=("n", "m")), labels=None)
    assert client.post("/score", {"rows": [[1, 2, 3]]})[0] == 200
    client = serve(models.picks())
    assert client.post("/score", {"rows": [1, 0]})[2]["predictions"][1]["label"] == "1"
    client = serve(models.identity(TensorProto.INT64))
    assert client.post("/score", {"rows": [[1, 2]]})[2]["predictions"] == [{"outputs": {"y": [1, 2]}}]


def test_a_model_that_takes_one_row_at_a_time_is_given_one_at_a_time(serve, models):
    client = serve(models.linear(rows=1))
    before = client.app.versions[0].batcher.runs
    answer = client.post("/score", {"rows": [[1, 2, 3, 4]] * 3})[2]
    assert len(answer["predictions"]) == 3
    assert client.app.versions[0].batcher.runs - before == 3


@pytest.mark.parametrize(
    ("document", "field", "message"),
    [
        ({}, None, 'either "images" or "rows"'),
        ({"rows": [[1]], "images": []}, None, 'either "images" or "rows"'),
        ({"rows": []}, "rows", "not an array of at least one row"),
        ({"rows": None}, "rows", "not an array"),
        ({"rows": [1]}, "rows", "rows holds 1 values"),
        ({"rows": [[1, 2, 3]]}, "rows[0]", "rows[0] is 3 long"),
        ({"rows": [[1, 2, 3, 4], [1, 2, 3]]}, "rows[1]", "rows[1] is 3 long"),
        ({"rows": [[1, 2, 3, "4"]]}, "rows[0][3]", 'rows[0][3] is "4"'),
        ({"rows": [[1, 2, 3, None]]}, "rows[0][3]", "is null"),
        ({"rows": [[1, 2, 3, 1e39]]}, "rows[0][3]", "is 1e+39"),
        ({"images": 1}, "images", "not an array of at least one image"),
        ({"images": []}, "images", "not an array of at least one image"),
        ({"images": [1]}, "images[0]", "images[0] is 1"),
        ({"images": ["*"]}, "images[0]", "images[0] is not base64"),
        ({"images": ["é"]}, "images[0]", "images[0] is not base64"),
    ],
)
def test_bad_json_names_its_field(serve, models, document, field, message):
    status, _, answer = serve(models.linear()).post("/score", document)
    assert (status, answer["field"]) == (400, field)
    assert message in answer["error"]


def test_bad_images_name_their_place(images, models):
    good = text(models.png(0))
    status, _, answer = images.post("/score", {"images": [good, text(b"no")]})
    assert (status, answer["field"], answer["error"]) == (400, "images[1]", "images[1] is not a PNG or JPEG image")
    status, _, answer = images("POST", "/score", b"no", PNG)
    assert (status, answer["error"]) == (400, "the body is not a PNG or JPEG image")


def test_a_model_without_preprocessing_takes_no_images(serve, models):
    client = serve(models.linear())
    assert client("POST", "/score", models.png(), PNG)[0] == 415
    assert client.post("/score", {"images": [text(models.png())]})[0] == 415


def test_a_model_with_two_inputs_is_sent_to_infer(serve, models):
    status, _, answer = serve(models.adds()).post("/score", {"rows": [[1]]})
    assert (status, answer["expected"]) == (400, "POST /v2/models/tiny/infer")


def test_logits_become_probabilities_without_overflow():
    shares = probabilities(np.array([[1000.0, 0.0], [-1e30, -1e30]], dtype=np.float32), "logits")
    assert shares.tolist() == [[1, 0], [0.5, 0.5]]


def test_the_best_come_first_and_ties_go_to_the_lower_class():
    assert best(np.array([0.1, 0.4, 0.4, 0.1]), 3) == [(1, 0.4), (2, 0.4), (0, 0.1)]


def test_five_at_most_are_listed():
    made = predictions(np.full((2, 9), 1 / 9), ModelConfig("m", "1", "0" * 64))
    assert [len(row["top"]) for row in made] == [5, 5]
