"""`python -m customai.workloads.scoring.inspect FOLDER`: every check the server makes at its start, as one JSON document."""

import json
import sys
from pathlib import Path
from typing import Any

from customai.errors import CustomAIError, NotInstalled, RunFailed


def inspect(folder: Path) -> dict[str, Any]:
    """{"ok": true, "signature", "smoke_test"} or {"ok": false, "error"}. Raises nothing."""
    try:
        from customai.workloads.scoring.model import load

        model = load(folder)
    except CustomAIError as error:
        return {"ok": False, "error": error.to_json()}
    except ImportError as error:
        missing = NotInstalled(f"{error.name} is missing", where=str(folder), hint="pip install 'customai[serve]'")
        return {"ok": False, "error": missing.to_json()}
    except Exception as error:  # noqa: BLE001 - the caller reads JSON, not tracebacks
        wrapped = RunFailed(f"the model cannot be checked: {type(error).__name__}: {error}", where=str(folder))
        return {"ok": False, "error": wrapped.to_json()}
    smoke = model.smoke and {"label": model.smoke.label, "probability": round(model.smoke.probability, 6)}
    return {"ok": True, "signature": model.signature.to_json(), "smoke_test": smoke}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        error = RunFailed(
            "one argument is needed: the model folder", hint="python -m customai.workloads.scoring.inspect FOLDER"
        )
        result: dict[str, Any] = {"ok": False, "error": error.to_json()}
    else:
        result = inspect(Path(arguments[0]))
    print(json.dumps(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
