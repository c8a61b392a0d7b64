"""Pickling by value whatever a fresh interpreter could not import."""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import cloudpickle
import cloudpickle.cloudpickle as cloudpickle_internals

from ._locks import open_after_fork
from ._parts import Parts
from ._pickling import Elsewhere
from ._worker import works

__all__ = ["Pickler", "dump", "keep"]

INSTALLED = frozenset({"site-packages", "dist-packages"})
"""Folders of what is installed."""
ALWAYS_THERE = frozenset({"pytest_parallelism", "cloudpickle"})
"""What workers import to run a task at all."""


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no type information
    """Pickles by value whatever a fresh interpreter could not import, wherever it is met."""

    def __init__(self, file: Parts, added: list[ModuleType], by_value: Iterable[ModuleType]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._added = added
        self._there = _installed if isinstance(by_value, Elsewhere) else _importable

    def reducer_override(self, obj: Any) -> Any:
        """Called by pickle for everything but plain containers and primitives."""
        if isinstance(obj, (FunctionType, type, ModuleType)):
            name = obj.__name__ if isinstance(obj, ModuleType) else getattr(obj, "__module__", None)
            module = sys.modules.get(name) if isinstance(name, str) else None
            if module is not None and not self._there(module):
                _register((module,), self._added)
            if isinstance(obj, type):
                _settled.add(obj)
        if isinstance(obj, FunctionType) and (own := _own.get(id(obj.__globals__))):
            return self._without(own, obj)
        reduced = super().reducer_override(obj)
        if isinstance(reduced, tuple) and reduced[-1] is cloudpickle_internals._class_setstate:
            return (*reduced[:-1], _settle)
        return reduced

    def _without(self, own: _Own, fn: FunctionType) -> Any:
        """The function, to live among the worker's own globals, which it does not set."""
        self.globals_ref[id(fn.__globals__)] = own  # cloudpickle takes it for the dictionary
        reduced = super().reducer_override(fn)
        if isinstance(reduced, tuple):
            sent = reduced[2][1]["__globals__"]
            for name in own.names & sent.keys():
                del sent[name]
        return reduced


class _Own:
    """Globals that each worker sets for itself, of a module whose functions go by value."""

    def __init__(self, namespace: dict[str, Any], names: set[str]) -> None:
        self.namespace = namespace
        self.names = names

    def __reduce__(self) -> Any:
        known = {name: self.namespace.get(name) for name in ("__name__", "__package__", "__file__")}
        return _namespace, (known,)


_own: dict[int, _Own] = {}
_namespaces: dict[Any, dict[str, Any]] = {}


def _namespace(known: dict[str, Any]) -> dict[str, Any]:
    """In a worker: the globals of that module, which all its functions share."""
    return _namespaces.setdefault(known["__name__"], dict(known))


@contextlib.contextmanager
def keep(fn: Callable[..., Any]) -> Iterator[None]:
    """Meanwhile, what this function, an initializer, sets as globals is each worker's own: it is not sent.

    Found are ``global`` names that it sets, or functions of its module that it names.
    """
    while not isinstance(fn, FunctionType):
        inner = getattr(fn, "func", None) or getattr(fn, "__func__", None) or getattr(fn, "fn", None)
        if inner is None:
            yield
            return
        fn = inner
    names = _set_by_all(fn)
    key, before = id(fn.__globals__), _own.get(id(fn.__globals__))
    if names:
        _own[key] = _Own(fn.__globals__, names | (before.names if before else set()))
    try:
        yield
    finally:
        _own.pop(key, None)
        if before:
            _own[key] = before


def _set_by_all(fn: FunctionType) -> set[str]:
    names: set[str] = set()
    seen: set[CodeType] = set()
    waiting = [fn.__code__]
    while waiting:
        code = waiting.pop()
        if code in seen:
            continue
        seen.add(code)
        waiting += [part for part in code.co_consts if isinstance(part, CodeType)]
        named = [fn.__globals__.get(name) for name in code.co_names]
        called = [one for one in named if isinstance(one, FunctionType)]
        waiting += [one.__code__ for one in called if one.__globals__ is fn.__globals__]
        names |= _set_by(code)
    return names


def _set_by(code: CodeType) -> set[str]:
    import dis

    return {str(step.argval) for step in dis.get_instructions(code) if step.opname == "STORE_GLOBAL"}


# Classes that this process sent or has loaded by value. cloudpickle fills such a class anew each time it
# arrives: the methods of the user's own class would become copies that see other globals.
_settled: weakref.WeakSet[type] = weakref.WeakSet()
_pickling = open_after_fork(threading.RLock())


def _settle(cls: type, state: Any) -> type:
    if cls not in _settled:
        _settled.add(cls)
        cloudpickle_internals._class_setstate(cls, state)
    elif works():  # what the parent has set since; the parent's own class is never set by a worker
        for name, value in state[0].items():
            if not name.startswith("__") and not hasattr(value, "__get__"):
                setattr(cls, name, value)
    return cls


def _register(modules: Iterable[ModuleType], added: list[ModuleType]) -> None:
    known = cloudpickle.list_registry_pickle_by_value()
    for module in modules:
        if module.__name__ not in known and module.__name__ in sys.modules:
            cloudpickle.register_pickle_by_value(module)
            added.append(module)


def dump(
    obj: Any,
    by_value: Iterable[ModuleType] = (),
    pickler: Callable[[Parts, list[ModuleType], Iterable[ModuleType]], Pickler] = Pickler,
) -> Parts:
    parts = Parts()
    added: list[ModuleType] = []
    with _pickling:
        try:
            _register(by_value, added)
            pickler(parts, added, by_value).dump(obj)
        finally:
            for module in added:
                cloudpickle.unregister_pickle_by_value(module)
    return parts


def _importable(module: ModuleType) -> bool:
    name = getattr(module, "__name__", "")
    if name.partition(".")[0] in sys.stdlib_module_names:
        return True
    return _found_at(name, getattr(module, "__file__", None), tuple(sys.path))


def _installed(module: ModuleType) -> bool:
    name, file = getattr(module, "__name__", ""), getattr(module, "__file__", None)
    if name.partition(".")[0] in ALWAYS_THERE:
        return True
    if not _importable(module):
        return False
    return _in_python(name, file) or not str(file).endswith(".py")


@functools.lru_cache(maxsize=4096)
def _in_python(name: str, file: str | None) -> bool:
    known = name.partition(".")[0] in sys.stdlib_module_names
    return known or (file is not None and not INSTALLED.isdisjoint(Path(file).parts))


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
