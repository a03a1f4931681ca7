// Reviewed edits: Ctrl+K, code actions and code blocks all end in the same review, shown in the place of
// the document. A scripted daemon proposes, so that every run has the same hunks.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openWorkbench, scriptedDaemon, until } from "./harness.mjs";

/** Asks for an edit of lines 1 to 5 of `crlf.ts`; the script proposes hunks at lines 1, 2, 3 and 5. */
async function propose(bench, instruction = "note") {
  await bench.openFile("src/crlf.ts");
  await bench.selectLines(1, 5);
  await bench.page.keyboard.press("Control+K");
  const input = bench.input();
  await input.waitFor();
  await input.fill(instruction);
  await bench.page.keyboard.press("Enter");
}

// The heading is plain text, the actions are links.
const lens = (bench, text) => bench.page.locator(".codelens-decoration > *").filter({ hasText: text });

async function proposed(bench) {
  await lens(bench, "4 changes").first().waitFor();
}

async function reviewClosed(bench) {
  await lens(bench, "Accept").first().waitFor({ state: "detached" });
}

const original = "export const one = 1;\r\nexport const two = 2;\r\nexport const foo = one;\r\n\r\nexport const zoo = two;\r\n";

describe("an edit with an instruction", () => {
  let workbench;
  before(async () => {
    workbench = await openWorkbench({ program: scriptedDaemon });
  });
  after(() => workbench?.close());

  const inWorkspace = (run) => workbench.use("small", run);

  it("shows the proposal as a diff in place and writes nothing before it is accepted", () =>
    inWorkspace(async (bench) => {
      await propose(bench);
      await proposed(bench);
      const text = await bench.text();
      assert.match(text, /export const one = 1;\nexport const one = 1; \/\/ note/);
      assert.equal(bench.onDisk("src/crlf.ts"), original);
      assert.equal(await bench.page.locator(".tab.dirty").count(), 0);
      await bench.screenshot("edit-review");
      await bench.page.keyboard.press("Escape");
      await reviewClosed(bench);
      assert.doesNotMatch(await bench.text(), /note/);
    }));

  it("streams: lines appear while the rest is still being written, and Stop ends it", () =>
    inWorkspace(async (bench) => {
      await propose(bench, "endless");
      await until(async () => /one = 1; \/\/ endless/.test(await bench.text()), "the first hunk");
      assert.doesNotMatch(await bench.text(), /zoo = two; \/\/ endless/);
      await bench.screenshot("edit-streaming");
      await lens(bench, "Stop").first().click();
      await reviewClosed(bench);
      await until(async () => !/endless/.test(await bench.text()), "the document is back");
      assert.equal(bench.onDisk("src/crlf.ts"), original);
    }));

  it("accepts everything, and one undo restores the exact bytes", () =>
    inWorkspace(async (bench) => {
      await propose(bench);
      await proposed(bench);
      await lens(bench, "Accept all").first().click();
      await reviewClosed(bench);
      await until(async () => /zoo = two; \/\/ note/.test(await bench.text()), "the accepted text");
      await bench.save();
      assert.equal(bench.onDisk("src/crlf.ts"), original.replace(/(;)\r\n/g, "$1 // note\r\n"));
      await bench.page.keyboard.press("Control+Z");
      await until(async () => !/note/.test(await bench.text()), "the undone text");
      await bench.save();
      assert.equal(bench.onDisk("src/crlf.ts"), original);
    }));

  it("accepts one hunk and rejects the others, by key and by click", () =>
    inWorkspace(async (bench) => {
      await propose(bench);
      await proposed(bench);
      await bench.goTo(1);
      await bench.page.keyboard.press("Alt+N");
      await lens(bench, "3 of 4 changes left").first().waitFor();
      await lens(bench, /^\s*Accept\s*$/).first().click();
      await lens(bench, "2 of 4 changes left").first().waitFor();
      await bench.screenshot("edit-hunks");
      await lens(bench, "Reject all").first().click();
      await reviewClosed(bench);
      await until(async () => /two = 2; \/\/ note/.test(await bench.text()), "the accepted hunk");
      await bench.save();
      assert.equal(bench.onDisk("src/crlf.ts"), original.replace("two = 2;", "two = 2; // note"));
    }));

  it("takes a follow-up instruction", () =>
    inWorkspace(async (bench) => {
      await propose(bench);
      await proposed(bench);
      await lens(bench, "Follow up").first().click();
      const input = bench.input();
      await input.fill("again");
      await bench.page.keyboard.press("Enter");
      await until(async () => /zoo = two; \/\/ again/.test(await bench.text()), "the second proposal");
      await proposed(bench);
      await bench.page.keyboard.press("Control+Enter");
      await reviewClosed(bench);
      await until(async () => /one = 1; \/\/ again/.test(await bench.text()), "the accepted text");
    }));

  it("says why there is no proposal and keeps the instruction", () =>
    inWorkspace(async (bench) => {
      await propose(bench, "fail please");
      await bench.page.locator(".notification-toast").filter({ hasText: "does not parse" }).waitFor();
      assert.equal(bench.onDisk("src/crlf.ts"), original);
      await bench.openFile("src/crlf.ts");
      await bench.selectLines(1, 2);
      await bench.page.keyboard.press("Control+K");
      const input = bench.input();
      await input.waitFor();
      assert.equal(await input.inputValue(), "fail please");
      await bench.page.keyboard.press("Escape");
      await input.waitFor({ state: "hidden" });
    }));

  it("leaves the editor's own Ctrl+K chords alone when nothing is selected", () =>
    inWorkspace(async (bench) => {
      await bench.openFile("src/crlf.ts");
      await bench.goTo(1);
      await bench.page.keyboard.press("Control+K");
      await bench.page.keyboard.press("Control+C");
      await until(async () => /^\/\/ export const one/m.test(await bench.text()), "the line as a comment");
    }));

  it("offers a fix and an explanation for a diagnostic of the TypeScript service", () =>
    inWorkspace(async (bench) => {
      await bench.openFile("src/broken.ts");
      await bench.page.locator(".squiggly-error").first().waitFor({ timeout: 60_000 });
      await bench.goTo(4, 5);
      const menu = await bench.actions("Fix with Hearth");
      await menu.getByText("Explain with Hearth").waitFor();
      await bench.screenshot("fix-menu");
      await bench.chooseAction("Fix with Hearth");
      await lens(bench, "1 change").first().waitFor();
      await until(async () => /\/\/ fix: Type 'string' is not assignable/.test(await bench.text()), "the fix as a diff");
      assert.doesNotMatch(bench.onDisk("src/broken.ts"), /fix:/);
      await lens(bench, "Accept all").first().click();
      await reviewClosed(bench);
      await bench.page.locator(".tab.dirty").filter({ hasText: "broken.ts" }).waitFor();
    }));

  it("offers to explain, document, test and refactor a selection", () =>
    inWorkspace(async (bench) => {
      await bench.openFile("src/greet.ts");
      await bench.selectLines(2, 4);
      const menu = await bench.actions("Hearth: Explain");
      for (const title of ["Hearth: Document", "Hearth: Write a test", "Hearth: Refactor"]) {
        await menu.getByText(title).waitFor();
      }
      await bench.screenshot("selection-menu");
      await bench.chooseAction("Hearth: Explain");
      await bench.chat.getByText("Explain this code").waitFor();
      await bench.answer();
    }));
});
