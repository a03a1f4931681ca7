"""What goes wrong outside this program, as sentences for the person who runs it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

# A disk with so few bytes left counts as full.
_FULL = 1 << 16


class Refused(Exception):
    """What, where, and what to do; shown without a traceback."""


@contextmanager
def whole_file(path: Path, kept: str = "nothing that was there is lost") -> Iterator[IO[bytes]]:
    """A file that appears under its name with all that was written, or not at all.

    `kept` says in the message of a full disk what is still there.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        # NumPy only says that less was written than asked.
        full = error.errno is None and shutil.disk_usage(path.parent).free < _FULL
        partial.unlink(missing_ok=True)
        if full or error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Refused(
                f"no room left on the disk while writing {path}; {kept}; make room and run the same "
                "command again"
            ) from error
        raise Refused(f"cannot write {path}: {error.strerror or error}") from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def needs(module: str, error: ImportError) -> Refused:
    """The refusal where a package of the training environment is missing."""
    return Refused(
        f"{module} is not installed ({error}); `cargo xtask models completion` installs it with the other "
        "training packages, or: pip install --require-hashes -r "
        "models/pipeline/completion/train-requirements.txt"
    )
