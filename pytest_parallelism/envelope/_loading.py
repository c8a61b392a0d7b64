"""What is to be done once a module is there, without loading it for that."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

__all__ = ["when_loaded"]


def when_loaded(name: str, then: Callable[[], object]) -> None:
    """Calls it now where the module is loaded, else when it has been, before whoever imports it has it.

    Of several calls for one module, the earlier comes first.
    """
    if name in sys.modules:
        then()
    else:
        sys.meta_path.insert(0, _Finder(name, then))


class _Finder:
    """First of `sys.meta_path`, until the module is looked for."""

    def __init__(self, name: str, then: Callable[[], object]) -> None:
        self._name = name
        self._then = then

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """What the others find; it is theirs to load."""
        if name != self._name or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        specs = (finder.find_spec(name, path, target) for finder in tuple(sys.meta_path))
        spec: Any = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._then)
        return spec


class _Loader:
    """Another loader, and what is to be done when it is done."""

    def __init__(self, loader: Any, then: Callable[[], object]) -> None:
        self._loader = loader
        self._then = then

    def create_module(self, spec: Any) -> Any:
        """See `importlib.abc.Loader`."""
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        """See `importlib.abc.Loader`; afterwards nothing tells that we were there."""
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._then()
