// Ghost text, the status bar and its menu, in front of a scripted daemon.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openWorkbench, scriptedDaemon, until } from "./harness.mjs";

describe("ghost text and the status bar", () => {
  let workbench;
  before(async () => {
    workbench = await openWorkbench({ program: scriptedDaemon });
  });
  after(() => workbench?.close());

  const inFile = (run) =>
    workbench.use("small", async (bench) => {
      await bench.openFile("src/greet.ts");
      await bench.goTo(5);
      await run(bench);
    });

  /** Types the start of the line that the script completes, until the rest is shown. */
  async function typed(bench, start = "const tot") {
    await bench.page.keyboard.type(start);
    await bench.ghostAppears(/^al = left \+ right;$/);
  }

  it("shows ghost text while typing and Tab takes it", () =>
    inFile(async (bench) => {
      await typed(bench);
      await bench.screenshot("ghost-text");
      await bench.page.keyboard.press("Tab");
      await until(async () => /const total = left \+ right;/.test(await bench.text()), "the accepted text");
      assert.equal(await bench.ghost(), "");
    }));

  it("lets ghost text follow what is typed along it and vanish when something else is typed", () =>
    inFile(async (bench) => {
      await typed(bench);
      await bench.page.keyboard.type("al =");
      await bench.ghostIs(" left + right;");
      await bench.page.keyboard.type(" x");
      await bench.ghostIs("");
      assert.match(await bench.text(), /const total = x$/m);
    }));

  it("dismisses ghost text with Escape", () =>
    inFile(async (bench) => {
      await typed(bench);
      await bench.page.keyboard.press("Escape");
      await bench.ghostIs("");
      assert.match(await bench.text(), /const tot$/m);
    }));

  it("says why there is no suggestion", () =>
    inFile(async (bench) => {
      await bench.command("Hearth: Why No Suggestion Here?");
      await bench.page.locator(".quick-input-list").getByText("The cursor stands inside a word.").waitFor();
      await bench.page.locator(".quick-input-list").getByText("instant").waitFor();
      await bench.screenshot("why-no-suggestion");
      await bench.page.keyboard.press("Escape");
    }));
  it("searches while one types, and says when nothing fits", () =>
    workbench.use("small", async (bench) => {
      const input = await bench.quickInput("Control+Alt+S");
      const rows = bench.page.locator(".quick-input-list .monaco-list-row");
      await input.fill("where is a stack");
      await rows.filter({ hasText: "src/stack.ts:1" }).waitFor();
      await input.fill("a parser");
      await rows.filter({ hasText: "Nothing in the workspace fits." }).waitFor();
      await input.fill("stack");
      await rows.filter({ hasText: "src/stack.ts:1" }).waitFor();
      await bench.page.keyboard.press("Enter");
      await bench.tab("stack.ts").waitFor();
    }));

  it("has a status bar item that names the model, and whose menu pauses the index", () =>
    workbench.use("small", async (bench) => {
      assert.match(await bench.status(), /scripted-135m/);
      await bench.statusItem().click();
      await bench.page.locator(".quick-input-list").getByText("Pause Indexing").waitFor();
      await bench.screenshot("status-menu");
      await bench.page.locator(".quick-input-list").getByText("Pause Indexing").click();
      await bench.status(/index paused/);
      await bench.screenshot("status-paused");
      await bench.command("Hearth: Resume Indexing");
      await bench.status(/^(?!.*paused)/s);
    }));

  it("shows in the status bar that an answer is being written", () =>
    workbench.use("small", async (bench) => {
      await bench.openChat();
      await bench.ask("endless please");
      await bench.status(/thinking/);
      await bench.chat.getByRole("button", { name: "Stop" }).click();
      await bench.answer("stopped");
      await bench.status(/^(?!.*thinking)/s);
    }));
});

describe("a program that cannot be started", () => {
  let workbench;
  before(async () => {
    workbench = await openWorkbench({ program: "/nonexistent/hearth" });
  });
  after(() => workbench?.close());

  it("is reported, with the draft kept", async () => {
    const bench = await workbench.open("small", { ready: false });
    try {
      await bench.status(/stopped/);
      await bench.openChat();
      const field = bench.chat.getByRole("textbox", { name: "Question" });
      await field.fill("do not lose me");
      await field.press("Enter");
      await bench.chat.locator(".banner").filter({ hasText: "is not a program that can be started" }).waitFor();
      assert.equal(await field.inputValue(), "do not lose me");
      await bench.screenshot("status-stopped");
    } finally {
      await bench.close();
    }
  });
});
