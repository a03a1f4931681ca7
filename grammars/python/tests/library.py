"""What the module is for."""

import os
from typing import TypeVar

MAX_RETRIES = 3
_cache: dict[str, int] = {}
T = TypeVar("T")
left, right = 1, 2
first = second = 0

type Pair[A] = tuple[A, A]

# Opens a connection and
# keeps it.
@lru_cache(maxsize=None)
@other
def connect(host: str, *, port: int = 80) -> "Connection":
    """Connects.

    Second paragraph.
    """
    local = 1
    LOCAL_CONSTANT = 2

    def helper(x):
        return x + local

    return helper(port)


async def fetch(
    url: str,
    timeout: float = 1.0,
) -> bytes:
    return b""


if os.name == "nt":

    def only_on_windows():
        pass


class Connection(Base, metaclass=Meta):
    '''One line.'''

    default = None
    LIMIT: int = 5

    def __init__(self, host):
        self.host = host

    @property
    def name(self):
        r"""Raw docstring."""
        return self.host

    @staticmethod
    async def make():
        pass

    class Inner:
        def deep(self):
            class Local:
                field = 1

            return Local
