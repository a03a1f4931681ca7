// A workspace that the person has not trusted: completion and read-only chat, and nothing else.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openWorkbench, scriptedDaemon } from "./harness.mjs";

describe("restricted mode", () => {
  let workbench;
  before(async () => {
    workbench = await openWorkbench({ program: scriptedDaemon, trust: true });
  });
  after(() => workbench?.close());

  it("completes and answers, proposes no edit, and takes effect at once when trust is given", () =>
    workbench.use("small", async (bench) => {
      await bench.status(/restricted/);
      await bench.openFile("src/greet.ts");
      await bench.goTo(5);
      await bench.page.keyboard.type("const tot");
      await bench.ghostAppears(/^al = left \+ right;$/);
      await bench.openChat();
      await bench.chat.getByText("Restricted Mode").waitFor();
      await bench.ask("How does the stack work?");
      await bench.answer();
      await bench.screenshot("restricted");
      await bench.page.keyboard.press("F1");
      await bench.input().fill(">Hearth: Edit Selection");
      await bench.page.locator(".quick-input-list .monaco-list-row").first().waitFor();
      assert.equal(await bench.page.locator(".quick-input-list").getByText("Hearth: Edit Selection").count(), 0);
      await bench.page.keyboard.press("Escape");
      await bench.command("Workspaces: Manage Workspace Trust");
      await bench.page.locator(".workspace-trust-editor").getByRole("button", { name: "Trust", exact: true }).click();
      await bench.status(/^(?!.*restricted)/s);
      await bench.chat.getByText("Restricted Mode").waitFor({ state: "detached" });
    }));
});
