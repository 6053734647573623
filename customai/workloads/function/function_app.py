"""The function app, as Azure Functions reads it: one function, begun by a clock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import azure.functions as func
import begin  # type: ignore[import-not-found]  # beside it, where it runs

settings = json.loads(Path(__file__).with_name("settings.json").read_text(encoding="utf-8"))
app = func.FunctionApp()


@app.timer_trigger(arg_name="timer", schedule=settings["schedule"])
def run(timer: Any) -> None:
    del timer  # what it knows is when it was due: a run is named by when it is asked for
    begin.at_its_time(settings)
