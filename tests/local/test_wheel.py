"""The built wheel, installed where nothing else is: `customai deploy 2-5` from an empty folder works."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def run(*command: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    arguments = list(map(str, command))
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=280, cwd=cwd, env=env)
    assert done.returncode == code, done
    return done


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_wheel_alone_is_enough(tmp_path, home, shipped_port):
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path / "dist", REPOSITORY, cwd=tmp_path)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    python, customai = tmp_path / "venv" / "bin" / "python", tmp_path / "venv" / "bin" / "customai"
    empty = tmp_path / "empty"
    empty.mkdir()

    run(python, "-m", "pip", "install", "--quiet", wheel, cwd=empty)
    missing = run(customai, "deploy", "2-5", cwd=empty, code=3)
    assert "serving needs what is not installed here" in missing.stderr
    assert "pip install 'customai[serve]'" in missing.stderr

    run(python, "-m", "pip", "install", "--quiet", f"{wheel}[serve]", cwd=empty)
    assert "torch" not in run(python, "-m", "pip", "list", cwd=empty).stdout
    try:
        deployed = run(customai, "deploy", "2-5", cwd=empty)
        assert f"http://127.0.0.1:{shipped_port}" in deployed.stdout
        assert "smoke test  '3'" in deployed.stdout
        run(customai, "init", "2-5", "mine", cwd=empty)
        assert " 7 " in run(customai, "score", "2-5", "mine/samples/7.png", cwd=empty).stdout
        spec = empty / "mine" / "customai.yaml"
        text = (
            spec.read_text()
            .replace("file: model.onnx", "file: hf://owner/repo/model.onnx")
            .replace(str(shipped_port), "8026")
        )
        spec.write_text(text)
        extra = run(customai, "deploy", "mine", cwd=empty, code=3)
        assert "models from the Hugging Face hub need an extra" in extra.stderr
        assert "pip install 'customai[hub]'" in extra.stderr
    finally:
        run(customai, "destroy", "2-5", "--yes", cwd=empty)
    assert not home.exists()
