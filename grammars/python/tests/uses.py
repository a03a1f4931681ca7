from __future__ import annotations

import os.path as path, sys
from . import sibling
from ..store.rows import Row as R, Table
from far.away import *


@registry.register("name")
class Uses(Table, base.Mixin, Generic[R]):
    limit: Limit = DEFAULT_LIMIT

    def walk(self, depth: int = 0, *rest: Step, **named) -> dict[str, R]:
        step = first_step(depth, convert=to_row)
        for left, right in sibling.pairs(step):
            left.join(right)
        with open(path.join(".")) as file:
            return {key: sys.intern(file.name) for key in rest if isinstance(key, Step)}
