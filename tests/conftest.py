"""What holds for all tests."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

# The example suites are found so, and our own functions by what pickles them by name (joblib does) in fresh
# interpreters. After what is installed, so that an installed wheel is what gets tested.
sys.path.append(str(Path(__file__).parents[1]))

# No test judges by time: shared machines are slow at times, and that proves nothing.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
