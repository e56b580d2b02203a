"""PyTorch to trace.

The package can be called: `simulator.extract(model, batches, name=…)` is `simulator.extract.extract.extract`. Importing
any module of the package binds the name `simulator.extract` to the package, so a function of that name beside it would
disappear.
"""

import sys
import types
from typing import Any


class _CallablePackage(types.ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Records a trace; see `simulator.extract.extract.extract`."""
        from simulator.extract.extract import extract

        return extract(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
