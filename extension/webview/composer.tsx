import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Suggestion } from "../src/chat/messages";
import type { Mention } from "../src/protocol";
import { post } from "./host";
import { Icon } from "./icons";
import { mentionKey, mentionLabel, mentionTitle, openMention, withMention } from "./mention";
import { Action } from "./message";

interface ComposerProps {
  text: string;
  mentions: Mention[];
  busy: boolean;
  unavailable: boolean;
  suggestions: Suggestion[];
  /** Raised whenever the field is to take the focus. */
  focus: number;
  onChange: (text: string, mentions: Mention[]) => void;
  onQuery: (query: string | undefined) => void;
}

export function Composer(props: ComposerProps) {
  const { text, mentions, busy, unavailable, suggestions, focus, onChange, onQuery } = props;
  const field = useRef<HTMLTextAreaElement>(null);
  const [chosen, setChosen] = useState(0);
  const caret = useRef<number | undefined>(undefined);
  const open = suggestions.length > 0;

  // A view that merely appears leaves the focus where the person has it.
  useEffect(() => {
    if (focus > 0) field.current?.focus();
  }, [focus]);
  useEffect(() => setChosen(0), [suggestions]);
  useLayoutEffect(() => {
    const area = field.current;
    if (!area) return;
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight, 220)}px`;
    if (caret.current !== undefined) area.setSelectionRange(caret.current, caret.current);
    caret.current = undefined;
  }, [text]);

  const look = (area: HTMLTextAreaElement) => {
    const mention =
      area.selectionStart === area.selectionEnd ? openMention(area.value, area.selectionStart) : undefined;
    onQuery(mention?.query);
  };
  const take = (suggestion: Suggestion) => {
    const area = field.current;
    const mention = area && openMention(text, area.selectionStart);
    if (!mention) return;
    const inserted = `@${mentionLabel(suggestion.mention)} `;
    caret.current = mention.start + inserted.length;
    onChange(
      text.slice(0, mention.start) + inserted + text.slice(mention.end),
      withMention(mentions, suggestion.mention),
    );
    onQuery(undefined);
    area.focus();
  };
  const send = () => {
    if (busy || unavailable || text.trim() === "") return;
    post({ type: "send", text, mentions });
    onChange("", []);
    onQuery(undefined);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.isComposing) return;
    const suggestion = suggestions[chosen];
    if (open && suggestion) {
      const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
      if (step !== 0) {
        event.preventDefault();
        setChosen((chosen + step + suggestions.length) % suggestions.length);
        return;
      }
      if (event.key === "Enter" || event.key === "Tab") {
        event.preventDefault();
        take(suggestion);
        return;
      }
      if (event.key === "Escape") {
        event.preventDefault();
        onQuery(undefined);
        return;
      }
    }
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      send();
    } else if (event.key === "Escape" && busy) {
      post({ type: "stop" });
    }
  };

  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      {open && (
        <div class="suggestions" id="suggestions" role="listbox" aria-label="Mentions">
          {suggestions.map((suggestion, index) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the field above moves through the list by keyboard
            <div
              key={mentionKey(suggestion.mention)}
              id={`suggestion-${index}`}
              role="option"
              aria-selected={index === chosen}
              tabIndex={-1}
              onMouseDown={(event) => event.preventDefault()}
              onClick={() => take(suggestion)}
            >
              <span class="suggestion-label">{suggestion.label}</span>
              <span class="suggestion-detail">{suggestion.detail}</span>
            </div>
          ))}
        </div>
      )}
      {mentions.length > 0 && (
        <ul class="chips" aria-label="Attached">
          {mentions.map((mention) => (
            <li class="chip" key={mentionKey(mention)} title={mentionTitle(mention)}>
              {mentionLabel(mention)}
              <button
                type="button"
                aria-label={`Remove ${mentionLabel(mention)}`}
                onClick={() =>
                  onChange(
                    text,
                    mentions.filter((other) => other !== mention),
                  )
                }
              >
                <Icon name="close" />
              </button>
            </li>
          ))}
        </ul>
      )}
      <textarea
        ref={field}
        rows={1}
        value={text}
        placeholder="Ask about this repository. @ mentions a file, folder, symbol or the docs"
        aria-label="Question"
        aria-haspopup="listbox"
        aria-controls="suggestions"
        aria-autocomplete="list"
        {...(open ? { "aria-activedescendant": `suggestion-${chosen}` } : {})}
        onInput={(event) => {
          onChange(event.currentTarget.value, mentions);
          look(event.currentTarget);
        }}
        onClick={(event) => look(event.currentTarget)}
        onKeyDown={onKeyDown}
      />
      <div class="composer-foot">
        <Action icon="attach" label="Attach files" onClick={() => post({ type: "attach" })} />
        <span class="hint">Enter sends · Shift+Enter breaks</span>
        {busy ? (
          <button
            type="button"
            class="send"
            aria-label="Stop"
            title="Stop (Escape)"
            onClick={() => post({ type: "stop" })}
          >
            <Icon name="stop" />
          </button>
        ) : (
          <button
            type="submit"
            class="send"
            aria-label="Send"
            title="Send (Enter)"
            disabled={unavailable || text.trim() === ""}
          >
            <Icon name="send" />
          </button>
        )}
      </div>
    </form>
  );
}
