// Opens a folder in the VS Code workbench in the browser, with Hearth loaded.
//
// Usage: node serve.mjs FOLDER --server PROGRAM [--data FOLDER]
// Prints the address and a password made for this start; ends when its parent or the terminal ends.

import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { install } from "./install.mjs";
import { killGroup, placeExtension, startWorkbench } from "./workbench.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { server: { type: "string" }, data: { type: "string" } },
});

async function main() {
  const folder = resolve(positionals[0] ?? ".");
  if (!existsSync(folder) || !statSync(folder).isDirectory()) throw new Error(`${folder} is not a folder.`);
  const program = values.server ? resolve(values.server) : undefined;
  if (!program || !existsSync(program)) throw new Error("--server must name the built program `hearth`.");
  install();
  const data = values.data ? resolve(values.data) : join(dataFolder(), "workbench");
  const extensions = join(data, "extensions");
  mkdirSync(extensions, { recursive: true, mode: 0o700 });
  placeExtension(extensions, program);
  const password = randomBytes(18).toString("base64url");
  const workbench = await startWorkbench({ home: join(data, "home"), extensions, password });
  process.stdout.write(`\n  VS Code with Hearth is open on ${folder}\n\n`);
  process.stdout.write(`  address   ${workbench.address}/?folder=${encodeURIComponent(folder)}\n`);
  process.stdout.write(`  password  ${password}\n\n  Ctrl+C ends it.\n`);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => void end(workbench));
  process.once("exit", () => killGroup(workbench.pid, "SIGKILL"));
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) void end(workbench);
  }, 500).unref();
  const code = await workbench.ended;
  process.exitCode = typeof code === "number" ? code : 0;
}

/** Where Hearth keeps a person's data, as the daemon sees it. */
function dataFolder() {
  if (process.env.HEARTH_HOME) return join(resolve(process.env.HEARTH_HOME), "data");
  return join(process.env.XDG_DATA_HOME || join(homedir(), ".local", "share"), "hearth");
}

async function end(workbench) {
  await workbench.stop();
  process.exit(0);
}

main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
