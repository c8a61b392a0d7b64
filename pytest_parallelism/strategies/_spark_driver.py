"""Spark's driver: a JVM that pyspark starts and talks to, and a context in it; nothing of them stays."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from ..addresses import shown
from ..errors import PoolError
from ..workers import bounded, descendants, quiet_fork
from ..workers.environment import restored
from ..workers.site import Site
from ._silence import silenced

__all__ = ["Driver", "brief"]

_LOOPBACK = "127.0.0.1"
_LOG = "stderr"
_STOP_SECONDS = 10.0
_FINALIZER_SECONDS = 0.1
_POLL_SECONDS = 0.05
_SHARE = 4
_LEAST_MEMORY = 1 << 30
_CHANGED = ("SPARK_AUTH_SOCKET_TIMEOUT", "SPARK_BUFFER_SIZE")
"""Variables that a context sets."""
_NO_LOGS = """\
rootLogger.level = off
rootLogger.appenderRef.none.ref = none
appender.none.type = Null
appender.none.name = none
"""


class Driver:
    """A JVM with a context for ``workers`` workers; pyspark allows one in a process.

    ``address``: of a master, None for workers on this machine. ``host``: our address, as seen from there.
    """

    def __init__(self, workers: int, address: str | None, host: str | None) -> None:
        self._workers = workers
        self._address = address
        self.host = host or _LOOPBACK
        self._site = Site()
        self._before = contextlib.ExitStack()
        self._gateway: Any = None
        self._failed: int | None = None
        """The process of a JVM that did not start."""
        self.context: Any = None

    def start(self, seconds: float) -> None:
        """Raises `PoolError` where there is a context already, or none after that time."""
        from pyspark import SparkContext

        if SparkContext._gateway is not None:
            raise PoolError(
                "Spark runs in this process already, and can once: stop its context, and start it by "
                "parallel.measure and pool.native"
            )
        (self._site.folder / "log4j2.properties").write_text(_NO_LOGS)
        self._before.enter_context(_quiet())
        self._before.enter_context(_own_path())
        self._before.enter_context(restored(_CHANGED))
        with (
            self._site.starting(**self._variables()),
            quiet_fork(),
            _own_interrupts(),
            self._killed_after(seconds),
        ):
            self._gateway = self._launched()
            try:
                self.context = SparkContext(conf=self._configuration(), gateway=self._gateway)
            except Exception as exc:  # noqa: BLE001  # the JVM's, Spark's or py4j's
                # Told now: the JVM has its text, and is about to end.
                raise PoolError(f"Spark did not start: {brief(exc)}") from None
        _let_errors_pass(self.context._accumulatorServer)

    def runs(self) -> bool:
        """Whether the JVM does, and the context in it has not been stopped."""
        if self._gateway is None or self._gateway.proc.poll() is not None:
            return False
        return self.context is not None and self.context._jsc is not None

    def ended(self, seconds: float) -> bool:
        """Whether the JVM has ended, within that time from now."""
        try:
            self._gateway.proc.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    @cached_property
    def session(self) -> Any:
        """A session on the context."""
        from pyspark.sql import SparkSession

        return SparkSession.builder.getOrCreate()

    @cached_property
    def java_version(self) -> str:
        """Of the JVM."""
        return str(self._gateway.jvm.java.lang.System.getProperty("java.version"))

    def cores(self) -> int:
        """How many tasks can run at once, now."""
        scala = self.context._jsc.sc()
        return int(scala.maxNumConcurrentTasks(scala.resourceProfileManager().defaultResourceProfile()))

    def executors(self) -> list[str]:
        """Where those listen that have us run tasks, and this driver too, as ``host:port``."""
        return str(self.context._jsc.sc().getExecutorMemoryStatus().keys().mkString(" ")).split()

    def end(self, *, gently: bool) -> None:
        """Ends the JVM with its workers, and whatever pyspark keeps of them.

        ``gently``: the cluster is told first; otherwise it finds out.
        """
        if gently and self.runs():
            bounded(self.context._jsc.stop, _STOP_SECONDS)
        process = self._gateway.proc if self._gateway is not None else None
        if process is not None:
            process.kill()
            process.stdin.close()
            process.wait()
        self._site.end()
        session = self._failed if process is None else process.pid
        if session is not None:
            _reap(session)
        if self._gateway is not None:
            _forget(self._gateway, self.context)
        self.context = None
        self._before.close()

    @contextlib.contextmanager
    def _killed_after(self, seconds: float) -> Iterator[None]:
        """Ends the JVM, for which this thread waits meanwhile, once that time has passed."""
        done, late = threading.Event(), threading.Event()

        def watch() -> None:
            if not done.wait(seconds):
                late.set()
            while not done.wait(_POLL_SECONDS):
                for pid in self._site.pids():
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)

        watcher = threading.Thread(target=watch, name="spark-start", daemon=True)
        watcher.start()
        try:
            yield
        except Exception as exc:
            if late.is_set():
                where = f" at {shown(self._address)}" if self._address else ""
                raise PoolError(f"Spark{where} did not start within {seconds:g} s") from exc
            raise
        finally:
            done.set()
            watcher.join()

    def _launched(self) -> Any:
        from pyspark import SparkConf
        from pyspark.errors import PySparkRuntimeError
        from pyspark.java_gateway import launch_gateway

        conf = SparkConf(loadDefaults=False)
        for name, value in self._settings().items():
            conf.set(name, value)
        with (self._site.folder / _LOG).open("wb") as file:
            streams = {"stdout": subprocess.DEVNULL, "stderr": file, "start_new_session": True}
            try:
                return launch_gateway(conf, streams)
            except BaseException as exc:
                self._failed = _end_started(exc)
                if not isinstance(exc, PySparkRuntimeError):
                    raise
                said = self._site.last_line(_LOG) or exc
                raise PoolError(f"Spark's JVM did not start: {said}") from exc

    def _configuration(self) -> Any:
        from pyspark import SparkConf

        conf = SparkConf(_jvm=self._gateway.jvm)
        for name, value in self._settings().items():
            conf.set(name, value)
        # A name that Spark would find for our address may be none on the user's cluster.
        conf.setIfMissing("spark.driver.host", os.environ.get("SPARK_LOCAL_IP", self.host))
        return conf

    def _variables(self) -> Mapping[str, str]:
        """Of the environment in which the JVM starts."""
        quiet = "-XX:-UsePerfData"
        options = f'{quiet} "-Djava.io.tmpdir={self._site.folder}"'
        variables = {
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": self.host,
            # The program that makes the command line runs a moment: no need to optimize it.
            "SPARK_LAUNCHER_OPTS": f"{quiet} -XX:TieredStopAtLevel=1",
        }
        if self._address is None:
            own = {"SPARK_CONF_DIR": str(self._site.folder), "PYSPARK_SUBMIT_ARGS": "pyspark-shell"}
            return {**variables, **own, "SPARK_SUBMIT_OPTS": options}
        given = {name: os.environ[name] for name in variables if name in os.environ}
        submit = f"{os.environ.get('SPARK_SUBMIT_OPTS', '')} {options}"
        return {**variables, **given, "SPARK_SUBMIT_OPTS": submit}

    def _settings(self) -> Mapping[str, str]:
        """What is set in any case; on the user's own cluster, the rest is as their configuration says."""
        settings = {
            "spark.app.name": "pytest-parallelism",
            "spark.local.dir": str(self._site.folder),
            "spark.sql.warehouse.dir": str(self._site.folder / "warehouse"),
            "spark.task.maxFailures": "1",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
        }
        if self._address is not None:
            return {
                **settings,
                "spark.master": self._address,
                "spark.cores.max": str(self._workers),
                "spark.dynamicAllocation.enabled": "false",
            }
        return {
            **settings,
            "spark.master": f"local[{self._workers}]",
            "spark.driver.bindAddress": _LOOPBACK,
            "spark.driver.host": _LOOPBACK,
            "spark.driver.maxResultSize": "0",
            "spark.driver.memory": f"{_memory() >> 20}m",
            "spark.sql.catalogImplementation": "in-memory",
        }


