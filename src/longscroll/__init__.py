"""Longscroll: long documents and the models that read them, served on your own machine."""

from __future__ import annotations

import sys
from importlib.util import LazyLoader, find_spec, module_from_spec
from types import ModuleType

__version__ = "0.1.0"


def late(name: str) -> ModuleType:
    """Import a module when something of it is first used: for what is heavy and what most processes never need.

    The first use must not come from two threads at once. Stands at the top of a module, as an import does.
    """
    if name in sys.modules:
        return sys.modules[name]
    spec = find_spec(name)
    assert spec is not None, name
    assert spec.loader is not None, name
    spec.loader = LazyLoader(spec.loader)
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
