"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No test judges by time: shared machines are slow at times, and that proves nothing.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
