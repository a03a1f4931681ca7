// What the workbench tests share: one code-server and one browser for a test file, a fresh workspace and
// page for each test, and the words for what a person does. Every wait is for something that can be seen.

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { install } from "./install.mjs";
import { killGroup, placeExtension, repository, startWorkbench } from "./workbench.mjs";

const here = dirname(fileURLToPath(import.meta.url));
export const scriptedDaemon = join(here, "fixtures", "scripted-daemon.mjs");
const screenshots = resolve(process.env.HEARTH_SCREENSHOTS ?? join(repository, "target", "screenshots"));

export function realDaemon() {
  const program = process.env.HEARTH_SERVER;
  if (!program || !existsSync(program)) throw new Error("HEARTH_SERVER must name the built program `hearth`.");
  return resolve(program);
}

function chromiumProgram() {
  const candidates = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
  const found = candidates.find((path) => path && existsSync(path));
  if (!found) throw new Error("The workbench tests need Chromium: apt-get install chromium, or set CHROMIUM.");
  return found;
}

const settings = {
  "workbench.startupEditor": "none",
  "workbench.colorTheme": "Default Dark Modern",
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "editor.minimap.enabled": false,
  "editor.fontFamily": "DejaVu Sans Mono",
  "editor.quickSuggestions": { other: "off", comments: "off", strings: "off" },
  "editor.autoClosingBrackets": "never",
  "editor.acceptSuggestionOnEnter": "off",
  "extensions.ignoreRecommendations": true,
  "files.autoSave": "off",
  "git.enabled": false,
  "telemetry.telemetryLevel": "off",
  "update.mode": "none",
  "window.confirmBeforeClose": "never",
};

