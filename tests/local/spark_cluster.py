"""A real standalone cluster of Spark on this machine: a master and two workers, each a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.ports import free_port

WORKERS = 2
HERE = ["--host", "127.0.0.1", "--webui-port", "0"]


@contextmanager
def started(folder: Path, wait_for: Callable[..., Any]) -> Iterator[str]:
    """Its URL. Worker N has the folder `worker-N`, with one for each of its executors: worker-N/APPLICATION/EXECUTOR."""
    import pyspark

    program = Path(pyspark.__file__).parent / "bin" / "spark-class"
    port, log = free_port(), folder / "cluster.log"
    url = f"spark://127.0.0.1:{port}"
    env = os.environ | {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    with ExitStack() as stack:
        output = stack.enter_context(log.open("w"))

        def start(role: str, *words: str) -> None:
            command = [str(program), f"org.apache.spark.deploy.{role.lower()}.{role}", *HERE, *words]
            process = subprocess.Popen(command, stdout=output, stderr=output, env=env, start_new_session=True)
            stack.callback(_end, process)

        start("Master", "--port", str(port))
        for number in range(1, WORKERS + 1):
            start("Worker", "--cores", "1", "--memory", "1g", "--work-dir", str(folder / f"worker-{number}"), url)
        wait_for(lambda: log.read_text().count("Successfully registered with master") == WORKERS, 200)
        yield url


def _end(process: subprocess.Popen[bytes]) -> None:
    """A worker ends its executors before it goes."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    process.wait()
