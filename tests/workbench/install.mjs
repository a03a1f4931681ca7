// Installs the VS Code workbench for the browser (code-server) into a cache folder, from npm alone.
//
// Usage: node install.mjs [FOLDER]     (default: $HEARTH_WORKBENCH, else ~/.cache/hearth/workbench)
// A finished installation is recognised at once; an interrupted one goes on at the step that broke.
// The packages' own install scripts fetch binaries from places other than npm, so they are not run:
// the native modules are rebuilt here with Node's own headers, and ripgrep is the system's.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const CODE_SERVER_VERSION = "4.100.3";

export function workbenchFolder() {
  const named = process.env.HEARTH_WORKBENCH;
  return named ? resolve(named) : join(homedir(), ".cache", "hearth", "workbench");
}

export function codeServerEntry(folder = workbenchFolder()) {
  return join(folder, "node_modules", "code-server", "out", "node", "entry.js");
}

export function isInstalled(folder = workbenchFolder()) {
  return readStamp(folder) === stampText() && existsSync(codeServerEntry(folder));
}

// Native modules are tied to Node's module version, so it is part of the stamp.
function stampText() {
  return `code-server ${CODE_SERVER_VERSION} modules ${process.versions.modules} ${process.platform}-${process.arch}`;
}

function readStamp(folder) {
  const path = join(folder, "installed");
  return existsSync(path) ? readFileSync(path, "utf8").trim() : "";
}

function onPath(program) {
  for (const part of (process.env.PATH ?? "").split(delimiter)) {
    if (part && existsSync(join(part, program))) return join(part, program);
  }
  return undefined;
}

// What the recipe needs from the system, each with the Debian package that brings it.
export function missingSystemPackages() {
  const missing = [];
  if (!onPath("rg")) missing.push("ripgrep");
  if (!onPath("g++") || !onPath("make")) missing.push("build-essential");
  if (!onPath("python3")) missing.push("python3");
  const kerberos = ["/usr/include/gssapi/gssapi.h", "/usr/include/gssapi.h"];
  if (process.platform === "linux" && !kerberos.some((path) => existsSync(path))) missing.push("libkrb5-dev");
  return missing;
}

function npm(folder, args, extraEnvironment = {}) {
  const result = spawnSync("npm", [...args, "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: folder,
    env: { ...process.env, ...extraEnvironment },
    stdio: ["ignore", "pipe", "pipe"],
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  return { ok: result.status === 0, output: `${result.stdout ?? ""}${result.stderr ?? ""}` };
}

function mustNpm(folder, args, extraEnvironment) {
  const result = npm(folder, args, extraEnvironment);
  if (!result.ok) throw new Error(`npm ${args.join(" ")} failed in ${folder}:\n${result.output.slice(-4000)}`);
}

function link(target, path) {
  rmSync(path, { force: true, recursive: true });
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(target, path);
}

function hasNativeModule(folder) {
  const build = join(folder, "build", "Release");
  return existsSync(build) && readdirSync(build).some((name) => name.endsWith(".node"));
}

function steps(folder) {
  const server = join(folder, "node_modules", "code-server");
  const vscode = join(server, "lib", "vscode");
  // node-gyp would download the headers; the running Node's prefix has them.
  const nodedir = dirname(dirname(process.execPath));
  const headers = existsSync(join(nodedir, "include", "node", "node.h")) ? { npm_config_nodedir: nodedir } : {};
  // @parcel/watcher comes prebuilt in a package of its own.
  const native = ["@vscode/spdlog", "native-watchdog", "node-pty", "kerberos"];
  return [
    ["code-server", () => {
      writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "workbench", private: true }));
      mustNpm(folder, ["install", "--ignore-scripts", "--save-exact", `code-server@${CODE_SERVER_VERSION}`]);
    }],
    ["workbench packages", () => mustNpm(vscode, ["install", "--ignore-scripts", "--omit=dev"])],
    ["language services", () => mustNpm(join(vscode, "extensions"), ["install", "--ignore-scripts"])],
    ["native modules", () => {
      for (const name of native) {
        if (hasNativeModule(join(vscode, "node_modules", name))) continue;
        // node-pty's post-install fails after its module has been built: what counts is the module.
        const result = npm(vscode, ["rebuild", name], headers);
        if (!hasNativeModule(join(vscode, "node_modules", name))) {
          throw new Error(`${name} could not be built:\n${result.output.slice(-4000)}`);
        }
      }
      // npm lifts it to the top of the folder.
      mustNpm(folder, ["rebuild", "argon2"], headers);
    }],
    ["links", () => {
      link("node_modules", join(vscode, "node_modules.asar"));
      link(onPath("rg"), join(vscode, "node_modules", "@vscode", "ripgrep", "bin", "rg"));
    }],
  ];
}

export function install(folder = workbenchFolder(), say = (line) => process.stderr.write(`${line}\n`)) {
  if (isInstalled(folder)) return;
  const missing = missingSystemPackages();
  if (missing.length > 0) {
    throw new Error(`The browser workbench needs: ${missing.join(" ")}. Install with: apt-get install ${missing.join(" ")}`);
  }
  mkdirSync(folder, { recursive: true });
  const progress = join(folder, "progress");
  const stamp = stampText();
  const record = existsSync(progress) ? readFileSync(progress, "utf8").split("\n") : [];
  const done = new Set(record[0] === stamp ? record.slice(1) : []);
  const all = steps(folder);
  all.forEach(([name, run], index) => {
    const started = Date.now();
    if (done.has(name)) return;
    say(`workbench ${index + 1}/${all.length}: ${name} …`);
    run();
    done.add(name);
    writeFileSync(progress, [stamp, ...done].join("\n"));
    say(`workbench ${index + 1}/${all.length}: ${name} done in ${Math.round((Date.now() - started) / 1000)} s`);
  });
  writeFileSync(join(folder, "installed"), `${stamp}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2] ? resolve(process.argv[2]) : workbenchFolder();
  try {
    install(folder);
    process.stdout.write(`${codeServerEntry(folder)}\n`);
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
