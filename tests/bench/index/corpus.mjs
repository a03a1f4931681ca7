// What is indexed: the sources of the crates that Cargo.lock pins, as cargo keeps them, so that anyone can
// repeat a figure on the same bytes.
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, extname, join } from "node:path";

const CODE = new Set(".rs .py .js .ts .tsx .go .java .c .h .cc .cpp .hpp .cs .rb .php .sh .md .toml .json .yaml .yml".split(" "));
const LARGEST = 512 * 1024;
/** Bindings and generated tables: megabytes that nobody wrote. */
const GENERATED = /^(windows|winapi|web-sys|js-sys|libsqlite3-sys|linux-raw-sys|aws-lc|encoding_rs|unicode|tree-sitter-)/;

/** Folders of the pinned crates in cargo's source cache, by name. */
function pinnedCrates(lock) {
  const sources = join(process.env.CARGO_HOME ?? join(homedir(), ".cargo"), "registry/src");
  const registries = existsSync(sources) ? readdirSync(sources).map((name) => join(sources, name)) : [];
  const pinned = [...readFileSync(lock, "utf8").matchAll(/name = "([^"]+)"\nversion = "([^"]+)"\nsource/g)];
  const crates = pinned.map(([, name, version]) => `${name}-${version}`).filter((name) => !GENERATED.test(name));
  const found = crates.map((name) => registries.map((registry) => join(registry, name)).find(existsSync));
  const missing = crates.filter((_, index) => !found[index]);
  if (found.every((folder) => !folder)) throw new Error("no source of a pinned crate is here; run `cargo fetch`");
  return { folders: found.filter(Boolean).sort(), missing: missing.length };
}

function* codeFiles(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* codeFiles(path);
    else if (entry.isFile() && CODE.has(extname(entry.name))) yield path;
  }
}

/**
 * Fills `folder` until `enough(size)` says so, and returns the size: `{files, lines, bytes}`. When the sources are
 * at their end they are taken again under another name. A folder that was filled before is left alone.
 */
export function fillCorpus(folder, lock, enough) {
  const stamp = `${folder}.json`;
  if (existsSync(stamp)) return JSON.parse(readFileSync(stamp, "utf8"));
  rmSync(folder, { recursive: true, force: true });
  const { folders, missing } = pinnedCrates(lock);
  const size = { files: 0, lines: 0, bytes: 0, copies: 1, missing };
  for (;;) {
    for (const source of folders) {
      for (const path of codeFiles(source)) {
        if (enough(size)) {
          writeFileSync(stamp, JSON.stringify(size));
          return size;
        }
        const text = readFileSync(path);
        if (text.length > LARGEST || text.includes(0)) continue;
        const target = join(folder, `part-${size.copies}`, path.slice(dirname(source).length));
        mkdirSync(dirname(target), { recursive: true });
        copyFileSync(path, target);
        size.files += 1;
        size.bytes += text.length;
        for (const byte of text) if (byte === 10) size.lines += 1;
      }
    }
    size.copies += 1;
  }
}
