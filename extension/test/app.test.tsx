// @vitest-environment jsdom
import { render } from "preact";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ChatMessage, ChatState, ToExtension, ToWebview } from "../src/chat/messages";

const posted: ToExtension[] = [];
vi.stubGlobal("acquireVsCodeApi", () => ({ postMessage: (message: ToExtension) => posted.push(message) }));
const { App } = await import("../webview/app");

const range = { start: { line: 4, character: 0 }, end: { line: 9, character: 0 } };

function answer(fields: Partial<ChatMessage> = {}): ChatMessage {
  return { id: "a", role: "assistant", text: "", citations: [], mentions: [], state: "streaming", ...fields };
}

function chat(fields: Partial<ChatState> = {}): ToWebview {
  return { type: "state", state: { title: "", messages: [], busy: false, restricted: false, ...fields } };
}

/** Sends a message as the extension does, and waits until it has been drawn. */
async function receive(message: ToWebview): Promise<void> {
  window.dispatchEvent(new MessageEvent("message", { data: message }));
  await drawn();
}

async function drawn(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => setTimeout(resolve, 0));
}

function find<E extends HTMLElement>(selector: string): E {
  const element = document.querySelector<E>(selector);
  if (!element) throw new Error(`${selector} is not there: ${document.body.innerHTML}`);
  return element;
}

function type(text: string): void {
  const field = find<HTMLTextAreaElement>("textarea");
  field.value = text;
  field.setSelectionRange(text.length, text.length);
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

function press(key: string): void {
  find("textarea").dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
}

beforeEach(async () => {
  posted.length = 0;
  document.body.innerHTML = '<div id="root"></div>';
  render(<App />, find("#root"));
  await vi.waitFor(() => expect(posted).toContainEqual({ type: "ready" }));
});

afterEach(() => render(null, find("#root")));

describe("the chat", () => {
  it("streams text and shows sources when it is done", async () => {
    await receive(chat({ busy: true, messages: [answer({ step: "Reading 2 files" })] }));
    expect(find("article.answer").textContent).toContain("Reading 2 files");
    await receive({ type: "delta", id: "a", text: "It **is** here" });
    expect(find(".prose").innerHTML).toBe("<p>It <strong>is</strong> here</p>\n");
    const citations = [{ path: "src/a.rs", range, quote: "fn a" }];
    await receive(chat({ messages: [answer({ state: "done", text: "Here.", citations, model: null })] }));
    expect(find(".citation").textContent).toBe("a.rs:5–9src");
    expect(find(".model").textContent).toBe("from the index, no model");
    find(".citation").click();
    expect(posted).toContainEqual({ type: "open", path: "src/a.rs", range });
  });

  it("sends with Enter and keeps the text while it cannot be sent", async () => {
    await receive(chat({ unavailable: "Hearth is restarting." }));
    type("Why?");
    await drawn();
    press("Enter");
    await drawn();
    expect(find<HTMLTextAreaElement>("textarea").value).toBe("Why?");
    await receive(chat());
    press("Enter");
    await drawn();
    expect(posted).toContainEqual({ type: "send", text: "Why?", mentions: [] });
    expect(find<HTMLTextAreaElement>("textarea").value).toBe("");
  });

  it("completes a mention with the keyboard and ignores late suggestions", async () => {
    await receive(chat());
    type("see @gr");
    await drawn();
    const asked = posted.findLast((message) => message.type === "complete");
    const serial = asked?.type === "complete" ? asked.serial : -1;
    const mention = { kind: "file" as const, path: "src/greet.ts" };
    const items = [{ label: "greet.ts", detail: "src/greet.ts", mention }];
    await receive({ type: "suggestions", serial: serial - 1, items });
    expect(document.querySelector("[role=option]")).toBeNull();
    await receive({ type: "suggestions", serial, items });
    expect(find("[role=option]").getAttribute("aria-selected")).toBe("true");
    press("Enter");
    await drawn();
    expect(find<HTMLTextAreaElement>("textarea").value).toBe("see @greet.ts ");
    expect(find(".composer .chip").textContent).toContain("greet.ts");
  });

  it("acts on code blocks", async () => {
    await receive(chat({ messages: [answer({ state: "done", text: "```ts\nlet a;\n```" })] }));
    find("[aria-label='Apply']").click();
    find("[aria-label='Insert at cursor']").click();
    find("figure [aria-label='Copy']").click();
    const text = "let a;\n";
    expect(posted.slice(-3)).toEqual([
      { type: "apply", text, language: "ts" },
      { type: "insert", text },
      { type: "copy", text },
    ]);
  });

  it("stops while busy and offers to retry the last answer only", async () => {
    await receive(chat({ busy: true, messages: [answer()] }));
    find("[aria-label='Stop']").click();
    expect(posted).toContainEqual({ type: "stop" });
    await receive(
      chat({
        messages: [
          answer({ id: "1", state: "done" }),
          answer({ id: "2", state: "failed", error: "No model" }),
        ],
      }),
    );
    expect(document.querySelectorAll("[aria-label='Retry']")).toHaveLength(1);
    expect(find("[role=alert]").textContent).toBe("No model");
    find("[aria-label='Retry']").click();
    expect(posted).toContainEqual({ type: "retry", id: "2" });
  });

  it("hands links to the extension", async () => {
    await receive(chat({ messages: [answer({ state: "done", text: "[here](src/a.rs#L4)" })] }));
    find(".prose a").click();
    expect(posted).toContainEqual({ type: "openLink", href: "src/a.rs#L4" });
  });

  it("reads a streamed answer out sentence by sentence", async () => {
    await receive(chat({ busy: true, messages: [answer()] }));
    await receive({ type: "delta", id: "a", text: "First one. And th" });
    await vi.waitFor(() => expect(find(".sr-only").textContent).toBe("First one."));
    await receive({ type: "delta", id: "a", text: "en. More" });
    await vi.waitFor(() => expect(find(".sr-only").textContent?.trim()).toBe("And then."));
  });
});
