import { memo } from "preact/compat";
import { useEffect, useMemo, useState } from "preact/hooks";
import type { ChatMessage } from "../src/chat/messages";
import type { Citation } from "../src/protocol";
import { post } from "./host";
import { Icon, type IconName } from "./icons";
import { type Block, highlight, renderMarkdown } from "./markdown";
import { fileName, folderOf, lineLabel, mentionKey, mentionLabel, mentionTitle, placeLabel } from "./mention";

interface MessageProps {
  message: ChatMessage;
  canRetry: boolean;
}

function MessageView({ message, canRetry }: MessageProps) {
  return message.role === "user" ? (
    <Question message={message} />
  ) : (
    <Answer message={message} canRetry={canRetry} />
  );
}

export const Message = memo(
  MessageView,
  (before, after) => before.message === after.message && before.canRetry === after.canRetry,
);

function Question({ message }: { message: ChatMessage }) {
  return (
    <article class="message question" aria-label="Your question">
      <div class="question-text">{message.text}</div>
      {message.mentions.length > 0 && (
        <ul class="chips" aria-label="Mentioned">
          {message.mentions.map((mention) => (
            <li class="chip" key={mentionKey(mention)} title={mentionTitle(mention)}>
              {mentionLabel(mention)}
            </li>
          ))}
        </ul>
      )}
    </article>
  );
}

function Answer({ message, canRetry }: MessageProps) {
  const blocks = useMemo(() => renderMarkdown(message.text), [message.text]);
  const streaming = message.state === "streaming";
  return (
    <article class={`message answer ${message.state}`} aria-label="Answer" aria-busy={streaming}>
      {blocks.map((block, index) => (
        // Blocks only grow at the end while an answer streams, so the place is the identity.
        <BlockView block={block} key={`${index}-${block.kind}`} />
      ))}
      {streaming && <Working step={message.text === "" ? (message.step ?? "Thinking") : ""} />}
      {message.state === "failed" && (
        <p class="notice error" role="alert">
          {message.error ?? "The answer failed."}
        </p>
      )}
      {message.state === "stopped" && <p class="notice">Stopped.</p>}
      {message.state === "done" && message.citations.length > 0 && (
        <Citations citations={message.citations} />
      )}
      {!streaming && (
        <footer class="answer-foot">
          {canRetry && (
            <Action icon="retry" label="Retry" onClick={() => post({ type: "retry", id: message.id })} />
          )}
          <Action
            icon="copy"
            label="Copy answer"
            confirms
            onClick={() => post({ type: "copy", text: message.text })}
          />
          {message.state === "done" && (
            <span class="model">{message.model ? message.model : "from the index, no model"}</span>
          )}
        </footer>
      )}
    </article>
  );
}

function Working({ step }: { step: string }) {
  return (
    <p class="working">
      <span class="ember" aria-hidden="true" />
      {step && <span>{step} …</span>}
    </p>
  );
}

function BlockView({ block }: { block: Block }) {
  if (block.kind === "html") {
    return <div class="prose" dangerouslySetInnerHTML={{ __html: block.html }} />;
  }
  return <CodeBlock code={block.code} language={block.language} />;
}

function CodeBlock({ code, language }: { code: string; language: string }) {
  const html = useMemo(() => highlight(code, language), [code, language]);
  return (
    <figure class="code" aria-label={language ? `Code, ${language}` : "Code"}>
      <figcaption>
        <span class="language">{language}</span>
        <Action icon="copy" label="Copy" confirms onClick={() => post({ type: "copy", text: code })} />
        <Action icon="insert" label="Insert at cursor" onClick={() => post({ type: "insert", text: code })} />
        <Action icon="apply" label="Apply" onClick={() => post({ type: "apply", text: code, language })} />
      </figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a wide block is scrolled with the keyboard */}
      <pre tabIndex={0}>
        <code dangerouslySetInnerHTML={{ __html: html }} />
      </pre>
    </figure>
  );
}

const shownAtFirst = 5;

function Citations({ citations }: { citations: Citation[] }) {
  const [all, setAll] = useState(false);
  const shown = all ? citations : citations.slice(0, shownAtFirst);
  const left = citations.length - shown.length;
  return (
    <nav class="citations" aria-label="Sources">
      <h2>Sources</h2>
      <ol>
        {shown.map((citation, index) => (
          <li key={`${citation.path}:${citation.range.start.line}:${index}`}>
            <button
              type="button"
              class="citation"
              title={citation.quote ? `${citation.path}\n\n${citation.quote.slice(0, 400)}` : citation.path}
              aria-label={
                citation.page === undefined
                  ? `${citation.path}, lines ${lineLabel(citation.range)}`
                  : `${citation.path}, page ${citation.page}`
              }
              onClick={() => post({ type: "open", path: citation.path, range: citation.range })}
            >
              <Icon name="file" />
              <span class="file">{fileName(citation.path)}</span>
              <span class="lines">{placeLabel(citation)}</span>
              <span class="symbol">{citation.symbol ?? folderOf(citation.path)}</span>
            </button>
          </li>
        ))}
      </ol>
      {left > 0 && (
        <button type="button" class="more" onClick={() => setAll(true)}>
          {left} more
        </button>
      )}
    </nav>
  );
}

interface ActionProps {
  icon: IconName;
  label: string;
  /** Shows for a moment that it was done. */
  confirms?: boolean;
  onClick: () => void;
}

export function Action({ icon, label, confirms, onClick }: ActionProps) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), 1500);
    return () => clearTimeout(timer);
  }, [done]);
  return (
    <button
      type="button"
      class="action"
      title={label}
      aria-label={done ? `${label}: done` : label}
      onClick={() => {
        onClick();
        if (confirms) setDone(true);
      }}
    >
      <Icon name={done ? "done" : icon} />
    </button>
  );
}
