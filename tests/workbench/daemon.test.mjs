// The real daemon with the real default models, on a repository that nobody here wrote. What a small
// model says differs, so these tests look at what must hold whatever it says.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { openWorkbench, processesWith, realDaemon, until } from "./harness.mjs";
import { codeServerEntry } from "./install.mjs";
import { repository } from "./workbench.mjs";

/** The sources of a crate that the build has unpacked anyway. */
function unpacked(crate) {
  const registry = join(process.env.CARGO_HOME ?? join(homedir(), ".cargo"), "registry", "src");
  for (const index of existsSync(registry) ? readdirSync(registry) : []) {
    const found = readdirSync(join(registry, index)).find((name) => new RegExp(`^${crate}-\\d`).test(name));
    if (found) return join(registry, index, found);
  }
  throw new Error(`${crate} is not among cargo's unpacked sources: run cargo fetch.`);
}

/** A home of its own for the daemon, with the models that are installed. */
function daemonHome(folder) {
  const home = join(folder, "hearth");
  mkdirSync(join(home, "data"), { recursive: true, mode: 0o700 });
  const data = process.env.HEARTH_HOME
    ? join(process.env.HEARTH_HOME, "data")
    : join(process.env.XDG_DATA_HOME || join(homedir(), ".local", "share"), "hearth");
  const models = join(data, "models");
  // Linked, because a copy of a model counts as changed after it was verified.
  if (existsSync(models)) symlinkSync(models, join(home, "data", "models"));
  return home;
}

