from __future__ import annotations

from pathlib import Path

import pytest

from customai.errors import CustomAIError, Forbidden, NotFound, NotLoggedIn, SpecError
from customai.workloads.batch import storage


class FromAzure(Exception):
    def __init__(self, message: str, status_code: int | None = None) -> None:
        super().__init__(message)
        if status_code is not None:
            self.status_code = status_code


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (FromAzure("AuthorizationFailure", 403), Forbidden, "no right to this storage: AuthorizationFailure"),
        (FromAzure("ContainerNotFound", 404), SpecError, "there is nothing under this URL"),
        (FileNotFoundError("c/d"), SpecError, "there is nothing under this URL"),
        (
            ValueError("Must provide either a connection_string or account_name with credentials!!"),
            NotLoggedIn,
            "opened",
        ),
        (FromAzure("DefaultAzureCredential failed to retrieve a token"), NotLoggedIn, "DefaultAzureCredential"),
        (ConnectionError("refused"), NotFound, "cannot be reached: refused"),
        (SpecError("known already"), SpecError, "known already"),
    ],
)
def test_what_azure_says_is_told_in_our_words(error: Exception, kind: type[CustomAIError], told: str) -> None:
    with pytest.raises(kind) as caught, storage.reaching("az://c/d"):
        raise error
    assert told in caught.value.message


def test_the_innermost_error_tells() -> None:
    outer = RuntimeError("Failed to list blobs for an unknown reason")
    outer.__cause__ = FromAzure("AuthenticationFailed", 403)
    with pytest.raises(Forbidden, match="AuthenticationFailed"), storage.reaching("az://c/d"):
        raise outer


def test_an_account_that_does_not_exist_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("adlfs", reason="blob storage needs: pip install 'customai[blob]'")
    for name in ("AZURE_STORAGE_CONNECTION_STRING", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(NotFound, match=r"there is no storage account at account\.invalid"):
        storage.connected("abfss://container@account.invalid/folder")


def test_other_schemes_are_refused() -> None:
    with pytest.raises(SpecError, match="there is no way to s3://"):
        storage.connected("s3://bucket/folder")


def test_what_begins_with_a_dot_or_an_underscore_is_passed_over_at_any_depth(tmp_path: Path) -> None:
    for name in ("b.csv", "a/c.csv", "_SUCCESS", ".hidden", "a/_delta_log/0.json", "_old/d.csv", "a-.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    folder, only = storage.of(str(tmp_path))
    assert [entry.name for entry in folder.entries()] == ["a-.csv", "a/c.csv", "b.csv"]
    assert only is None
    folder, only = storage.of(str(tmp_path / "b.csv"))
    assert only == "b.csv"
    with folder.open("b.csv") as file:
        assert file.read() == b"b.csv"
