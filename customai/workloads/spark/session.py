"""Spark sessions that start quietly, and Spark's errors in our words: the innermost cause instead of a stack."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from customai.errors import CustomAIError, NoQuota, NotInstalled, RunFailed, TargetError

LOGGING = Path(__file__).with_name("log4j2.properties")
EXISTING = "existing"  # a master: the session that is there already, which is somebody else's to configure and stop
JAVA = 17  # the oldest that Spark 4 runs on
LATEST_JAVA = 21  # the newest it is tested with: a later one is tried, and named if Spark does not start
REACH = 5.0  # seconds for a master to take a connection
INSTALL = "pip install 'customai[spark]'"
ARROW_ROWS = 16_384  # rows that go to Python at once: large enough to be quick, small enough to stay in the cache


def check(*modules: str, master: str = "") -> None:
    """Raises NotInstalled where Spark, Java or one of the modules is missing or too old."""
    missing = [module for module in ("pyspark", "pyarrow", *modules) if find_spec(module) is None]
    if missing:
        raise NotInstalled(f"Spark needs what is not installed here: {', '.join(missing)}", hint=INSTALL)
    if master == EXISTING:
        return
    java = java_program()
    version = java_version(java)
    if version < JAVA:
        raise NotInstalled(f"Spark needs Java {JAVA} or later, this is Java {version}", where=java, hint=_java_hint())


def java_program() -> str:
    """The `java` that Spark will start: JAVA_HOME's, else the one on the PATH."""
    home = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if program is None:
        where = f"JAVA_HOME={home}" if home else "PATH"
        raise NotInstalled("Spark needs Java, and there is none", where=where, hint=_java_hint())
    return program


def java_version(program: str) -> int:
    """The major version: 8 for "1.8.0_392", 17 for "17.0.15"."""
    try:
        done = subprocess.run([program, "-version"], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"Java does not start: {error}", where=program, hint=_java_hint()) from None
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    if found is None:
        said = (done.stderr + done.stdout).strip().splitlines()[:1] or [f"exit code {done.returncode}"]
        raise NotInstalled(f"Java does not tell its version: {said[0]}", where=program, hint=_java_hint())
    return int(found[1])


def _java_hint() -> str:
    return (
        f"install a JDK from {JAVA} to {LATEST_JAVA} (Debian: apt-get install openjdk-17-jre-headless, "
        "macOS: brew install openjdk@17) and point JAVA_HOME at it"
    )


@contextlib.contextmanager
def session(name: str, *, master: str = "local[*]", conf: Mapping[str, str] | None = None) -> Iterator[Any]:
    """A SparkSession that is stopped in the end; whatever Spark raises inside comes out as an error of ours."""
    if master == EXISTING:
        with in_our_words(), _existing(conf or {}) as there:
            yield there
        return
    check()
    _reach(master)
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    with tempfile.TemporaryDirectory(prefix="spark-", ignore_cleanup_errors=True) as scratch, in_our_words(master):
        builder = SparkSession.builder.appName(name).master(master)
        for key, value in (_settings(master, scratch) | dict(conf or {})).items():
            builder = builder.config(key, value)
        spark = builder.getOrCreate()
        try:
            yield spark
        finally:
            with contextlib.suppress(Exception):  # what counts was said before
                spark.stop()


@contextlib.contextmanager
def _existing(conf: Mapping[str, str]) -> Iterator[Any]:
    """The cluster's own session, with what can be set while it runs."""
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.getOrCreate()
    ours = {"spark.sql.execution.arrow.maxRecordsPerBatch": str(ARROW_ROWS), "spark.sql.session.timeZone": "UTC"}
    for key, value in (ours | dict(conf)).items():
        if key.startswith("spark.sql."):
            spark.conf.set(key, value)
    yield spark


def address(path: object) -> str:
    """A path as Spark is to be told it. Databricks' volumes have one everywhere, and Spark knows it as it stands; so do URLs."""
    return str(path) if str(path).startswith("/Volumes/") or "://" in str(path) else f"file://{path}"


def _reach(master: str) -> None:
    """Spark itself asks a master that is not there for a minute, and then says only that it was stopped."""
    addresses = master.removeprefix("spark://").split(",") if master.startswith("spark://") else []
    for address in addresses:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), REACH).close()
        except OSError as error:
            reason = error.strerror or str(error)
        else:
            return
    if addresses:
        message = f"the Spark master does not answer: {reason}"
        raise TargetError(message, where=master, hint="is it running, and is `spark.master` right?")


