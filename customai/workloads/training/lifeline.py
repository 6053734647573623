"""Processes that end with whoever started them, however that ends: no orphan goes on training beside its successor."""

from __future__ import annotations

import os
import threading
import time

VARIABLE = "CUSTOMAI_LIFELINE"  # set for processes that are to end with their parent
EVERY = 0.2  # seconds


def hold() -> None:
    """From now on this process ends when its parent does, if it was started to."""
    if VARIABLE in os.environ:
        threading.Thread(target=_watch, args=(os.getppid(),), daemon=True, name="lifeline").start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(EVERY)
    os._exit(1)
