from __future__ import annotations

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a state folder and a home of its own: none sees the user's, or another test's."""
    folder = tmp_path / "customai-home"
    monkeypatch.setenv("CUSTOMAI_HOME", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path))
    return folder
