// What passes between the extension and its webview. Both sides import this file.
import type { Citation, Mention, Range } from "../protocol";

export interface ChatMessage {
  /** Until the daemon has named it, an id of our own that starts with `local-`. */
  id: string;
  role: "user" | "assistant";
  text: string;
  citations: Citation[];
  mentions: Mention[];
  state: "streaming" | "done" | "stopped" | "failed";
  error?: string;
  /** What the daemon is at, while nothing has been written yet. */
  step?: string;
  model?: string | null;
}

export interface ChatState {
  title: string;
  messages: ChatMessage[];
  busy: boolean;
  /** Set while the daemon cannot be asked, in words for the person. */
  unavailable?: string;
  restricted: boolean;
}

export interface Suggestion {
  label: string;
  detail: string;
  mention: Mention;
}

/** From the webview. */
export type ToExtension =
  | { type: "ready" }
  | { type: "send"; text: string; mentions: Mention[] }
  | { type: "stop" }
  | { type: "retry"; id: string }
  | { type: "draft"; text: string; mentions: Mention[] }
  | { type: "open"; path: string; range?: Range }
  | { type: "openLink"; href: string }
  | { type: "copy"; text: string }
  | { type: "insert"; text: string }
  | { type: "apply"; text: string; language: string }
  | { type: "complete"; serial: number; query: string }
  | { type: "attach" }
  | { type: "new" }
  | { type: "list" };

/** To the webview. */
export type ToWebview =
  | { type: "state"; state: ChatState }
  | { type: "draft"; text: string; mentions: Mention[] }
  | { type: "delta"; id: string; text: string }
  | { type: "suggestions"; serial: number; items: Suggestion[] }
  | { type: "attached"; mentions: Mention[] }
  | { type: "focus" };

const incoming = new Set<string>([
  "ready",
  "send",
  "stop",
  "retry",
  "draft",
  "open",
  "openLink",
  "copy",
  "insert",
  "apply",
  "complete",
  "attach",
  "new",
  "list",
]);

/** The webview shows text that a model wrote, so what comes from it is checked before it is acted on. */
export function isToExtension(value: unknown): value is ToExtension {
  if (typeof value !== "object" || value === null) return false;
  const fields = value as Record<string, unknown>;
  const { type } = fields;
  if (typeof type !== "string" || !incoming.has(type)) return false;
  const text = (name: string) => typeof fields[name] === "string";
  switch (type) {
    case "send":
    case "draft":
      return text("text") && Array.isArray(fields.mentions);
    case "retry":
      return text("id");
    case "open":
      return text("path");
    case "openLink":
      return text("href");
    case "copy":
    case "insert":
      return text("text");
    case "apply":
      return text("text") && text("language");
    case "complete":
      return typeof fields.serial === "number" && text("query");
    default:
      return true;
  }
}
