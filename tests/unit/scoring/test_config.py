import json

import pytest

from customai.errors import NotFound, StateError
from customai.workloads.scoring.config import (
    ModelConfig,
    Preprocessing,
    ServedModel,
    ServerConfig,
    dump,
    load_model_config,
    load_server_config,
)

SHA = "ab" * 32
MODEL = {"format": 1, "name": "digits", "version": "1", "sha256": SHA}
IMAGES = {"size": [28, 28], "channels": "gray"}
AGE = {"name": "age", "type": "number"}


def test_what_is_left_out_of_model_json_has_defaults():
    assert ModelConfig.from_json(MODEL) == ModelConfig("digits", "1", SHA)
    made = ModelConfig.from_json({**MODEL, "preprocessing": IMAGES}).preprocessing
    assert made == Preprocessing((28, 28), channels="gray")
    assert made.row_shape == (1, 28, 28)


def test_what_is_left_out_of_server_json_has_defaults():
    assert ServerConfig.from_json({"format": 1, "models": [{"folder": "/m"}]}) == ServerConfig((ServedModel("/m"),))


def test_both_files_survive_writing_and_reading(tmp_path):
    images = {**IMAGES, "mean": [0.5], "std": [2], "crop": "center", "resize": 32, "layout": "nhwc"}
    smoke = {"image": "smoke-test.png", "label": "3"}
    model = ModelConfig.from_json({**MODEL, "labels": ["a", "b"], "preprocessing": images, "smoke_test": smoke})
    (tmp_path / "model.json").write_text(dump(model))
    assert load_model_config(tmp_path) == model
    columns = [{"name": "age", "type": "number", "nullable": True}, {"name": "city", "type": "text", "default": "x"}]
    rows = ModelConfig.from_json({**MODEL, "columns": columns, "smoke_test": {"row": "row.json", "label": "a"}})
    (tmp_path / "model.json").write_text(dump(rows))
    assert load_model_config(tmp_path) == rows
    server = ServerConfig((ServedModel("/m", 75), ServedModel("/n", 25)), port=0, key_sha256=SHA, drain=0)
    (tmp_path / "server.json").write_text(dump(server))
    assert load_server_config(tmp_path / "server.json") == server


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2 is not known here; this version reads format 1"),
        ({"format": None}, "format null is not known"),
        ({"format": True}, "format true is not known"),
        ({"name": ""}, 'name is ""; expected a text'),
        ({"sha256": "AB" * 32}, "expected a SHA-256"),
        ({"labels": []}, "labels is []; expected a list of texts"),
        ({"labels": [1]}, "labels is [1]"),
        ({"scores": "votes"}, 'scores is "votes"; expected probabilities | logits'),
        ({"scores": []}, "scores is []"),
        ({"preprocessing": []}, "preprocessing must be a JSON object"),
        ({"preprocessing": {}}, "preprocessing.size is null; expected [height, width]"),
        ({"preprocessing": {"size": [0, 1]}}, "preprocessing.size is [0, 1]"),
        ({"preprocessing": {**IMAGES, "resize": 27}}, "preprocessing.resize is 27; expected a whole number from 28"),
        ({"preprocessing": {**IMAGES, "mean": [1, 2]}}, "preprocessing.mean is [1, 2]; expected 1 number(s)"),
        ({"preprocessing": {**IMAGES, "std": [0]}}, "preprocessing.std is [0]; expected numbers other than 0"),
        ({"preprocessing": {**IMAGES, "scale": 0}}, "preprocessing.scale is 0; expected a number above 0"),
        ({"preprocessing": {**IMAGES, "scale": True}}, "preprocessing.scale is true"),
        ({"smoke_test": {"image": "a.png", "label": "1"}}, "null where preprocessing is null"),
        ({"preprocessing": IMAGES, "smoke_test": {"image": "../a.png", "label": "1"}}, "a file in the model folder"),
        ({"smoke_test": {"row": "a/b", "label": "1"}}, 'smoke_test.row is "a/b"; expected the name of a file'),
        ({"columns": 1}, "columns is 1; expected a list of objects"),
        ({"columns": []}, "columns is []; expected one column or more"),
        ({"columns": [AGE, AGE]}, "each name once"),
        ({"columns": [7]}, "columns[0] must be a JSON object"),
        ({"columns": [{**AGE, "name": ""}]}, 'columns[0].name is ""; expected a text'),
        ({"columns": [{**AGE, "type": "float"}]}, "expected number | integer | text | boolean"),
        ({"columns": [{**AGE, "nullable": 1}]}, "columns[0].nullable is 1; expected true or false"),
        ({"columns": [{**AGE, "default": "x"}]}, 'columns[0].default is "x"; expected a number'),
        ({"columns": [{**AGE, "type": "integer", "default": True}]}, "columns[0].default is true"),
        ({"columns": [AGE], "preprocessing": IMAGES}, "a model takes rows or images"),
    ],
)
def test_a_wrong_key_in_model_json_is_named_by_its_path(change, message):
    with pytest.raises(StateError) as caught:
        ModelConfig.from_json({**MODEL, **change}, "here")
    assert message in caught.value.message
    assert caught.value.where == "here"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 9}, "format 9 is not known here"),
        ({"models": None}, "models is null"),
        ({"models": []}, "models is []; expected one model or more, whose traffic adds up to 100"),
        ({"models": [{"folder": ""}]}, 'models[0].folder is ""'),
        (
            {"models": [{"folder": "/m", "traffic": 101}]},
            "models[0].traffic is 101; expected a whole number from 0 to 100",
        ),
        ({"models": [{"folder": "/m", "traffic": 90}]}, "adds up to 100"),
        ({"drain": -0.5}, "drain is -0.5; expected a number from 0"),
        ({"max_rows": 0}, "max_rows is 0"),
        ({"port": 65536}, "port is 65536; expected a whole number from 0 to 65535"),
        ({"replicas": 0}, "replicas is 0; expected a whole number from 1"),
        ({"max_body": 1.5}, "max_body is 1.5"),
        ({"body_timeout": 0}, "body_timeout is 0; expected a number above 0"),
        ({"key_sha256": "secret"}, "key_sha256"),
    ],
)
def test_a_wrong_key_in_server_json_is_named(change, message):
    with pytest.raises(StateError) as caught:
        ServerConfig.from_json({"format": 1, "models": [{"folder": "/m"}], **change})
    assert message in caught.value.message


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(NotFound, match=r"there is no model\.json"):
        load_model_config(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "\x00", "[" * 100_000])
def test_a_file_that_is_not_json_is_told_with_its_place(tmp_path, text):
    (tmp_path / "server.json").write_text(text)
    with pytest.raises(StateError, match="not JSON") as caught:
        load_server_config(tmp_path / "server.json")
    assert caught.value.where == str(tmp_path / "server.json")


def test_a_config_is_json(tmp_path):
    assert json.loads(dump(ServerConfig((ServedModel("/m"),))))["format"] == 1