def _settings(master: str, scratch: str) -> dict[str, str]:
    settings = {
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile=file:{LOGGING}",
        "spark.local.dir": scratch,
        "spark.sql.warehouse.dir": f"file:{scratch}/warehouse",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(ARROW_ROWS),
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    if master.startswith("local"):
        settings |= {"spark.sql.shuffle.partitions": str(os.cpu_count() or 1)}
    if master.startswith("local") or re.match(r"spark://(127\.|localhost)", master):
        settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    if master.startswith("spark://"):
        settings |= {"spark.executorEnv.ORT_DISABLE_TELEMETRY": "1"}
    return settings


@contextlib.contextmanager
def in_our_words(where: str = "") -> Iterator[None]:
    """Whatever Spark raises, as one of our errors."""
    try:
        yield
    except CustomAIError:
        raise
    except Exception as error:
        if not _is_sparks(error):
            raise
        raise translated(error, where) from None


def _is_sparks(error: Exception) -> bool:
    gone = isinstance(error, (ConnectionError, EOFError))  # Spark's JVM is
    return gone or type(error).__module__.partition(".")[0] in ("pyspark", "py4j")


def translated(error: Exception, where: str = "") -> CustomAIError:
    """Spark's exception as an error of ours: what happened, where, and what to do."""
    text, whole = innermost(error), "\n".join(_causes(error))
    if found := re.search(UNREAD, whole):
        return Unreadable(re.sub("^(file|dbfs):(//)?/", "/", unquote(found[1])), text)
    for pattern, kind, message, hint in KNOWN:
        if re.search(pattern, whole):
            return kind(message.format(text=text), where=where, hint=hint)
    return RunFailed(f"Spark failed: {text}", where=where)


# Spark 4 gives the error a name, Spark 3.5 does not.
UNREAD = r"(?:\[FAILED_READ_FILE[^\]]*\]|rror while reading file).*?((?:file|dbfs|abfss?|wasbs?):/\S+?)\.?(?:\s|$)"
# What Spark says, and what we say instead.
KNOWN: tuple[tuple[str, type[CustomAIError], str, str], ...] = (
    (
        r"All masters are unresponsive|Master removed our application",
        TargetError,
        "the Spark master does not answer",
        "is it running, and is `spark.master` right?",
    ),
    (
        r"JAVA_GATEWAY_EXITED",
        NotInstalled,
        "Java started, but Spark did not",
        "the run's log says why; with Kafka: can the connector's jar be fetched from here? else name it in spark.jars",
    ),
    (
        r"(?i)failed to find data source: kafka",
        NotInstalled,
        "Spark's connector to Kafka is not here",
        "name its jars in spark.conf: spark.jars, or let Spark fetch it: spark.jars.packages",
    ),
    (
        r"OutOfMemoryError|Java heap space",
        NoQuota,
        "Spark ran out of memory",
        "give it more: spark.memory in the spec; then run it again: it goes on where it was",
    ),
    (
        r"Python worker (exited|process terminated)|Answer from Java side|Error while sending or receiving|Connection re",
        RunFailed,
        "one of Spark's processes was ended from outside, or ran out of memory",
        "run it again: it goes on where it was. If it is the memory: fewer cores (spark.master: local[1]), or a larger machine",
    ),
    (
        r"\bMemoryError\b|bad_alloc|ArrowMemoryError|Unable to allocate|malloc of size|failed to map segment",
        NoQuota,
        "a Python worker of Spark's ran out of memory",
        "fewer cores (spark.master: local[1]), or a larger machine; then run it again: it goes on where it was",
    ),
    (
        r"No space left on device",
        NoQuota,
        "the disk is full",
        "free some space and run it again: it goes on where it was",
    ),
    (r"Permission denied|Mkdirs failed", TargetError, "Spark cannot write: {text}", "whose is the folder? ls -ld"),
    (
        r"System memory \d+ must be at least",
        NoQuota,
        "Spark does not start with so little memory",
        "give it more: spark.memory in the spec",
    ),
    (r"PYTHON_VERSION_MISMATCH", TargetError, "{text}", "the cluster's workers need this Python: PYSPARK_PYTHON there"),
)


class Unreadable(RunFailed):
    """A file of the data set that Spark could not read."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"the file cannot be read: {reason}", where=file, hint="make it again, or take it away")
        self.file = file
        self.reason = reason


def innermost(error: Exception) -> str:
    """The first line of the innermost cause; of a Python worker's traceback, its last."""
    text = _causes(error)[-1]
    if "Traceback (most recent call last)" in text:
        lines = [
            line
            for line in text.splitlines()
            if re.match(r"[A-Za-z_][\w.]*(Error|Exception|Exit|Failed|Warning)?: ", line)
        ]
        return lines[-1].strip() if lines else text.strip().splitlines()[-1].strip()
    first = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    return re.sub(r" SQLSTATE: \w+$", "", first)[:500]


def _causes(error: Exception) -> list[str]:
    """The messages from the exception itself to its innermost cause."""
    messages = [str(getattr(error, "desc", None) or error)]
    java = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    with contextlib.suppress(Exception):  # a JVM that is gone tells no more
        while java is not None:
            message = java.getMessage()
            messages.append(str(message) if message else str(java.getClass().getSimpleName()))
            java = java.getCause()
    return messages