describe("the real daemon", () => {
  const program = realDaemon();
  const scratch = mkdtempSync(join(realpathSync(tmpdir()), "hearth-real-"));
  let workbench;
  before(async () => {
    const tantivy = unpacked("tantivy");
    cpSync(tantivy, join(scratch, "tantivy"), { recursive: true });
    workbench = await openWorkbench({ program, environment: { HEARTH_HOME: daemonHome(scratch) } });
  });
  after(async () => {
    await workbench?.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  const inTantivy = (run) => workbench.use(join(scratch, "tantivy"), run);

  it("indexes and says so in the status bar", () =>
    inTantivy(async (bench) => {
      await bench.status(/^(?!.*indexing)/s, 120_000);
      await bench.screenshot("real-status");
    }));

  it("shows ghost text from the workspace's own code, and Tab takes it", () =>
    inTantivy(async (bench) => {
      await bench.status(/^(?!.*indexing)/s, 120_000);
      await bench.openFile("src/collector/count_collector.rs");
      await bench.goTo(1);
      await bench.page.keyboard.press("Enter");
      await bench.page.keyboard.press("ArrowUp");
      await bench.page.keyboard.type("use crate::collector::", { delay: 20 });
      await bench.ghostAppears(/./);
      await bench.screenshot("real-ghost-text");
      await bench.page.keyboard.press("Tab");
      await until(async () => (await bench.column()) > "use crate::collector::".length + 1, "the accepted text");
    }));

  it("finds code by what it does while the question is typed, and opens it", () =>
    inTantivy(async (bench) => {
      await bench.status(/^(?!.*indexing)/s, 120_000);
      const input = await bench.quickInput("Control+Alt+S");
      await input.fill("a collector that counts the documents");
      const rows = bench.page.locator(".quick-input-list .monaco-list-row");
      const wanted = rows.filter({ hasText: "count_collector.rs" }).first();
      await wanted.waitFor();
      await bench.screenshot("real-search");
      await wanted.click();
      await bench.tab("count_collector.rs").waitFor();
    }));

  it("answers a question with sources that open", () =>
    inTantivy(async (bench) => {
      await bench.status(/^(?!.*indexing)/s, 120_000);
      await bench.openChat();
      await bench.ask("How does the count collector count documents?");
      const answer = await bench.answer("done");
      await bench.screenshot("real-chat");
      const sources = await answer.locator(".citation .file").allInnerTexts();
      assert.ok(sources.some((path) => path.includes("count_collector")), `cited: ${sources.join(", ")}`);
      await answer.locator(".citation").filter({ hasText: "count_collector" }).first().click();
      await bench.tab("count_collector.rs").waitFor();
    }));

  it("proposes an edit or says honestly why not, and writes nothing by itself", () =>
    inTantivy(async (bench) => {
      const file = "src/collector/count_collector.rs";
      const bytes = bench.onDisk(file);
      await bench.openFile(file);
      const line = bytes.split("\n").findIndex((text) => /fn /.test(text)) + 1;
      await bench.selectLines(line, line + 2);
      await bench.page.keyboard.press("Control+K");
      await bench.input().waitFor();
      await bench.input().fill("add a comment that explains the function");
      await bench.page.keyboard.press("Enter");
      const review = bench.page.locator(".codelens-decoration a").filter({ hasText: "Accept all" });
      const refusal = bench.page.locator(".notification-toast");
      await review.or(refusal).first().waitFor({ timeout: 120_000 });
      await bench.screenshot("real-edit");
      assert.equal(bench.onDisk(file), bytes);
      if (await review.isVisible()) await bench.page.keyboard.press("Escape");
      await until(async () => (await bench.page.locator(".tabs-container .tab").count()) === 1, "the review is closed");
    }));

  it("comes back after its process is killed, and the text that was typed is still there", () =>
    inTantivy(async (bench) => {
      await bench.openChat();
      const field = bench.chat.getByRole("textbox", { name: "Question" });
      await field.fill("What is a");
      for (const pid of processesWith(`${program} lsp`)) process.kill(pid, "SIGKILL");
      await bench.status(/restarting|starting/);
      await bench.ready();
      assert.equal(await field.inputValue(), "What is a");
      await field.fill("What is a segment?");
      await field.press("Enter");
      await bench.answer("done");
    }));

  it("survives the death of a model's process", () =>
    inTantivy(async (bench) => {
      await bench.openChat();
      await bench.ask("What does a tokenizer do?");
      await bench.answer("done");
      for (const pid of processesWith(`${program} worker`)) process.kill(pid, "SIGKILL");
      await bench.ask("And what is a fast field?");
      await bench.answer("done");
      await bench.status(/^(?!.*(restarting|stopped))/s);
    }));

  it("leaves no process behind when the window closes", async () => {
    const bench = await workbench.open(join(scratch, "tantivy"));
    const children = () => processesWith(`${program} lsp`);
    assert.notEqual(children().length, 0);
    await bench.close();
    await workbench.server.stop();
    await until(() => children().length === 0 && processesWith(`${program} worker`).length === 0, "no daemon is left", 60_000);
  });
});

describe("the packaged extension", () => {
  const scratch = mkdtempSync(join(realpathSync(tmpdir()), "hearth-package-"));
  let workbench;
  after(async () => {
    await workbench?.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  it("brings its program along and works when it is installed", async () => {
    const source = join(repository, "extension");
    const folder = join(scratch, "extension");
    mkdirSync(join(folder, "server"), { recursive: true });
    for (const part of ["dist", "media", "README.md", ".vscodeignore"]) cpSync(join(source, part), join(folder, part), { recursive: true });
    cpSync(realDaemon(), join(folder, "server", "hearth"), { dereference: true });
    const manifest = JSON.parse(readFileSync(join(source, "package.json"), "utf8"));
    // It is built already.
    delete manifest.scripts["vscode:prepublish"];
    writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
    const vsix = join(scratch, "hearth.vsix");
    const target = `${process.platform}-${process.arch}`;
    const vsce = join(source, "node_modules", "@vscode", "vsce", "vsce");
    // Looking for secrets in a program of this size takes minutes.
    const args = ["package", "--target", target, "--no-dependencies", "--allow-package-all-secrets", "-o", vsix];
    execFileSync(process.execPath, [vsce, ...args], { cwd: folder, stdio: "pipe" });
    workbench = await openWorkbench({
      environment: { HEARTH_HOME: daemonHome(scratch) },
      extensions: (extensions) => {
        const args = ["--extensions-dir", extensions, "--user-data-dir", join(scratch, "data"), "--install-extension", vsix];
        execFileSync(process.execPath, [codeServerEntry(), ...args], { stdio: "pipe" });
      },
    });
    await workbench.use("small", async (bench) => {
      await bench.openChat();
      await bench.ask("Where is the stack?");
      const answer = await bench.answer("done");
      await answer.locator(".citation").filter({ hasText: "stack.ts" }).first().waitFor();
    });
  });
});
