// Starts the VS Code workbench in the browser with the extension loaded. Used by `serve.mjs` for a
// person and by the tests; only the tests start it without a password.

import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { codeServerEntry } from "./install.mjs";

export const repository = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const extensionSource = join(repository, "extension");

export async function freePort() {
  const server = createServer();
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Puts the built extension into a folder of extensions. Its program is linked, not copied. */
export function placeExtension(extensions, program) {
  if (!existsSync(join(extensionSource, "dist", "extension.js"))) {
    throw new Error("The extension is not built: run `npm run build` in extension/.");
  }
  const { version } = JSON.parse(readFileSync(join(extensionSource, "package.json"), "utf8"));
  const target = join(extensions, `hearth.hearth-${version}`);
  rmSync(target, { recursive: true, force: true });
  // The list is made anew from the folders at the next start.
  rmSync(join(extensions, "extensions.json"), { force: true });
  mkdirSync(target, { recursive: true });
  for (const part of ["dist", "media", "package.json", "README.md"]) {
    cpSync(join(extensionSource, part), join(target, part), { recursive: true });
  }
  if (program) {
    mkdirSync(join(target, "server"));
    symlinkSync(program, join(target, "server", process.platform === "win32" ? "hearth.exe" : "hearth"));
  }
}

/**
 * Starts code-server on loopback and waits until it answers.
 * `home` holds its data; `extensions` its extensions; `password` undefined means none (tests only).
 */
export async function startWorkbench(options) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start(options);
    } catch (error) {
      // Its two processes give each other ten seconds, which a busy machine may exceed; and the port
      // that was free may have been taken meanwhile.
      if (attempt === 3) throw error;
    }
  }
}

async function start({ home, extensions, password, environment = {}, arguments: more = [], onLine = () => {} }) {
  const port = await freePort();
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const config = join(home, "config.yaml");
  writeFileSync(config, "{}\n", { mode: 0o600 });
  const child = spawn(
    process.execPath,
    [
      codeServerEntry(),
      "--config", config,
      "--bind-addr", `127.0.0.1:${port}`,
      "--auth", password === undefined ? "none" : "password",
      "--user-data-dir", home,
      "--extensions-dir", extensions,
      "--session-socket", join(home, "session.sock"),
      "--disable-telemetry",
      "--disable-update-check",
      "--disable-getting-started-override",
      ...more,
    ],
    {
      // A group of its own, so that all of it can be ended together.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...withoutCodeServer(process.env), ...environment, ...(password === undefined ? {} : { PASSWORD: password }) },
    },
  );
  const said = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      for (const line of text.trimEnd().split("\n")) {
        said.push(line);
        onLine(line);
      }
    });
  }
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const address = `http://127.0.0.1:${port}`;
  const stop = async () => {
    killGroup(child.pid, "SIGTERM");
    const timer = setTimeout(() => killGroup(child.pid, "SIGKILL"), 3_000);
    await ended;
    clearTimeout(timer);
    killGroup(child.pid, "SIGKILL");
  };
  const exit = ended.then((code) => {
    throw new Error(`code-server ended with ${code}:\n${said.slice(-20).join("\n")}`);
  });
  exit.catch(() => {});
  await Promise.race([exit, answers(`${address}/healthz`)]);
  return { address, stop, ended, pid: child.pid };
}

// A password or a bind address in the environment would override what is asked for here.
function withoutCodeServer(environment) {
  const { PASSWORD, HASHED_PASSWORD, PORT, CODE_SERVER_CONFIG, VSCODE_IPC_HOOK_CLI, ...rest } = environment;
  return rest;
}

async function answers(url) {
  for (;;) {
    try {
      if ((await fetch(url)).ok) return;
    } catch {
      // Not listening yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export function killGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended already.
  }
}
