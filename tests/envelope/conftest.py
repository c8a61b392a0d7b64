"""What the tests of what runs in workers have in common."""

from __future__ import annotations

import multiprocessing

METHODS = [method for method in multiprocessing.get_all_start_methods() if method != "loky"]
"""Python's own start methods of this platform: from 3.14 on it tells of those that libraries add, too."""