/** One code-server and one browser. `trust`: ask and stay restricted, instead of trusting everything. */
export async function openWorkbench({ program, environment = {}, trust = false, extensions: prepare }) {
  install();
  const home = mkdtempSync(join(realpathSync(tmpdir()), "hearth-workbench-"));
  const extensions = join(home, "extensions");
  mkdirSync(extensions);
  if (prepare) prepare(extensions);
  else placeExtension(extensions);
  mkdirSync(join(home, "data", "User"), { recursive: true });
  const trustSettings = trust
    ? { "security.workspace.trust.startupPrompt": "never", "security.workspace.trust.banner": "never" }
    : { "security.workspace.trust.enabled": false };
  const configure = (more) =>
    writeFileSync(join(home, "data", "User", "settings.json"), JSON.stringify({ ...settings, ...trustSettings, ...more }));
  configure({});
  const server = await startWorkbench({
    home: join(home, "data"),
    extensions,
    environment: { ...(program ? { HEARTH_SERVER: program } : {}), HEARTH_SCRIPTED_STATE: join(home, "scripted.json"), ...environment },
  });
  // A run that is ended from outside takes its server along.
  process.once("exit", () => killGroup(server.pid, "SIGKILL"));
  process.once("SIGTERM", () => process.exit(1));
  const browser = await chromium.launch({
    executablePath: chromiumProgram(),
    args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-gpu"],
  });
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: server.address });
  const pages = new Map();
  return {
    home,
    server,
    /** Sets these settings of the person's besides the usual ones. */
    configure,
    /** Opens a copy of `fixture` (a folder under fixtures/ or an absolute one) in a new page. */
    async open(fixture, { ready = true } = {}) {
      const source = resolve(here, "fixtures", fixture);
      const folder = join(mkdtempSync(join(home, "workspace-")), basename(source));
      cpSync(source, folder, { recursive: true });
      const page = await context.newPage();
      await page.goto(`${server.address}/?folder=${encodeURIComponent(folder)}`);
      const bench = new Workbench(page, folder, source);
      if (ready) {
        await bench.ready().catch(async (error) => {
          await bench.screenshot(`failed-${Date.now()}`);
          throw error;
        });
      }
      return bench;
    },
    /** Runs a test in an open workspace as it was in the beginning. A page is used again after a test
     * that passed; one that failed leaves a picture, and the next test gets a fresh page. */
    async use(fixture, run) {
      let bench = pages.get(fixture);
      pages.delete(fixture);
      if (bench) await bench.reset();
      else bench = await this.open(fixture);
      try {
        await run(bench);
      } catch (error) {
        await bench.screenshot(`failed-${Date.now()}`);
        await bench.close();
        throw error;
      }
      pages.set(fixture, bench);
    },
    async close() {
      await browser.close();
      await server.stop();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** How well the text of an element stands out from what is behind it, from 1 to 21, as WCAG 2.1 defines it. */
export function contrast(locator) {
  return locator.evaluate((element) => {
    const channels = (color) => [...color.matchAll(/[\d.]+/g)].map(Number);
    const luminance = ([red, green, blue]) => {
      const linear = [red, green, blue].map((value) => {
        const share = value / 255;
        return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    // What lies behind: the backgrounds of the element and of all around it, from the outermost.
    const behind = [];
    for (let at = element; at; at = at.parentElement) behind.unshift(channels(getComputedStyle(at).backgroundColor));
    const over = (below, [red, green, blue, alpha = 1]) =>
      [red, green, blue].map((value, channel) => value * alpha + below[channel] * (1 - alpha));
    const root = channels(getComputedStyle(document.documentElement).getPropertyValue("--vscode-sideBar-background"));
    const hex = getComputedStyle(document.documentElement).getPropertyValue("--vscode-sideBar-background").trim();
    const base = hex.startsWith("#") ? [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)) : root;
    const background = behind.reduce(over, base);
    const text = over(background, channels(getComputedStyle(element).color));
    const [dark, light] = [luminance(background), luminance(text)].toSorted((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  });
}

/** Processes whose command line holds `needle`, by Linux's own list. */
export function processesWith(needle) {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").includes(needle);
      } catch {
        return false;
      }
    })
    .map(Number);
}

export class Workbench {
  constructor(page, folder, source) {
    this.page = page;
    this.folder = folder;
    this.source = source;
    page.setDefaultTimeout(20_000);
  }

  /** Back to the beginning: no editors, no conversation, the files as they came. */
  async reset() {
    await this.page.keyboard.press("Escape");
    await this.command("Hearth: New Conversation");
    const tabs = (kind = "") => this.page.locator(`.tabs-container .tab${kind}`).count();
    await until(async () => {
      if ((await tabs()) === 0) return true;
      if ((await tabs(".dirty")) > 0) await this.command("File: Save All Files");
      else await this.command("View: Close All Editors");
      return false;
    }, "no editor is open", 60_000);
    cpSync(this.source, this.folder, { recursive: true, force: true });
  }

  path(name) {
    return join(this.folder, name);
  }

  onDisk(name) {
    return readFileSync(this.path(name), "utf8");
  }

  /** The status bar's item, once it says something that matches. */
  async status(pattern = /./, timeout = 30_000) {
    await this.statusItem().filter({ hasText: pattern }).waitFor({ timeout });
    return (await this.statusItem().innerText()).trim();
  }

  statusItem() {
    return this.page.locator(".statusbar-item[id$='hearth.status']").first();
  }

  /** Ready: the extension is up and its daemon answers. */
  async ready() {
    await this.page.locator(".monaco-workbench").waitFor({ timeout: 90_000 });
    await this.status(/^(?!.*(starting|restarting|stopped))./s, 90_000);
  }

  /** The field of the quick pick or input box on top of the window. */
  input() {
    return this.page.locator(".quick-input-widget input[type='text']:visible").first();
  }

  /** Presses a key that opens the quick input. A view that has just taken the focus may swallow it. */
  async quickInput(key) {
    const input = this.input();
    await until(async () => {
      await this.page.keyboard.press(key);
      return input.waitFor({ timeout: 2_000 }).then(
        () => true,
        () => false,
      );
    }, `the quick input after ${key}`);
    return input;
  }

  async command(name) {
    await this.pick("F1", `>${name}`, name);
  }

  /** Opens the quick input with `key`, types `text` and takes the entry named `entry`. A view that takes
   * the focus meanwhile closes the input, and then it starts again. */
  async pick(key, text, entry) {
    await until(async () => {
      const input = await this.quickInput(key);
      try {
        await input.fill(text, { timeout: 2_000 });
        // The best match is not always the first, and what stands behind the name is a key or a note.
        const exact = new RegExp(`^${entry.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}(…|,|$)`);
        const rows = this.page.locator(".quick-input-list .monaco-list-row").filter({ hasText: entry });
        await rows.first().waitFor({ timeout: 5_000 });
        const labels = await rows.evaluateAll((all) => all.map((row) => row.getAttribute("aria-label") ?? ""));
        const at = labels.findIndex((label) => exact.test(label));
        await rows.nth(Math.max(0, at)).click({ timeout: 2_000 });
        return true;
      } catch {
        await this.page.keyboard.press("Escape");
        return false;
      }
    }, `${entry} in the quick input`, 60_000);
  }

  async openFile(name) {
    await this.pick("Control+P", name, name.split("/").at(-1));
    await this.tab(name.split("/").at(-1)).waitFor();
    await this.page.locator(".editor-instance .monaco-editor.focused").first().waitFor();
  }

  tab(name) {
    return this.page.locator(".tabs-container .tab").filter({ hasText: name }).first();
  }

  editor() {
    return this.page.locator(".editor-instance .monaco-editor .view-lines").first();
  }

  /** Goes to a line and column, both counted from one. */
  async goTo(line, column = 1) {
    const input = await this.quickInput("Control+G");
    await input.fill(`:${line}:${column}`);
    await this.page.keyboard.press("Enter");
    await input.waitFor({ state: "hidden" });
  }

  /** Where the cursor is on its line, from 1. */
  async column() {
    const place = await this.page.locator("#status\\.editor\\.selection").innerText();
    return Number(/Col (\d+)/.exec(place)?.[1]);
  }

  async selectLines(first, last) {
    await this.goTo(first);
    for (let line = first; line < last; line += 1) await this.page.keyboard.press("Shift+ArrowDown");
    await this.page.keyboard.press("Shift+End");
  }

  /** The ghost text on show; it comes in pieces, coloured like code. */
  async ghost() {
    const pieces = this.page.locator("[class*='ghost-text-decoration'], .ghost-text");
    return (await pieces.allTextContents()).join("").replaceAll("\u00a0", " ");
  }

  async ghostIs(expected) {
    await until(async () => (expected instanceof RegExp ? expected.test(await this.ghost()) : (await this.ghost()) === expected), `the ghost text ${expected}`);
  }

  /** Waits for ghost text after typing. Right after the start the editor may not yet know that the daemon
   * completes, or the daemon not yet the workspace; then it is asked again, as a person would. */
  async ghostAppears(expected) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await until(async () => expected.test(await this.ghost()), `the ghost text ${expected}`, 3_000);
        return;
      } catch (error) {
        if (attempt === 20) throw error;
        await this.page.keyboard.press("Alt+\\");
      }
    }
  }

  /** Opens the menu of code actions until `title` is in it: language services answer when they are up. */
  async actions(title) {
    const menu = this.page.locator(".action-widget");
    await until(async () => {
      await this.page.keyboard.press("Control+.");
      const shown = menu.getByText(title, { exact: true });
      return shown.waitFor({ timeout: 3_000 }).then(
        () => true,
        () => this.page.keyboard.press("Escape").then(() => false),
      );
    }, `the action ${title}`, 60_000);
    return menu;
  }

  /** Chooses an entry of the open menu of code actions by keyboard, as its entries ignore foreign clicks. */
  async chooseAction(title) {
    const focused = this.page.locator(".action-widget .monaco-list-row.focused").filter({ hasText: title });
    await until(async () => {
      if ((await focused.count()) > 0) return true;
      await this.page.keyboard.press("ArrowDown");
      return false;
    }, `the focus on ${title}`);
    await this.page.keyboard.press("Enter");
  }

  /** The text of the visible lines, in order. */
  async text() {
    return await this.page
      .locator(".editor-instance .monaco-editor .view-lines .view-line")
      .evaluateAll((lines) =>
        lines
          .map((line) => ({ top: Number.parseFloat(line.style.top), text: line.textContent.replaceAll("\u00a0", " ") }))
          .sort((a, b) => a.top - b.top)
          .map((line) => line.text)
          .join("\n"),
      );
  }

  async save() {
    await this.page.keyboard.press("Control+S");
    await this.page.locator(".tab.active:not(.dirty)").waitFor();
  }

  /** The chat's document: a frame within a frame. */
  get chat() {
    return this.page.frameLocator("iframe.webview.ready").frameLocator("iframe#active-frame");
  }

  async openChat() {
    await this.command("Hearth: Open Chat");
    const field = this.chat.getByRole("textbox", { name: "Question" });
    await until(() => field.evaluate((element) => element === document.activeElement), "the focus in the chat");
    return this.chat;
  }

  async ask(question) {
    const field = this.chat.getByRole("textbox", { name: "Question" });
    await field.fill(question);
    await field.press("Enter");
  }

  /** The newest answer once it is in `state`. */
  async answer(state = "done") {
    const article = this.chat.locator(`article.answer.${state}`).last();
    await article.waitFor({ timeout: 120_000 });
    return article;
  }

  /** Whether the browser's storage, which outlives a reload, holds `text`. */
  async stored(text) {
    return await this.page.evaluate(async (wanted) => {
      const done = (request) =>
        new Promise((resolve, reject) => {
          request.onsuccess = () => resolve(request.result);
          request.onerror = () => reject(request.error);
        });
      for (const { name } of await indexedDB.databases()) {
        const database = await done(indexedDB.open(name));
        try {
          for (const store of database.objectStoreNames) {
            const values = await done(database.transaction(store).objectStore(store).getAll());
            if (values.some((value) => String(value).includes(wanted))) return true;
          }
        } finally {
          database.close();
        }
      }
      return false;
    }, text);
  }

  async screenshot(name) {
    mkdirSync(screenshots, { recursive: true });
    await this.page.screenshot({ path: join(screenshots, `${name}.png`) });
  }

  async close() {
    await this.page.close();
  }
}

/** Waits until `check` gives something true. */
export async function until(check, what, timeout = 20_000) {
  const end = Date.now() + timeout;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${timeout} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export function git(folder, ...args) {
  return execFileSync("git", ["-C", folder, ...args], { encoding: "utf8" });
}
