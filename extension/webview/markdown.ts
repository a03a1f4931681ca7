import DOMPurify from "dompurify";
import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import c from "highlight.js/lib/languages/c";
import cpp from "highlight.js/lib/languages/cpp";
import csharp from "highlight.js/lib/languages/csharp";
import css from "highlight.js/lib/languages/css";
import diff from "highlight.js/lib/languages/diff";
import go from "highlight.js/lib/languages/go";
import ini from "highlight.js/lib/languages/ini";
import java from "highlight.js/lib/languages/java";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import markdown from "highlight.js/lib/languages/markdown";
import php from "highlight.js/lib/languages/php";
import python from "highlight.js/lib/languages/python";
import ruby from "highlight.js/lib/languages/ruby";
import rust from "highlight.js/lib/languages/rust";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";
import MarkdownIt from "markdown-it";

const languages = {
  bash,
  c,
  cpp,
  csharp,
  css,
  diff,
  go,
  ini,
  java,
  javascript,
  json,
  markdown,
  php,
  python,
  ruby,
  rust,
  sql,
  typescript,
  xml,
  yaml,
};
for (const [name, language] of Object.entries(languages)) hljs.registerLanguage(name, language);
hljs.registerAliases("toml", { languageName: "ini" });
hljs.registerAliases("tsx", { languageName: "typescript" });

const renderer = new MarkdownIt({ html: false, linkify: false, typographer: false });
// An image is a request to somewhere; its text is shown in its place.
renderer.disable("image");

const allowed = {
  ALLOWED_TAGS: [
    "p",
    "br",
    "hr",
    "em",
    "strong",
    "s",
    "code",
    "pre",
    "blockquote",
    "ul",
    "ol",
    "li",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "a",
    "span",
  ],
  ALLOWED_ATTR: ["href", "class", "title"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
};

export type Block = { kind: "html"; html: string } | { kind: "code"; language: string; code: string };

/** Cuts an answer into prose, as clean HTML, and top-level code blocks, which get buttons of their own.
 * A block that is still being written counts as a block. */
export function renderMarkdown(text: string): Block[] {
  const tokens = renderer.parse(text, {});
  const blocks: Block[] = [];
  let prose: typeof tokens = [];
  const flush = () => {
    if (prose.length === 0) return;
    blocks.push({ kind: "html", html: clean(renderer.renderer.render(prose, renderer.options, {})) });
    prose = [];
  };
  for (const token of tokens) {
    if (token.type === "fence" && token.level === 0) {
      flush();
      const language = token.info.trim().split(/[\s,:{]/, 1)[0] ?? "";
      blocks.push({ kind: "code", language, code: token.content });
    } else {
      prose.push(token);
    }
  }
  flush();
  return blocks;
}

/** Code as HTML with classes for colours; plain where the language is not known. */
export function highlight(code: string, language: string): string {
  const known = hljs.getLanguage(language) ? language : undefined;
  const html = known
    ? hljs.highlight(code, { language: known, ignoreIllegals: true }).value
    : escapeHtml(code);
  return clean(html);
}

function clean(html: string): string {
  return DOMPurify.sanitize(html, allowed);
}

function escapeHtml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
