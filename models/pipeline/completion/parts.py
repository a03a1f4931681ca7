"""Files for another machine in parts of a bounded size, with checksums."""

from __future__ import annotations

import hashlib
import json
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

from .errors import Refused, whole_file

MANIFEST = "parts.json"
_CHUNK = 1 << 20


def pack(inputs: dict[str, Path], out: Path, part_bytes: int) -> dict[str, object]:
    """Writes files and folders under the given names into parts of at most `part_bytes`.

    The manifest comes last. Returned, too.
    """
    out.mkdir(parents=True, exist_ok=True)
    for stale in [*out.glob("part-*"), out / MANIFEST]:
        stale.unlink(missing_ok=True)
    parts: list[dict[str, object]] = []
    with tempfile.TemporaryFile(dir=out) as whole:
        with tarfile.open(fileobj=whole, mode="w") as archive:
            for name, path in sorted(inputs.items()):
                if not path.exists():
                    raise Refused(f"there is no {path}")
                archive.add(path, name, filter=_plain)
        total = whole.tell()
        whole.seek(0)
        while whole.tell() < total:
            name = f"part-{len(parts):03}"
            digest, written = hashlib.sha256(), 0
            with whole_file(out / name) as file:
                while chunk := whole.read(min(_CHUNK, part_bytes - written)):
                    file.write(chunk)
                    digest.update(chunk)
                    written += len(chunk)
            parts.append({"file": name, "bytes": written, "sha256": digest.hexdigest()})
    manifest = {"bytes": total, "parts": parts}
    with whole_file(out / MANIFEST) as file:
        file.write((json.dumps(manifest, indent=1) + "\n").encode())
    return manifest


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Without what differs between machines; caches stay behind."""
    if entry.name.rpartition("/")[2] == "__pycache__":
        return None
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def join(folder: Path, out: Path) -> list[str]:
    """Unpacks the parts of a folder into `out` once every one of them is checked: the names."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Refused(f"{folder / MANIFEST} cannot be read: {error}") from error
    for part in manifest["parts"]:
        path = folder / part["file"]
        digest = hashlib.sha256()
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
        except OSError as error:
            raise Refused(
                f"{path} cannot be read ({error.strerror}); copy it here, then run this again"
            ) from error
        if digest.hexdigest() != part["sha256"]:
            raise Refused(f"{path} is damaged; copy it here again, then run this again")
    out.mkdir(parents=True, exist_ok=True)
    files = [folder / part["file"] for part in manifest["parts"]]
    with closing(_Chain(files)) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        names = []
        for entry in archive:
            archive.extract(entry, out, filter="data")
            names.append(entry.name)
    return names


class _Chain:
    """Files read as if they were one."""

    def __init__(self, files: list[Path]) -> None:
        self._files: Iterator[IO[bytes]] = (file.open("rb") for file in files)
        self._open = next(self._files, None)

    def read(self, size: int) -> bytes:
        found = b""
        while self._open and len(found) < size:
            chunk = self._open.read(size - len(found))
            if chunk:
                found += chunk
                continue
            self._open.close()
            self._open = next(self._files, None)
        return found

    def close(self) -> None:
        if self._open:
            self._open.close()
