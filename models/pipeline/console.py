"""What the tasks share with the person at the terminal: the program's folders, and progress."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def folder_of(kind: str) -> Path:
    """The program's own folder for `data` or for a `cache`."""
    if home := os.environ.get("HEARTH_HOME"):
        return Path(home, kind)
    user = Path.home()
    if sys.platform == "darwin":
        return user / "Library" / {"data": "Application Support", "cache": "Caches"}[kind] / "hearth"
    if sys.platform == "win32":
        base = os.environ[{"data": "APPDATA", "cache": "LOCALAPPDATA"}[kind]]
        return Path(base, "hearth", kind)
    variable, usual = {
        "data": ("XDG_DATA_HOME", ".local/share"),
        "cache": ("XDG_CACHE_HOME", ".cache"),
    }[kind]
    return Path(os.environ.get(variable) or user / usual, "hearth")


def show_progress(title: str, done: int, total: int) -> None:
    """A line that is rewritten on a terminal, and one for every tenth elsewhere."""
    share, live = 100 * done // max(total, 1), sys.stderr.isatty()
    state = (title, share if live else share // 10)
    if state == show_progress.shown:
        return
    show_progress.shown = state
    start, end = ("\r", "" if done < total else "\n") if live else ("", "\n")
    print(f"{start}   {title}: {share} %", end=end, file=sys.stderr, flush=True)


show_progress.shown = ("", -1)
