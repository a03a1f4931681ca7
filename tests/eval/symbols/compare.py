"""Compares the definitions that Hearth finds with those of universal-ctags, on the packages of packages.toml.

    python3 compare.py --hearth PROGRAM [--json FILE] [--list LANGUAGE]

A definition of ctags is found when Hearth has one of that name in that file whose lines hold that line. A selector of
CSS is found when every class and id in it is, and a writer of Ruby (`name=`) by its attribute. What ctags
lists and Hearth means to leave out is counted apart, by reason. Ends with 1 when less than 98 in 100 of the others
are found. `--list` shows those that are not.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter, defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "retrieval"))

from derive import REPOSITORY, Unavailable, cargo_sources, fetch  # noqa: E402

ENDINGS = {
    "rust": (".rs",),
    "c": (".c", ".h"),
    "cpp": (".cpp", ".hpp", ".cc"),
    "python": (".py",),
    "javascript": (".js", ".mjs", ".cjs"),
    "typescript": (".ts",),
    "go": (".go",),
    "java": (".java",),
    "csharp": (".cs",),
    "ruby": (".rb",),
    "php": (".php",),
    # Scripts mostly have no ending: then their first line says what they are.
    "bash": (".sh", ".bash", ""),
    "css": (".css",),
    "markdown": (".md",),
}
CTAGS = {
    "rust": "Rust",
    "c": "C,C++",
    "cpp": "C++",
    "python": "Python",
    "javascript": "JavaScript",
    "typescript": "TypeScript",
    "go": "Go",
    "java": "Java",
    "csharp": "C#",
    "ruby": "Ruby",
    "php": "PHP",
    "bash": "Sh",
    "css": "CSS",
    "markdown": "Markdown",
}
REACHED = 0.98
# Definitions whose scope is one of these belong to code that runs.
CALLABLE = {"function", "method", "member", "func", "generator", "getter", "setter"}


def names_of(tag: dict[str, str], language: str) -> list[str]:
    """The names that Hearth must list for a definition, without blanks."""
    name = tag["name"].replace(" ", "")
    if language == "css":
        return re.findall(r"[.#](-?[A-Za-z_][\w-]*)", re.sub(r"\[[^\]]*\]", "", tag["name"]))
    if language == "ruby" and tag["kind"] == "accessor":
        return [name.removesuffix("=")]
    return [name]


def is_found(tag: dict[str, str], language: str, symbols: dict[tuple[str, str], list[range]]) -> bool:
    """Whether `symbols`, the lines of every definition by file and name, have what ctags lists."""
    path, names = tag["path"].removeprefix("./"), names_of(tag, language)
    return bool(names) and all(any(tag["line"] in lines for lines in symbols.get((path, name), [])) for name in names)


def left_out(tag: dict[str, str], language: str) -> str | None:
    """Why Hearth does not list a definition."""
    name, kind = tag["name"], tag["kind"]
    if name.startswith("__anon") or name.startswith("Anonymous") or name.startswith("anonymous"):
        return "has no name in the source; ctags makes one up"
    if language == "rust" and kind == "implementation":
        return "an `impl` defines nothing itself; its functions name it as what they stand in"
    if language == "python" and kind in {"namespace", "unknown", "module"}:
        return "an import, not a definition"
    if language == "go" and kind in {"package", "packageName"}:
        return "an import or the package's own name, not a definition"
    if language == "typescript" and kind == "alias" and tag.get("scopeKind") is None and "import" in tag["pattern"]:
        return "an import, not a definition"
    pattern = tag.get("pattern", "").removeprefix("/^").removesuffix("$/")
    if language == "cpp" and kind == "namespace":
        return "one definition for `namespace a::b`, where ctags has one for each part"
    if language == "cpp" and re.match(r"\s*template\s+(struct|class)\b", pattern):
        return "an explicit instantiation, not a definition"
    if language in {"c", "cpp"} and kind == "function" and re.match(rf"\s*{re.escape(name)}\(.*\)\s*;?$", pattern):
        return "the use of a macro"
    if language in {"javascript", "typescript"}:
        if kind in {"constant", "variable", "function", "method", "getter"} and pattern[:1].isspace() and "scope" not in tag:
            return "local to a function or a callback"
        if language == "typescript" and kind in {"alias", "property"} and not re.match(rf"\s*(\w+\s+)*['\"]?{re.escape(name)}\b", pattern):
            return "not defined there; ctags misreads the type"
        if kind == "method" and name in {"new", "if", "for", "switch", "while"}:
            return "a construct signature or a statement, not a method"
    if language == "javascript":
        if kind in {"property", "field"} and re.search(rf"(^|[{{,\s\"']){re.escape(name)}[\"']?\s*(:|,|\}}|$)", pattern):
            return "a property of an object, not a definition"
        if kind == "class" and "class" not in pattern:
            return "an object that ctags takes for a class"
    if language == "java" and kind == "package":
        return "the package that a file belongs to, not a definition"
    if language == "csharp":
        if kind == "typedef" and re.match(rf"\s*(global )?using {re.escape(name)}\b", pattern):
            return "an import, not a definition"
        if kind == "field" and re.search(rf"[(,]\s*([\w.<>\[\], ]+ )?{re.escape(name)}\) =>", pattern):
            return "a parameter before `=>`, which ctags takes for a field"
        if re.search(rf"\bwhere \w+ : .*\b{re.escape(name)}\b", pattern) or re.search(rf"<{re.escape(name)}> where\b", pattern):
            return "a type parameter or what it is bound to, not a definition"
    if language == "php" and kind == "alias" and re.match(r"\s*use\b", pattern):
        return "an import, not a definition"
    if language == "bash":
        if kind == "heredoc":
            return "the word that ends a here-document, not a definition"
        if kind == "function" and name.endswith("=") and f"{name}()" in pattern:
            return "an empty array, which ctags takes for a function"
    if language == "css" and not names_of(tag, language):
        return "a selector without a class or an id: it names nothing"
    if tag.get("scopeKind") in CALLABLE and not (language == "python" and kind == "member"):
        return "local to a function"
    return None


def tags_of(folder: Path, language: str) -> list[dict[str, str]]:
    command = ["ctags", "-R", "--output-format=json", "--fields=+neKZ", "--pattern-length-limit=0", f"--languages={CTAGS[language]}", "-f", "-", "."]
    lines = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.splitlines()
    tags = [json.loads(line) for line in lines if line.startswith("{")]
    return [tag for tag in tags if tag.get("_type") == "tag"]


def symbols_of(hearth: Path, folder: Path, own: Path) -> dict[tuple[str, str], list[range]]:
    """Lines of every definition, by file and name."""
    env = dict(os.environ)
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        env[name] = str(own / name)
        (own / name).mkdir(parents=True, exist_ok=True)
    command = [hearth, "symbols", "--json", "--workspace", folder]
    listed = json.loads(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)
    found = defaultdict(list)
    for symbol in listed:
        lines = range(symbol["range"]["start"]["line"] + 1, symbol["range"]["end"]["line"] + 2)
        found[symbol["path"], symbol["name"].replace(" ", "")].append(lines)
    return found


def copy(package: dict[str, object], source: Path, into: Path) -> None:
    endings = ENDINGS[package["language"]]
    for part in package.get("folders", ["."]):
        for path in sorted((source / part).rglob("*")):
            relative = path.relative_to(source)
            if path.is_file() and path.suffix in endings and not path.name.endswith((".d.ts", ".min.js", ".min.css", "-min.css")):
                target = into / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--hearth", type=Path, required=True)
    parser.add_argument("--json", type=Path, help="where the scores go")
    parser.add_argument("--list", help="a language whose missing definitions are shown")
    args = parser.parse_args()
    if shutil.which("ctags") is None:
        sys.exit("ctags is missing: install universal-ctags")
    packages = tomllib.loads((HERE / "packages.toml").read_text("utf-8"))["package"]
    lock = tomllib.loads((REPOSITORY / "Cargo.lock").read_text("utf-8"))
    versions = {entry["name"]: entry["version"] for entry in lock["package"]}
    scores, missed, absent = [], False, []
    for language in ENDINGS:
        with tempfile.TemporaryDirectory() as temporary:
            workspace = Path(temporary, "sources")
            workspace.mkdir()
            names = []
            for package in (one for one in packages if one["language"] == language):
                unpacked = Path(temporary, package["name"].replace("/", "-"))
                unpacked.mkdir(exist_ok=True)
                try:
                    source = fetch(package, cargo_sources(), versions, unpacked)
                except Unavailable as error:
                    absent.append(str(error))
                    continue
                copy(package, source, workspace / package["name"].replace("/", "-"))
                names.append(f"{package['name']} {package.get('version') or versions[package['name']]}")
            if not names:
                continue
            symbols = symbols_of(args.hearth.resolve(), workspace, Path(temporary))
            found, reasons, missing = 0, Counter(), Counter()
            asked = Counter()
            for tag in tags_of(workspace, language):
                if is_found(tag, language, symbols):
                    found += 1
                    asked[tag["kind"]] += 1
                elif reason := left_out(tag, language):
                    reasons[reason] += 1
                else:
                    asked[tag["kind"]] += 1
                    missing[tag["kind"]] += 1
                    if args.list == language:
                        print(f"{tag['kind']:12} {tag['path']}:{tag['line']} {tag['name']} in {tag.get('scope')}")
        share = found / max(1, asked.total())
        missed |= share < REACHED
        scores.append(
            {
                "language": language,
                "packages": names,
                "asked": asked.total(),
                "found": round(share, 4),
                "missing": dict(sorted(missing.items())),
                "left_out": dict(sorted(reasons.items())),
            }
        )
        print(f"{language:12} {asked.total():6} definitions, {100 * share:6.2f} % found, missing {dict(missing)}")
        for reason, count in reasons.most_common():
            print(f"{'':12} {count:6} {reason}")
    if absent:
        sys.exit("not compared, and no scores written:\n" + "\n".join(absent))
    if args.json:
        version = subprocess.run(["ctags", "--version"], capture_output=True, text=True, check=True).stdout
        args.json.write_text(json.dumps({"peer": version.splitlines()[0], "languages": scores}, indent=2) + "\n", "utf-8")
    if missed:
        sys.exit(f"less than {100 * REACHED:.0f} % of a language's definitions were found")


if __name__ == "__main__":
    main()
