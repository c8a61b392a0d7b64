"""A Celery app as a user would write it, with one generic task, for engines.py."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from celery import Celery
from engine_tasks import each

QUEUE = "engines"
TASK = "engines.each"


def configured(url: str) -> Any:
    """An app at that broker, whose pickles are its own."""
    app = Celery("engines", broker=url, backend=url, set_as_current=False)
    app.conf.update(
        task_serializer="pickle",
        result_serializer="pickle",
        accept_content=["pickle"],
        task_default_queue=QUEUE,
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
    )
    return app


app = configured(os.environ["BROKER"]) if "BROKER" in os.environ else None

if app is not None:

    @app.task(name=TASK)  # type: ignore[untyped-decorator]  # Celery has no type information
    def run(fn: Callable[[Any], Any], chunk: Sequence[Any]) -> list[Any]:
        """A chunk."""
        return each(fn, chunk)
