// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { highlight, renderMarkdown } from "../webview/markdown";

function html(text: string): string {
  return renderMarkdown(text)
    .map((block) => (block.kind === "html" ? block.html : `[${block.language}|${block.code}]`))
    .join("");
}

describe("renderMarkdown", () => {
  it("renders prose and cuts out code blocks", () => {
    expect(html("Hello **you**\n\n```rust\nfn main() {}\n```\nend")).toBe(
      "<p>Hello <strong>you</strong></p>\n[rust|fn main() {}\n]<p>end</p>\n",
    );
  });

  it("shows a block that is still being written", () => {
    expect(html("a\n\n```ts\nlet x")).toBe("<p>a</p>\n[ts|let x]");
  });

  // Each of these would fetch something or run something if it came through.
  it.each([
    "![x](https://evil.example/a.png)",
    "![x][ref]\n\n[ref]: https://evil.example/a.png",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<svg onload=alert(1)>",
    "<style>@import 'https://evil.example/a.css'</style>",
    "[x](javascript:alert(1))",
    "[x](data:text/html,hi)",
    "<iframe src='https://evil.example'></iframe>",
    "[x](vbscript:x)",
    '<a href="x" onclick="alert(1)">x</a>',
  ])("lets nothing of %s through", (text) => {
    const holder = document.createElement("div");
    holder.innerHTML = html(text);
    expect(holder.querySelector("img,script,svg,style,iframe,link,object")).toBeNull();
    for (const element of holder.querySelectorAll("*")) {
      for (const { name, value } of element.attributes) {
        expect(name).not.toMatch(/^on|style|src/);
        expect(value).not.toMatch(/^(javascript|data|vbscript):/i);
      }
    }
  });
});

describe("highlight", () => {
  it("colours known languages and escapes unknown ones", () => {
    expect(highlight("fn main() {}", "rust")).toContain('<span class="hljs-keyword">fn</span>');
    expect(highlight("<b>&", "nonsense")).toBe("&lt;b&gt;&amp;");
  });
});