def brief(exc: Exception) -> str:
    """What Spark's Java says, without its stack: the reason of the failure of a task, or all of it."""
    try:
        text = str(exc)
    except Exception:  # noqa: BLE001  # the JVM has gone, which had it
        return type(exc).__name__
    reason = text.rpartition("most recent failure: ")[2] or text
    return reason.partition("\n\tat ")[0].partition("\n\nDriver stacktrace")[0].strip()


def _memory() -> int:
    """Bytes that the JVM may take: a quarter, as is its own default where Spark does not say 1 GB."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        total = 0
    return max(_LEAST_MEMORY, total // _SHARE)


@contextlib.contextmanager
def _own_path() -> Iterator[None]:
    """Afterwards the search path is without what a context adds."""
    path = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = [entry for entry in sys.path if entry in path]


@contextlib.contextmanager
def _own_interrupts() -> Iterator[None]:
    """A context that starts meanwhile leaves Ctrl-C alone."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Meanwhile py4j logs nothing, as it does at the root of all loggers when the JVM has gone.

    And its thread that forgets objects of the JVM looks often whether it is to end.
    """
    from py4j import clientserver, java_gateway

    module, seconds = java_gateway.logging, clientserver.DEFAULT_WORKER_SLEEP_TIME
    with silenced(logging.getLogger("py4j")):
        java_gateway.logging = java_gateway.logger
        clientserver.DEFAULT_WORKER_SLEEP_TIME = _FINALIZER_SECONDS
        try:
            yield
        finally:
            clientserver.DEFAULT_WORKER_SLEEP_TIME = seconds
            java_gateway.logging = module


def _let_errors_pass(server: Any) -> None:
    """The server of accumulators else prints a traceback when the JVM has gone."""
    if server is not None:
        server.handle_error = lambda *_: None


def _end_started(exc: BaseException) -> int | None:
    """Ends the JVM that pyspark has started and then failed to talk to; only its frames know it. Its id."""
    for frame, _ in traceback.walk_tb(exc.__traceback__):
        process = frame.f_locals.get("proc")
        if isinstance(process, subprocess.Popen):
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
            return process.pid
    return None


def _reap(session: int) -> None:
    """Reaps what of it has become ours: while a pool is open, we adopt orphans."""
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            if os.getsid(pid) == session:
                os.waitpid(pid, os.WNOHANG)


def _forget(gateway: Any, context: Any) -> None:
    """Closes what talks to a JVM that has ended, and lets pyspark start another one."""
    from py4j.clientserver import FinalizerWorker
    from pyspark import SparkContext
    from pyspark.sql import SparkSession, SQLContext

    if context is not None:
        context._jsc = None  # or its stop would look for the JVM
        context.stop()
    objects = gateway._gateway_client.finalizer_deque
    objects.clear()
    gateway.shutdown()
    for thread in threading.enumerate():
        if isinstance(thread, FinalizerWorker) and thread.deque is objects:
            thread.join()
    SparkContext._gateway = SparkContext._jvm = None
    SparkContext._active_spark_context = None
    SparkSession._instantiatedSession = SparkSession._activeSession = None
    SQLContext._instantiatedContext = None
