"""The packages that the project's own lock files bring, where they lie on this machine."""

from __future__ import annotations

import email.parser
import json
import os
import platform
import re
import site
import sysconfig
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .filters import language_of
from .licences import FILE_NAME


@dataclass
class Package:
    """A package's files and what it says about its licence."""

    ecosystem: str
    name: str
    version: str
    root: Path
    declared: str | None
    # Paths relative to `root`, in order.
    paths: list[str] = field(default_factory=list)
    always_evaluation: bool = False

    @property
    def label(self) -> str:
        return f"{self.ecosystem}:{self.name}@{self.version}"


@dataclass
class Sources:
    """Packages in a fixed order, and those that a lock file names but this machine lacks."""

    packages: list[Package]
    missing: list[str]


def _walk(root: Path) -> list[str]:
    """The files below a folder whose names say a language or a licence; links are not followed."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if name not in ("node_modules", "__pycache__", "target", ".git", ".venv", "site-packages")
        )
        for name in names:
            path = Path(folder, name)
            if (language_of(name) or FILE_NAME.match(name)) and not path.is_symlink():
                found.append(path.relative_to(root).as_posix())
    return sorted(found)


def cargo(lock: Path) -> Sources:
    """The registry's crates of a `Cargo.lock`, from cargo's source cache."""
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    registries = sorted((home / "registry/src").glob("*"))
    packages, missing = [], []
    for entry in tomllib.loads(lock.read_text("utf-8")).get("package", []):
        if not str(entry.get("source", "")).startswith("registry+"):
            continue
        name, version = entry["name"], entry["version"]
        root = next(
            (place for registry in registries if (place := registry / f"{name}-{version}").is_dir()),
            None,
        )
        if root is None:
            missing.append(f"cargo:{name}@{version}")
            continue
        try:
            manifest = tomllib.loads((root / "Cargo.toml").read_text("utf-8"))
        except (OSError, ValueError):
            manifest = {}
        licence = manifest.get("package", {}).get("license")
        packages.append(
            Package("cargo", name, version, root, licence if isinstance(licence, str) else None)
        )
    return Sources(packages, missing)


def npm(lock: Path) -> Sources:
    """The packages of a `package-lock.json` that are installed beside it."""
    packages, missing = [], []
    for place, entry in json.loads(lock.read_text("utf-8")).get("packages", {}).items():
        if not place:
            continue
        name, version = place.rpartition("node_modules/")[2], entry.get("version", "")
        root = lock.parent / place
        try:
            manifest = json.loads((root / "package.json").read_text("utf-8"))
        except (OSError, ValueError):
            missing.append(f"npm:{name}@{version}")
            continue
        licence = manifest.get("license")
        if isinstance(licence, dict):
            licence = licence.get("type")
        packages.append(
            Package("npm", name, version, root, licence if isinstance(licence, str) else None)
        )
    return Sources(packages, missing)


def pypi(requirements: list[Path]) -> Sources:
    """The packages that the requirements pin and that are installed where this program runs."""
    pinned = {
        _folded(match.group(1))
        for file in requirements
        for match in re.finditer(r"^([A-Za-z0-9._-]+)==", file.read_text("utf-8"), re.MULTILINE)
    }
    packages, found = [], set()
    for folder in map(Path, site.getsitepackages()):
        for info in sorted(folder.glob("*.dist-info")):
            try:
                text = (info / "METADATA").read_text("utf-8")
                record = (info / "RECORD").read_text("utf-8")
            except OSError:
                continue
            metadata = email.parser.HeaderParser().parsestr(text)
            name = metadata.get("Name", "")
            if _folded(name) not in pinned:
                continue
            found.add(_folded(name))
            paths = [line.split(",")[0].strip('"') for line in record.splitlines()]
            paths = sorted(
                path
                for path in paths
                if not path.startswith("..")
                and (language_of(path) or FILE_NAME.match(Path(path).name))
            )
            version = metadata.get("Version", "")
            packages.append(Package("pypi", name, version, folder, _python_licence(metadata), paths))
    missing = [f"pypi:{name}" for name in sorted(pinned - found)]
    return Sources(packages, missing)


def _folded(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _python_licence(metadata) -> str | None:
    """What a wheel's metadata says, most exact first. Long texts in the `License` field say more than
    their package's name can; they are left to the files."""
    if expression := metadata.get("License-Expression"):
        return expression
    short = metadata.get("License", "").strip()
    if short and "\n" not in short and len(short) < 80:
        return short
    for line in metadata.get_all("Classifier") or []:
        if line.startswith("License ::"):
            return line.rpartition("::")[2].strip()
    return None


def interpreter() -> Sources:
    """The standard library of the Python that runs, a package for each module at its top. Its version
    differs between machines, so it only ever serves evaluation."""
    root = Path(sysconfig.get_paths()["stdlib"])
    apart = {"site-packages", "test", "tests", "idlelib", "lib2to3", "pydoc_data", "lib-dynload", "__pycache__"}
    packages = []
    for entry in sorted(root.iterdir()):
        name = entry.name.removesuffix(".py")
        if name in apart or name.startswith(("config-", "_sysconfigdata")):
            continue
        if entry.is_dir():
            paths = [
                path
                for file in _walk(entry)
                if not apart & set(Path(path := f"{name}/{file}").parts)
            ]
        elif entry.suffix == ".py":
            paths = [entry.name]
        else:
            continue
        version = platform.python_version()
        packages.append(Package("python", name, version, root, "PSF-2.0", paths, True))
    return Sources(packages, [])


def folder(root: Path) -> Package:
    """A folder that the user names, one package."""
    declared = None
    for name, read in (
        ("Cargo.toml", lambda text: tomllib.loads(text).get("package", {}).get("license")),
        ("package.json", lambda text: json.loads(text).get("license")),
        ("pyproject.toml", lambda text: tomllib.loads(text).get("project", {}).get("license")),
    ):
        try:
            declared = read((root / name).read_text("utf-8"))
        except (OSError, ValueError, AttributeError):
            continue
        if isinstance(declared, str):
            break
        declared = None
    return Package("folder", root.resolve().name, "", root, declared)


def gather(repository: Path, folders: list[Path], *, with_interpreter: bool = True) -> Sources:
    """All of it, each package once, by label."""
    parts = [cargo(repository / "Cargo.lock")]
    locks = [repository / "extension/package-lock.json"]
    locks.extend(sorted(repository.glob("tests/*/package-lock.json")))
    parts.extend(npm(lock) for lock in locks if lock.is_file())
    parts.append(pypi(sorted((repository / "models").glob("**/requirements.txt"))))
    if with_interpreter:
        parts.append(interpreter())
    parts.append(Sources([folder(root) for root in folders], []))
    by_label: dict[str, Package] = {}
    for package in (package for part in parts for package in part.packages):
        by_label.setdefault(package.label, package)
    packages = [by_label[label] for label in sorted(by_label)]
    for package in packages:
        if not package.paths:
            package.paths = _walk(package.root)
    return Sources(packages, sorted({name for part in parts for name in part.missing}))


def evaluated_crates(repository: Path) -> Iterator[tuple[str, str]]:
    """(crate, split) of each crate that the retrieval evaluation asks about."""
    for file in sorted(repository.glob("tests/eval/**/*.toml")):
        split = "development" if "development" in file.name else "test"
        for entry in tomllib.loads(file.read_text("utf-8")).get("repository", []):
            if name := entry.get("crate"):
                yield name, split
