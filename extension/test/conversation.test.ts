import { describe, expect, it } from "vitest";
import { branch, Conversation, isAbsolute } from "../src/chat/conversation";
import { isToExtension } from "../src/chat/messages";
import type { StoredMessage } from "../src/protocol";

function stored(id: string, parentId: string | null, role = "user"): StoredMessage {
  return { id, parentId, role, text: id };
}

describe("Conversation", () => {
  function answered(): Conversation {
    const conversation = new Conversation();
    const { question, answer } = conversation.ask("Where is it?\nSecond line", []);
    conversation.partial(answer, { kind: "text", text: "Here" });
    conversation.finish(question, answer, {
      conversationId: "c",
      messageId: "m2",
      userMessageId: "m1",
      answer: "Here.",
      citations: [],
      model: null,
    });
    return conversation;
  }

  it("takes the ids and the whole answer from the daemon", () => {
    const conversation = answered();
    expect(conversation.id).toBe("c");
    expect(conversation.title).toBe("Where is it?");
    expect(conversation.lastId).toBe("m2");
    expect(conversation.messages.map(({ id, text, state }) => [id, text, state])).toEqual([
      ["m1", "Where is it?\nSecond line", "done"],
      ["m2", "Here.", "done"],
    ]);
  });

  it("retries under the message before the question", () => {
    const conversation = answered();
    const { question, answer } = conversation.ask("And then?", []);
    conversation.fail(answer, "failed", "gone");
    expect(question.id).toMatch(/^local-/);
    expect(conversation.takeBack(answer.id)).toEqual({ text: "And then?", mentions: [], parentId: "m2" });
    expect(conversation.messages).toHaveLength(2);
    expect(conversation.takeBack("m2")).toEqual({
      text: "Where is it?\nSecond line",
      mentions: [],
      parentId: null,
    });
  });

  it("cites nothing for an answer that did not come to its end", () => {
    const conversation = new Conversation();
    const { answer } = conversation.ask("?", []);
    const range = { start: { line: 0, character: 0 }, end: { line: 1, character: 0 } };
    conversation.partial(answer, { kind: "context", items: [{ path: "a", range }] });
    expect(answer.step).toBe("Reading 1 file");
    conversation.fail(answer, "stopped");
    expect(answer.citations).toEqual([]);
  });

  it("knows the files that its answers rest on", () => {
    const conversation = new Conversation();
    const { answer } = conversation.ask("@docs ?", []);
    const range = { start: { line: 0, character: 0 }, end: { line: 1, character: 0 } };
    conversation.partial(answer, { kind: "context", items: [{ path: "/usr/share/doc/a.md", range }] });
    expect(conversation.cites("/usr/share/doc/a.md")).toBe(true);
    expect(conversation.cites("/usr/share/doc/a.md/../../../../etc/passwd")).toBe(false);
    expect(conversation.cites("/etc/passwd")).toBe(false);
    conversation.clear();
    expect(conversation.cites("/usr/share/doc/a.md")).toBe(false);
  });
});

describe("isAbsolute", () => {
  it.each([
    ["/usr/share/doc/a.md", true],
    ["C:/docs/a.md", true],
    ["docs/a.md", false],
    ["a.md", false],
    ["c:a.md", false],
  ])("%s is %s", (path, expected) => {
    expect(isAbsolute(path)).toBe(expected);
  });
});

describe("adopt", () => {
  it("takes the ids of an answer that was stopped, and of no other", () => {
    const conversation = new Conversation();
    const { question, answer: half } = conversation.ask("q", []);
    expect(
      conversation.adopt("c", [stored("other", null), stored("a", "other", "assistant")], question, half),
    ).toBe(false);
    expect(conversation.adopt("c", [stored("q", null), stored("a", "q", "assistant")], question, half)).toBe(
      true,
    );
    expect([conversation.id, question.id, conversation.lastId]).toEqual(["c", "q", "a"]);
  });
});

describe("branch", () => {
  it("follows the newest message back to the root", () => {
    const messages = [
      stored("q", null),
      stored("a1", "q", "assistant"),
      stored("q2", null),
      stored("a2", "q2", "assistant"),
    ];
    expect(branch(messages).map((message) => message.id)).toEqual(["q2", "a2"]);
  });

  it("ends on a loop and keeps a list without parents as it is", () => {
    expect(branch([stored("a", "b"), stored("b", "a")])).toHaveLength(2);
    const flat = [
      { id: "x", role: "user", text: "" },
      { id: "y", role: "assistant", text: "" },
    ];
    expect(branch(flat)).toEqual(flat);
  });
});

describe("isToExtension", () => {
  it.each([
    [{ type: "ready" }, true],
    [{ type: "send", text: "x", mentions: [] }, true],
    [{ type: "send", text: 1, mentions: [] }, false],
    [{ type: "complete", serial: "1", query: "" }, false],
    [{ type: "open" }, false],
    [{ type: "eval", text: "x" }, false],
    ["ready", false],
    [null, false],
  ])("%j is %s", (message, expected) => {
    expect(isToExtension(message)).toBe(expected);
  });
});
