"""The only reader of secrets: "env:NAME" or "file:PATH", read when needed and kept nowhere."""

from __future__ import annotations

import os
from pathlib import Path

from customai.errors import Forbidden, NotFound, SpecError

SHORTEST = 16  # characters; a scoring key is checked by its hash, so it must not be guessable

_taken: dict[str, str] = {}


def read(name: str) -> str:
    """The secret's value.

    Raises:
        NotFound, Forbidden, SpecError: it is not there, cannot be read, or is too short to be a secret.
    """
    source, _, place = name.partition(":")
    value = _from_environment(place) if source == "env" else _from_file(place)
    if len(value) < SHORTEST:
        hint = 'make one: python3 -c "import secrets; print(secrets.token_urlsafe(32))"'
        raise SpecError(f"the secret is shorter than {SHORTEST} characters", where=name, hint=hint)
    if not value.isascii() or not value.isprintable() or " " in value:
        raise SpecError("the secret has characters that cannot travel in an HTTP header", where=name)
    return value


def _from_environment(variable: str) -> str:
    # Taken out of the environment, so that no process that we start inherits it: some outlive us for weeks.
    value = os.environ.pop(variable, None) or _taken.get(variable)
    if not value:
        raise NotFound(f"the environment variable {variable} is not set", hint=f"export {variable}=...")
    _taken[variable] = value
    return value.strip()


def _from_file(place: str) -> str:
    try:
        return Path(place).read_text().strip()
    except FileNotFoundError:
        raise NotFound("the secret's file is not there", where=place) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Forbidden(
            f"the secret's file cannot be read: {getattr(error, 'strerror', 'not text')}", where=place
        ) from None
