"""What every strategy promises, as tests; a strategy of your own joins with a few lines::

    from pytest_parallelism import StrategyConformance

    class TestMine(StrategyConformance):
        @pytest.fixture
        def strategy(self):
            return MINE

The fault matrix is part of it: whatever a task does, a map ends with a named error in bounded time and
nothing is left behind. ``-k "not a_fault_ends"`` leaves it out. What no strategy can survive whose tasks run
in the test's own process, such as a task that ends its process, is not asked of it and skipped with the
reason.
"""

from __future__ import annotations

from ._faults import Faults, played
from ._matrix import FAULTS, Ends, Fault, Outcome
from ._promises import Promises

__all__ = ["FAULTS", "Ends", "Fault", "Outcome", "StrategyConformance", "played"]


class StrategyConformance(Promises, Faults):
    """Tests of one strategy; a subclass gives it as the fixture ``strategy``."""
