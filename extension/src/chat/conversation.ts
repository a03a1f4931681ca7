import type { ChatPartial, ChatResult, Citation, Mention, StoredMessage } from "../protocol";
import type { ChatMessage } from "./messages";

/** The conversation on show: pure state, changed by what the daemon sends. */
export class Conversation {
  id: string | undefined;
  title = "New conversation";
  messages: ChatMessage[] = [];
  private serial = 0;

  /** The message that a new question hangs under. */
  get lastId(): string | undefined {
    return this.messages.findLast((message) => !isLocal(message.id))?.id;
  }

  ask(text: string, mentions: Mention[]): { question: ChatMessage; answer: ChatMessage } {
    const question = this.add({ role: "user", text, mentions, state: "done" });
    const answer = this.add({ role: "assistant", text: "", mentions: [], state: "streaming" });
    if (this.messages.length === 2) this.title = firstLine(text);
    return { question, answer };
  }

  /** Takes back the question that `answerId` answers, with everything after it. Gives what to ask again. */
  takeBack(answerId: string): { text: string; mentions: Mention[]; parentId: string | null } | undefined {
    const at = this.messages.findIndex((message) => message.id === answerId);
    const questionAt = this.messages.findLastIndex(
      (message, index) => index <= at && message.role === "user",
    );
    const question = this.messages[questionAt];
    if (!question) return undefined;
    this.messages = this.messages.slice(0, questionAt);
    return { text: question.text, mentions: question.mentions, parentId: this.lastId ?? null };
  }

  partial(answer: ChatMessage, partial: ChatPartial): void {
    switch (partial.kind) {
      case "text":
        answer.text += partial.text;
        break;
      case "context":
        answer.citations = partial.items;
        answer.step = `Reading ${plural(distinctFiles(partial.items), "file")}`;
        break;
      case "step":
        answer.step = partial.title;
        break;
    }
  }

  finish(question: ChatMessage, answer: ChatMessage, result: ChatResult): void {
    this.id = result.conversationId;
    if (result.userMessageId) question.id = result.userMessageId;
    answer.id = result.messageId;
    answer.text = result.answer;
    answer.citations = result.citations;
    answer.model = result.model;
    answer.state = "done";
    delete answer.step;
  }

  fail(answer: ChatMessage, state: "stopped" | "failed", error?: string): void {
    answer.state = state;
    // What was read is not what a half answer rests on.
    answer.citations = [];
    delete answer.step;
    if (error) answer.error = error;
  }

  /** Takes the ids of the last exchange that was kept, if it is this one. */
  adopt(id: string, stored: StoredMessage[], question: ChatMessage, answer: ChatMessage): boolean {
    const [asked, answered] = branch(stored).slice(-2);
    if (asked?.role !== "user" || asked.text !== question.text || !answered) return false;
    this.id = id;
    question.id = asked.id;
    answer.id = answered.id;
    return true;
  }

  restore(id: string, title: string, stored: StoredMessage[]): void {
    this.id = id;
    this.title = title;
    this.messages = branch(stored).map((message) => ({
      id: message.id,
      role: message.role === "user" ? "user" : "assistant",
      text: message.text,
      citations: message.citations ?? [],
      mentions: [],
      state: message.state === "stopped" || message.state === "failed" ? message.state : "done",
      model: message.model ?? null,
    }));
  }

  /** Whether an answer on show rests on this file. */
  cites(path: string): boolean {
    return this.messages.some((message) => message.citations.some((citation) => citation.path === path));
  }

  clear(): void {
    this.id = undefined;
    this.title = "New conversation";
    this.messages = [];
  }

  private add(fields: Pick<ChatMessage, "role" | "text" | "mentions" | "state">): ChatMessage {
    this.serial += 1;
    const message: ChatMessage = { id: `local-${this.serial}`, citations: [], ...fields };
    this.messages.push(message);
    return message;
  }
}

export function isLocal(id: string): boolean {
  return id.startsWith("local-");
}

/** The newest branch of the tree of messages: a retried question leaves its first answer behind. */
export function branch(stored: StoredMessage[]): StoredMessage[] {
  const byId = new Map(stored.map((message) => [message.id, message]));
  const path: StoredMessage[] = [];
  let message = stored.at(-1);
  while (message && !path.includes(message)) {
    path.unshift(message);
    const parent: string | null | undefined = message.parentId;
    if (parent === undefined) return stored;
    message = parent === null ? undefined : byId.get(parent);
  }
  return path;
}

/** Whether a path of a citation leads out of the workspace: those in it are relative. */
export function isAbsolute(path: string): boolean {
  return /^(\/|[a-z]:\/)/i.test(path);
}

export function distinctFiles(citations: Citation[]): number {
  return new Set(citations.map((citation) => citation.path)).size;
}

export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function firstLine(text: string): string {
  const line = text.trim().split("\n", 1)[0] ?? "";
  return line.length > 60 ? `${line.slice(0, 59)}…` : line;
}
