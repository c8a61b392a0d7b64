"""The app of Celery workers that run our maps.

``celery -A pytest_parallelism.celery_worker -b BROKER worker -O fair``. The app is made when Celery asks for
it, and nothing of Celery is imported before.
"""

from __future__ import annotations

from typing import Any

__all__ = ()


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .strategies._celery_app import worker_app

    globals()[name] = app = worker_app()
    return app
