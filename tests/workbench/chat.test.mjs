// The chat in the side bar, in front of a scripted daemon.

import assert from "node:assert/strict";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { contrast, openWorkbench, scriptedDaemon, until } from "./harness.mjs";

const field = (chat) => chat.getByRole("textbox", { name: "Question" });

describe("the chat", () => {
  let workbench;
  before(async () => {
    workbench = await openWorkbench({ program: scriptedDaemon });
  });
  after(() => workbench?.close());

  const inChat = (run) =>
    workbench.use("small", async (bench) => {
      await bench.openChat();
      await run(bench, bench.chat);
    });

  it("streams an answer, lists its sources, and a click opens the lines", () =>
    inChat(async (bench, chat) => {
      await bench.ask("How does the stack work?");
      const answer = await bench.answer();
      assert.match(await answer.locator(".prose").first().innerText(), /The stack is a class with push and pop/);
      await bench.screenshot("chat-answer");
      await answer.getByRole("button", { name: /stack\.ts/ }).click();
      await bench.tab("stack.ts").waitFor();
      await until(async () => /selected/.test(await bench.page.locator("#status\\.editor\\.selection").innerText()), "the cited lines selected");
    }));

  it("opens a source outside the workspace that the daemon names", () =>
    inChat(async (bench) => {
      const outside = mkdtempSync(join(realpathSync(tmpdir()), "hearth-docs-"));
      try {
        const guide = join(outside, "guide.md");
        writeFileSync(guide, "# Stacks\n\nA stack is a pile.\n\nIt grows.\n");
        await bench.ask(`How does the stack work, elsewhere ${guide} ?`);
        const answer = await bench.answer();
        await answer.getByRole("button", { name: /guide\.md/ }).click();
        await bench.tab("guide.md").waitFor();
      } finally {
        rmSync(outside, { recursive: true, force: true });
      }
    }));

  it("can be read in light, dark and high contrast themes", () =>
    inChat(async (bench, chat) => {
      const themes = {
        "vscode-light": "Default Light Modern",
        "vscode-high-contrast": "Default High Contrast",
        "vscode-high-contrast-light": "Default High Contrast Light",
        "vscode-dark": "Default Dark Modern",
      };
      for (const [kind, theme] of Object.entries(themes)) {
        workbench.configure({ "workbench.colorTheme": theme });
        await bench.page.reload();
        await bench.ready();
        await bench.openChat();
        await chat.locator(`body[data-vscode-theme-kind="${kind}"]`).waitFor();
        await bench.ask("How does the stack work?");
        const answer = await bench.answer();
        const parts = [answer.locator(".prose").first(), answer.getByRole("button", { name: /stack\.ts/ }).first(), field(chat)];
        for (const part of parts) {
          const seen = await contrast(part);
          assert.ok(seen >= 4.5, `${theme}: ${await part.innerText()}: contrast ${seen.toFixed(1)}`);
        }
        await bench.screenshot(`chat-${kind}`);
      }
    }));

  it("shows no markup of the model's: no image, no script, no foreign link target", () =>
    inChat(async (bench, chat) => {
      await bench.ask("How?");
      await bench.answer();
      assert.equal(await chat.locator("img").count(), 0);
      await chat.locator(".prose").getByText("<img src=x onerror=alert(1)>").waitFor();
      const policy = await chat.locator("meta[http-equiv='Content-Security-Policy']").getAttribute("content");
      assert.match(policy, /^default-src 'none'/);
      assert.doesNotMatch(policy, /unsafe|https?:\/\/(?!\S*vscode)/);
    }));

  it("mentions files, folders and symbols with @", () =>
    inChat(async (bench, chat) => {
      await field(chat).pressSequentially("What do @file gre");
      await chat.getByRole("option", { name: /greet\.ts/ }).first().waitFor();
      await bench.screenshot("chat-mention");
      await field(chat).press("Enter");
      await field(chat).pressSequentially("and @symbol Sta");
      await chat.getByRole("option", { name: /Stack/ }).first().waitFor();
      await field(chat).press("Tab");
      await field(chat).pressSequentially("in @folder sr");
      await chat.getByRole("option", { name: /src\// }).first().click();
      await field(chat).pressSequentially("do?");
      assert.equal(await field(chat).inputValue(), "What do @greet.ts and @Stack in @src/ do?");
      await field(chat).press("Enter");
      const answer = await bench.answer();
      await answer.getByText("You mentioned: src/greet.ts, src/stack.ts, src.").waitFor();
    }));

  it("attaches files that the person picks", () =>
    inChat(async (bench, chat) => {
      const chip = chat.locator(".composer .chip").filter({ hasText: "README.md" });
      const row = bench.page.locator(".quick-input-list .monaco-list-row").filter({ hasText: "README.md" }).first();
      // The dialog writes its folder into the field once it is up, over what was typed before.
      await until(async () => {
        await chat.getByRole("button", { name: "Attach files" }).click();
        try {
          const written = async () => (await bench.input().inputValue({ timeout: 5_000 })).endsWith("/");
          await until(written, "the dialog's folder", 5_000);
          await bench.input().fill(bench.path("README.md"));
          await row.waitFor({ timeout: 3_000 });
          await bench.page.keyboard.press("Enter");
          await chip.waitFor({ timeout: 5_000 });
          return true;
        } catch {
          await bench.page.keyboard.press("Escape");
          return false;
        }
      }, "the attached file", 60_000);
      await bench.ask("What is this?");
      const answer = await bench.answer();
      await answer.getByText("You mentioned: README.md.").waitFor();
    }));

  it("copies, inserts and applies a code block, the last as a diff", () =>
    inChat(async (bench, chat) => {
      await bench.openFile("src/greet.ts");
      await bench.openChat();
      await bench.ask("Make it polite");
      const answer = await bench.answer();
      await answer.getByRole("button", { name: "Copy", exact: true }).click();
      await until(
        async () => /const polite/.test(await bench.page.evaluate(() => navigator.clipboard.readText())),
        "the block on the clipboard",
      );
      await answer.getByRole("button", { name: "Apply" }).click();
      const accept = bench.page.locator(".codelens-decoration a").filter({ hasText: "Accept all" });
      await accept.waitFor();
      const text = await bench.text();
      assert.match(text, /return `Hello/, "the old function is still shown");
      assert.match(text, /const polite/);
      await bench.screenshot("chat-apply");
      await accept.click();
      await until(async () => !/return `Hello/.test(await bench.text()), "the function replaced");
      assert.match(await bench.text(), /farewell/);
      await bench.goTo(1);
      await answer.getByRole("button", { name: "Insert at cursor" }).click();
      await until(async () => (await bench.text()).split("const polite").length === 3, "the block inserted");
    }));

  it("stops, keeps what was written, and retries", () =>
    inChat(async (bench, chat) => {
      await bench.ask("endless please");
      await until(async () => /class/.test(await chat.locator("article.answer").last().innerText()), "the first words");
      await bench.screenshot("chat-streaming");
      await chat.getByRole("button", { name: "Stop" }).click();
      const half = await bench.answer("stopped");
      assert.match(await half.innerText(), /The stack/);
      await half.getByRole("button", { name: "Retry" }).click();
      await chat.locator("article.answer.streaming").waitFor();
      await field(chat).press("Escape");
      await bench.answer("stopped");
      assert.equal(await chat.locator("article.question").count(), 1);
    }));

  it("shows an error with the way out, and the next question works", () =>
    inChat(async (bench, chat) => {
      await bench.ask("fail");
      await (await bench.answer("failed")).getByRole("alert").filter({ hasText: "hearth models pull" }).waitFor();
      await bench.ask("How does it work?");
      await bench.answer("done");
      assert.equal(await chat.locator("article.question").count(), 2);
    }));

  it("has the conversation and the unsent text again after a reload", () =>
    inChat(async (bench, chat) => {
      await bench.ask("Remember the stack");
      await bench.answer();
      await field(chat).pressSequentially("half a thought");
      // The draft is on its way to the extension's storage, which is written a moment later.
      await until(() => bench.stored("half a thought"), "the draft stored");
      await bench.page.reload();
      await bench.ready();
      await bench.openChat();
      await chat.getByText("Remember the stack").waitFor();
      await bench.answer();
      assert.equal(await field(chat).inputValue(), "half a thought");
      await bench.screenshot("chat-reloaded");
    }));

  it("starts new conversations and goes back to old ones", () =>
    inChat(async (bench, chat) => {
      await bench.ask("The first conversation");
      await bench.answer();
      await bench.command("Hearth: New Conversation");
      await chat.getByText("Ask about this repository").waitFor();
      await bench.command("Hearth: Conversations");
      const row = bench.page.locator(".quick-input-list .monaco-list-row").filter({ hasText: "The first conversation" });
      await row.first().click();
      await chat.locator("article.question").filter({ hasText: "The first conversation" }).waitFor();
    }));

  it("outlives the daemon: the question fails clearly, the text stays, the next one works", () =>
    inChat(async (bench, chat) => {
      await bench.ask("crash now");
      await bench.answer("failed");
      await bench.ready();
      assert.equal(await chat.locator("article.question").innerText(), "crash now");
      await bench.ask("How does the stack work?");
      await bench.answer("done");
    }));
});
