"""What holds for all tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The example suites are found so, and our own functions by what pickles them by name (joblib does) in fresh
# interpreters. After what is installed, so that an installed wheel is what gets tested.
sys.path.append(str(Path(__file__).parents[1]))

# Those that the tests start are none of its workers, where pytest-xdist runs the tests: pytest-benchmark and
# our plugin would measure nothing in them. It reads these only as a worker of its begins.
for name in [name for name in os.environ if name.startswith("PYTEST_XDIST_")]:
    del os.environ[name]

# Shells let programs in the background ignore SIGINT, and so does what these start: some tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No test judges by time: shared machines are slow at times, and that proves nothing.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def in_python() -> Callable[[str], str]:
    """What a fresh interpreter that can import us prints on its own stdout."""
    import pytest_parallelism  # as this run has found it

    root = Path(pytest_parallelism.__file__).parents[1]

    def run(code: str) -> str:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=True, timeout=60)
        return done.stdout

    return run
