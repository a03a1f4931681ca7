"""Collects texts to learn from: shards of JSON lines, and a manifest that says what is in them.

A record is {"package", "path", "language", "licence", "split", "text"}; `split` is `train`,
`development` or `test`, the same for all packages of one family, so that no evaluated package has a
sister in training. The manifest comes last: a folder without one is unfinished.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from . import filters, licences, sources
from .sources import Package

FORMAT = 1
MANIFEST = "manifest.json"
# Characters of text in a shard, about.
SHARD = 8_000_000
# A package gives no more than this, so that none drowns the others.
PACKAGE_SHARE = 4_000_000
SPLITS = ("train", "development", "test")
# Of 256 families, how many are evaluated; half of those while developing. npm's packages are many and
# small, and few of them describe their functions.
_EVALUATED = {"cargo": 32, "folder": 32, "npm": 96}
# The words and names of a text; what its language model would at least have to tell apart.
_TOKEN = re.compile(r"\w+|[^\w\s]")


class CorruptShard(Exception):
    """A shard that is missing or does not hold what the manifest says."""


@dataclass(frozen=True)
class Splits:
    """Which split a package belongs to."""

    named: dict[str, str]

    @classmethod
    def of(cls, repository: Path) -> Splits:
        """With the families of every crate that the project's evaluations ask about."""
        return cls({family("cargo", name): split for name, split in sources.evaluated_crates(repository)})

    def split(self, package: Package) -> str:
        """The same for a whole family, on every machine and whatever else there is."""
        name = family(package.ecosystem, package.name)
        if package.ecosystem == "cargo" and name in self.named:
            return self.named[name]
        # Python has few packages here, and a library of its own that is always evaluated.
        if package.ecosystem == "pypi":
            return "train"
        digest = hashlib.sha256(f"{package.ecosystem}\0{name}".encode()).digest()
        if package.always_evaluation:
            return "development" if digest[0] < 128 else "test"
        evaluated = _EVALUATED[package.ecosystem]
        if digest[0] >= evaluated:
            return "train"
        return "development" if digest[0] < evaluated // 2 else "test"


def family(ecosystem: str, name: str) -> str:
    """What packages of one origin have in common: npm's scope, or the name up to a hyphen, dot or
    underscore."""
    if ecosystem == "npm" and name.startswith("@"):
        return name.partition("/")[0]
    if ecosystem in ("cargo", "npm"):
        return re.split(r"[-_.]", name, maxsplit=1)[0] or name
    return name


