import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.{ts,tsx}"],
    environment: "node",
  },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  resolve: {
    // The editor's own module exists only inside the editor.
    alias: { vscode: fileURLToPath(new URL("./test/vscode.ts", import.meta.url)) },
  },
});
