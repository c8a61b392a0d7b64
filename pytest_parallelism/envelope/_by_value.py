"""Pickling by value whatever a fresh interpreter could not import."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import pickle
import sys
import threading
import weakref
from collections.abc import Callable, Iterable
from types import FunctionType, ModuleType
from typing import Any

import cloudpickle
import cloudpickle.cloudpickle as cloudpickle_internals

from ._locks import open_after_fork

__all__ = ["Pickler", "dumps"]


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no type information
    """Pickles by value whatever a fresh interpreter could not import, wherever it is met."""

    def __init__(self, file: io.BytesIO, added: list[ModuleType]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._added = added

    def reducer_override(self, obj: Any) -> Any:
        """Called by pickle for everything but plain containers and primitives."""
        if isinstance(obj, (FunctionType, type, ModuleType)):
            name = obj.__name__ if isinstance(obj, ModuleType) else getattr(obj, "__module__", None)
            module = sys.modules.get(name) if isinstance(name, str) else None
            if module is not None and not _importable(module):
                _register((module,), self._added)
            if isinstance(obj, type):
                _settled.add(obj)
        reduced = super().reducer_override(obj)
        if isinstance(reduced, tuple) and reduced[-1] is cloudpickle_internals._class_setstate:
            return (*reduced[:-1], _settle)
        return reduced


# Classes that this process sent or has loaded by value. cloudpickle fills such a class anew each time it
# arrives: the methods of the user's own class would become copies that see other globals.
_settled: weakref.WeakSet[type] = weakref.WeakSet()
_pickling = open_after_fork(threading.RLock())


def _settle(cls: type, state: Any) -> type:
    if cls not in _settled:
        _settled.add(cls)
        cloudpickle_internals._class_setstate(cls, state)
    return cls


def _register(modules: Iterable[ModuleType], added: list[ModuleType]) -> None:
    known = cloudpickle.list_registry_pickle_by_value()
    for module in modules:
        if module.__name__ not in known and module.__name__ in sys.modules:
            cloudpickle.register_pickle_by_value(module)
            added.append(module)


def dumps(
    obj: Any,
    by_value: Iterable[ModuleType] = (),
    pickler: Callable[[io.BytesIO, list[ModuleType]], Pickler] = Pickler,
) -> bytes:
    added: list[ModuleType] = []
    buffer = io.BytesIO()
    with _pickling:
        try:
            _register(by_value, added)
            pickler(buffer, added).dump(obj)
        finally:
            for module in added:
                cloudpickle.unregister_pickle_by_value(module)
    return buffer.getvalue()


def _importable(module: ModuleType) -> bool:
    name = getattr(module, "__name__", "")
    if name.partition(".")[0] in sys.stdlib_module_names:
        return True
    return _found_at(name, getattr(module, "__file__", None), tuple(sys.path))


@functools.lru_cache(maxsize=4096)
def _found_at(name: str, file: str | None, _path: tuple[str, ...]) -> bool:
    locations: Any = None
    origin: str | None = None
    parts = name.split(".")
    for depth in range(len(parts)):
        spec = _spec(".".join(parts[: depth + 1]), locations)
        if spec is None:
            return False
        locations, origin = spec.submodule_search_locations, spec.origin
    return file is None or (origin is not None and os.path.realpath(origin) == os.path.realpath(file))


def _spec(name: str, locations: Any) -> Any:
    for finder in sys.meta_path:
        # pytest's finder rewrites assertions in this process only.
        if type(finder).__module__.startswith("_pytest"):
            continue
        with contextlib.suppress(Exception):
            spec = finder.find_spec(name, locations)
            if spec is not None:
                return spec
    return None