def _licence_files(package: Package) -> dict[str, list[str]]:
    """The texts of licence files by the folder they lie in."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in package.paths:
        name = PurePosixPath(path).name
        source = PurePosixPath(path).suffix[1:].lower() in filters.LANGUAGES and not path.endswith(".md")
        if licences.FILE_NAME.match(name) and not source:
            try:
                text = (package.root / path).read_text("utf-8", "replace")
            except OSError:
                continue
            parent = str(PurePosixPath(path).parent)
            # A wheel keeps its licences in its metadata, apart from its modules.
            if ".dist-info" in parent:
                parent = "."
            found[parent].append(text)
    return found


@dataclass(frozen=True)
class _Terms:
    licence: str | None
    basis: str


def _terms(package: Package) -> Callable[[str], _Terms]:
    """The terms of each path: of the nearest folder with licence files, else of the package."""
    files = _licence_files(package)
    top = _Terms(*licences.judge(package.declared, files.pop(".", [])))
    nested = {}
    for folder, texts in files.items():
        licence, basis = licences.judge(None, texts)
        nested[folder] = _Terms(licence, f"nested {basis}")

    def of(path: str) -> _Terms:
        for parent in PurePosixPath(path).parents:
            if str(parent) in nested:
                return nested[str(parent)]
        return top

    return of


class _Shards:
    """Writes records into shards by split and language."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._open: dict[str, list[bytes]] = defaultdict(list)
        self._sizes: Counter[str] = Counter()
        self._numbers: Counter[str] = Counter()
        self.entries: list[dict[str, object]] = []

    def add(self, record: dict[str, str]) -> None:
        key = f"{record['split']}-{record['language']}"
        line = json.dumps(record, ensure_ascii=False, sort_keys=True).encode() + b"\n"
        self._open[key].append(line)
        self._sizes[key] += len(line)
        if self._sizes[key] >= SHARD:
            self._close(key)

    def finish(self) -> None:
        for key in sorted(self._open):
            if self._open[key]:
                self._close(key)
        self.entries.sort(key=lambda entry: str(entry["file"]))

    def _close(self, key: str) -> None:
        lines, self._open[key], self._sizes[key] = self._open[key], [], 0
        name = f"{key}-{self._numbers[key]:03}.jsonl.gz"
        self._numbers[key] += 1
        content = b"".join(lines)
        partial = self._out / f"{name}.partial"
        partial.write_bytes(gzip.compress(content, 6, mtime=0))
        os.replace(partial, self._out / name)
        self.entries.append(
            {
                "file": name,
                "split": key.partition("-")[0],
                "language": key.partition("-")[2],
                "records": len(lines),
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        )


def collect(
    repository: Path,
    out: Path,
    folders: list[Path],
    progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, object]:
    """Writes shards and manifest to `out`, and hands the manifest back.

    Whole output of the same inputs is left as it is.
    """
    found = sources.gather(repository, folders)
    splits = Splits.of(repository)
    inputs = _inputs(found, splits)
    try:
        manifest = read_manifest(out)
        if manifest["inputs"] == inputs:
            for entry in manifest["shards"]:
                read_shard(out, entry)
            return manifest
    except (FileNotFoundError, KeyError):
        pass
    except CorruptShard as error:
        print(f"{error}; collecting anew", file=sys.stderr)
    out.mkdir(parents=True, exist_ok=True)
    (out / MANIFEST).unlink(missing_ok=True)
    for stale in [*out.glob("*.jsonl.gz"), *out.glob("*.partial")]:
        stale.unlink()

    shards = _Shards(out)
    repetitions = filters.Repetitions()
    left_out: Counter[str] = Counter()
    unknown: set[str] = set()
    secret_lines = 0
    counted: dict[str, dict[str, Counter[str]]] = {
        split: {key: Counter() for key in ("languages", "licences", "bases")} for split in SPLITS
    }
    tokens: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    characters: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    packages: dict[str, set[str]] = {split: set() for split in SPLITS}
    # What is evaluated comes first: its repetitions in training are the ones to go.
    ordered = sorted(found.packages, key=lambda package: splits.split(package) == "train")
    for number, package in enumerate(ordered):
        progress(number, len(ordered))
        split = splits.split(package)
        terms = _terms(package)
        taken = 0
        # Where a package gives too much, chance decides on what; not the names of its folders.
        paths = sorted(
            package.paths,
            key=lambda path: hashlib.sha256(f"{package.name}\0{path}".encode()).digest(),
        )
        for path in paths:
            language = filters.language_of(path)
            if language is None or licences.FILE_NAME.match(PurePosixPath(path).name):
                continue
            reason = filters.unwanted_path(path)
            if reason:
                left_out[reason] += 1
                continue
            if path.endswith((".d.ts", ".d.mts", ".d.cts")) and _has_script(package, path):
                left_out["generated"] += 1
                continue
            stated = terms(path)
            if stated.licence is None:
                left_out[stated.basis] += 1
                unknown.add(f"{package.label}: {stated.basis}")
                continue
            file = package.root / path
            try:
                if file.stat().st_size > 4 * filters.MAX_BYTES:
                    left_out["huge"] += 1
                    continue
                text = filters.decode(file.read_bytes())
            except OSError:
                left_out["unreadable"] += 1
                continue
            if text is None:
                left_out["binary"] += 1
                continue
            own, free = licences.of_header(text)
            if not free:
                left_out["licence in the file not permissive"] += 1
                continue
            reason = filters.unwanted_text(language, text)
            if reason:
                left_out[reason] += 1
                continue
            text, secrets = filters.without_secrets(text)
            secret_lines += secrets
            if text is None:
                left_out["private key"] += 1
                continue
            if taken + len(text) > PACKAGE_SHARE:
                left_out["beyond the package's share"] += 1
                continue
            repetition = repetitions.seen(text)
            if repetition:
                left_out[f"{repetition} repetition"] += 1
                continue
            taken += len(text)
            licence = own or stated.licence
            shards.add(
                {
                    "package": package.label,
                    "path": path,
                    "language": language,
                    "licence": licence,
                    "split": split,
                    "text": text,
                }
            )
            packages[split].add(package.label)
            counted[split]["languages"][language] += 1
            counted[split]["licences"][licence] += 1
            counted[split]["bases"]["file header" if own else stated.basis] += 1
            characters[split][language] += len(text)
            tokens[split][language] += len(_TOKEN.findall(text))
    shards.finish()
    manifest = {
        "format": FORMAT,
        "inputs": inputs,
        "hash": _hash_of(shards.entries),
        "train_hash": _hash_of([entry for entry in shards.entries if entry["split"] == "train"]),
        "splits": {
            split: {
                "packages": len(packages[split]),
                "files": sum(counted[split]["languages"].values()),
                "languages": {
                    language: {
                        "files": files,
                        "characters": characters[split][language],
                        "tokens": tokens[split][language],
                    }
                    for language, files in sorted(counted[split]["languages"].items())
                },
                "licences": dict(sorted(counted[split]["licences"].items())),
                "licence_basis": dict(sorted(counted[split]["bases"].items())),
            }
            for split in SPLITS
        },
        "evaluated": {split: sorted(packages[split]) for split in SPLITS if split != "train"},
        "left_out": dict(sorted(left_out.items())),
        "left_out_for_licence": sorted(unknown),
        "secret_lines_removed": secret_lines,
        "not_on_this_machine": found.missing,
        "shards": shards.entries,
    }
    partial = out / f"{MANIFEST}.partial"
    partial.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf-8")
    os.replace(partial, out / MANIFEST)
    return manifest


def _has_script(package: Package, path: str) -> bool:
    """Whether a declaration file stands beside the script that it was made from."""
    stem = re.sub(r"\.d\.[mc]?ts$", "", path)
    return any((package.root / f"{stem}{suffix}").exists() for suffix in (".js", ".mjs", ".cjs"))


def _inputs(found: sources.Sources, splits: Splits) -> str:
    """A hash of all that decides the output: this program, the packages, and users' files by size
    and time."""
    digest = hashlib.sha256()
    for module in ("collect", "filters", "licences", "sources"):
        digest.update((Path(__file__).parent / f"{module}.py").read_bytes())
    digest.update(json.dumps(sorted(splits.named.items())).encode())
    for package in found.packages:
        digest.update(f"{package.label}\0{package.declared}\0{len(package.paths)}\n".encode())
        if package.ecosystem == "folder":
            for path in package.paths:
                stat = (package.root / path).stat()
                digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _hash_of(entries: list[dict[str, object]]) -> str:
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(f"{entry['file']} {entry['sha256']}\n".encode())
    return digest.hexdigest()


def read_manifest(out: Path) -> dict:
    """The manifest of a finished collection.

    Raises `FileNotFoundError` where there is none, `CorruptShard` where it cannot be read.
    """
    try:
        manifest = json.loads((out / MANIFEST).read_text("utf-8"))
    except ValueError as error:
        raise CorruptShard(f"{out / MANIFEST} is damaged: {error}") from error
    return manifest


def read_shard(out: Path, entry: dict) -> bytes:
    """A shard's content, as its manifest entry promises it; `CorruptShard` names one that is not."""
    file = out / str(entry["file"])
    try:
        content = gzip.decompress(file.read_bytes())
    except (OSError, EOFError, ValueError, gzip.zlib.error) as error:
        raise CorruptShard(f"{file} cannot be read: {error}") from error
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise CorruptShard(f"{file} does not hold what the manifest says")
    return content


def records(out: Path, *splits: str) -> Iterator[dict[str, str]]:
    """The records of some splits, in the order of the shards."""
    for entry in read_manifest(out)["shards"]:
        if entry["split"] in splits:
            for line in read_shard(out, entry).splitlines():
                yield json.loads(line)
