import type { Mention, Range } from "../src/protocol";

export interface OpenMention {
  /** Where the `@` stands, and the cursor behind what was typed. */
  start: number;
  end: number;
  query: string;
}

/** The mention that is being typed at `cursor`: an `@` at a word's start and what follows it. After
 * `@file `, `@folder ` and `@symbol ` one space belongs to it, so that a name can follow. */
export function openMention(text: string, cursor: number): OpenMention | undefined {
  const before = text.slice(0, cursor);
  const match = /(?:^|[\s(])@((?:(?:file|folder|symbol)[ :])?[^\s@]*)$/.exec(before);
  if (!match) return undefined;
  const query = match[1] ?? "";
  return { start: cursor - query.length - 1, end: cursor, query };
}

export function mentionKey(mention: Mention): string {
  switch (mention.kind) {
    case "symbol":
      return `symbol:${mention.path}:${mention.name}`;
    case "attachment":
      return `attachment:${mention.name}`;
    case "docs":
      return "docs";
    default:
      return `${mention.kind}:${mention.path}`;
  }
}

export function mentionLabel(mention: Mention): string {
  switch (mention.kind) {
    case "symbol":
    case "attachment":
      return mention.name;
    case "docs":
      return "docs";
    case "folder":
      return `${fileName(mention.path)}/`;
    case "file":
      return fileName(mention.path);
  }
}

export function mentionTitle(mention: Mention): string {
  if (mention.kind === "docs") return "documentation: the workspace's, and your folders of it";
  return mention.kind === "attachment" ? `${mention.name} (attached)` : `${mention.kind} ${mention.path}`;
}

export function withMention(mentions: Mention[], added: Mention): Mention[] {
  return mentions.some((mention) => mentionKey(mention) === mentionKey(added))
    ? mentions
    : [...mentions, added];
}

export function fileName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

export function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

/** Where a citation is, behind its file's name: lines, or the page of a PDF. */
export function placeLabel(citation: { range: Range; page?: number }): string {
  return citation.page === undefined ? `:${lineLabel(citation.range)}` : ` p. ${citation.page}`;
}

/** Lines as people count them: `12` or `12–20`. A range that ends at column 0 does not take that line. */
export function lineLabel(range: Range): string {
  const first = range.start.line + 1;
  const last =
    range.end.character === 0 && range.end.line > range.start.line ? range.end.line : range.end.line + 1;
  return last > first ? `${first}–${last}` : `${first}`;
}
