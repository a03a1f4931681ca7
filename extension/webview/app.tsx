import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { ChatMessage, ChatState, Suggestion, ToWebview } from "../src/chat/messages";
import type { Mention } from "../src/protocol";
import { Composer } from "./composer";
import { post } from "./host";
import { withMention } from "./mention";
import { Message } from "./message";

const nothing: ChatState = { title: "", messages: [], busy: false, restricted: false };

export function App() {
  const [state, setState] = useState<ChatState>(nothing);
  const [draft, setDraft] = useState<{ text: string; mentions: Mention[] }>({ text: "", mentions: [] });
  const [suggestions, setSuggestions] = useState<Suggestion[]>([]);
  const [focus, setFocus] = useState(0);
  const serial = useRef(0);

  useEffect(() => {
    const receive = (event: MessageEvent<ToWebview>) => {
      const message = event.data;
      switch (message.type) {
        case "state":
          setState((before) => ({
            ...message.state,
            messages: keepSame(before.messages, message.state.messages),
          }));
          break;
        case "delta":
          setState((before) => ({ ...before, messages: append(before.messages, message.id, message.text) }));
          break;
        case "draft":
          setDraft({ text: message.text, mentions: message.mentions });
          break;
        case "suggestions":
          if (message.serial === serial.current) setSuggestions(message.items);
          break;
        case "attached":
          setDraft((before) => ({
            ...before,
            mentions: message.mentions.reduce(withMention, before.mentions),
          }));
          setFocus((count) => count + 1);
          break;
        case "focus":
          setFocus((count) => count + 1);
          break;
      }
    };
    window.addEventListener("message", receive);
    document.addEventListener("click", openLink);
    post({ type: "ready" });
    return () => {
      window.removeEventListener("message", receive);
      document.removeEventListener("click", openLink);
    };
  }, []);

  const change = useCallback((text: string, mentions: Mention[]) => {
    setDraft({ text, mentions });
    post({ type: "draft", text, mentions });
  }, []);
  const query = useCallback((text: string | undefined) => {
    serial.current += 1;
    if (text === undefined) setSuggestions([]);
    else post({ type: "complete", serial: serial.current, query: text });
  }, []);

  return (
    <main class="chat">
      <Messages state={state} />
      {state.unavailable && (
        <p class="notice banner" role="status">
          {state.unavailable}
        </p>
      )}
      {state.restricted && (
        <p class="notice banner" role="status">
          Restricted Mode: questions are answered, nothing is changed.
        </p>
      )}
      <Composer
        text={draft.text}
        mentions={draft.mentions}
        busy={state.busy}
        unavailable={state.unavailable !== undefined}
        suggestions={suggestions}
        focus={focus}
        onChange={change}
        onQuery={query}
      />
    </main>
  );
}

function Messages({ state }: { state: ChatState }) {
  const list = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  const last = state.messages.at(-1);

  // The view follows the text as it grows, unless the person has scrolled up to read.
  useLayoutEffect(() => {
    if (follows.current && list.current) list.current.scrollTop = list.current.scrollHeight;
  });

  return (
    <>
      <div
        ref={list}
        class="messages"
        role="log"
        aria-label="Conversation"
        aria-live="off"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: scrolled with the keyboard
        tabIndex={0}
        onScroll={({ currentTarget: box }) => {
          follows.current = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
        }}
      >
        {state.messages.length === 0 && <Welcome />}
        {state.messages.map((message) => (
          <Message
            key={message.id}
            message={message}
            canRetry={message === last && !state.busy && state.unavailable === undefined}
          />
        ))}
      </div>
      <Announcer message={last} />
    </>
  );
}

/** Reads a growing answer out sentence by sentence; a live region over the text itself would start anew
 * with every token. */
function Announcer({ message }: { message: ChatMessage | undefined }) {
  const [said, setSaid] = useState("");
  const upTo = useRef({ id: "", length: 0 });
  useEffect(() => {
    if (message?.role !== "assistant") return;
    if (upTo.current.id !== message.id) {
      // A restored answer is not news.
      upTo.current = { id: message.id, length: message.state === "streaming" ? 0 : message.text.length };
    }
    const fresh = message.text.slice(upTo.current.length);
    const end = message.state === "streaming" ? sentenceEnd(fresh) : fresh.length;
    if (end === 0) return;
    upTo.current.length += end;
    setSaid(fresh.slice(0, end));
  }, [message]);
  return (
    <div class="sr-only" role="status" aria-live="polite">
      {said}
    </div>
  );
}

function sentenceEnd(text: string): number {
  return Math.max(text.lastIndexOf(". ") + 1, text.lastIndexOf("\n") + 1);
}

function Welcome() {
  return (
    <section class="welcome">
      <h1>Ask about this repository</h1>
      <p>Answers name the files and lines they rest on. Everything stays on this machine.</p>
      <ul>
        <li>
          <kbd>@</kbd> mentions a file, a folder or a symbol
        </li>
        <li>
          Select code and press <kbd>{navigator.platform.startsWith("Mac") ? "⌘" : "Ctrl"}</kbd>+<kbd>K</kbd>{" "}
          in the editor to change it
        </li>
      </ul>
    </section>
  );
}

/** A link never leads the webview away: the extension decides what opens. */
function openLink(event: MouseEvent): void {
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  const href = link?.getAttribute("href");
  if (!href) return;
  event.preventDefault();
  post({ type: "openLink", href });
}

/** Keeps the objects of messages that did not change, so that only the changed ones are drawn. */
export function keepSame(before: ChatMessage[], after: ChatMessage[]): ChatMessage[] {
  const known = new Map(before.map((message) => [message.id, message]));
  return after.map((message) => {
    const old = known.get(message.id);
    return old && JSON.stringify(old) === JSON.stringify(message) ? old : message;
  });
}

export function append(messages: ChatMessage[], id: string, text: string): ChatMessage[] {
  return messages.map((message) => (message.id === id ? { ...message, text: message.text + text } : message));
}
