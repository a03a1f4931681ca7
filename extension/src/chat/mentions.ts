import * as vscode from "vscode";
import type { Daemon } from "../daemon";
import { type Mention, method, type SearchHit } from "../protocol";
import type { Suggestion } from "./messages";

const most = 12;
const mostAttachedBytes = 256 * 1024;

/** What fits behind `@`: `@file x`, `@folder x`, `@symbol x`, `@docs`, or a bare `@x` for all of them. */
export async function suggestMentions(
  query: string,
  daemon: Daemon,
  token: vscode.CancellationToken,
): Promise<Suggestion[]> {
  const [, kind, rest] = /^(?:(file|folder|symbol)(?:[:\s]|$))?(.*)$/s.exec(query) ?? [];
  const wanted = (rest ?? "").trim();
  const found = await Promise.all([
    kind === undefined || kind === "file" ? files(wanted, token) : [],
    kind === undefined || kind === "folder" ? folders(wanted, token) : [],
    kind === "symbol" || (kind === undefined && wanted.length > 1) ? symbols(wanted, daemon, token) : [],
  ]);
  return [...docs(query), ...found.flatMap((list) => list.slice(0, kind ? most : 6))];
}

/** The documentation as a whole, while what is typed may become `docs`. */
export function docs(query: string): Suggestion[] {
  return "docs".startsWith(query.toLowerCase())
    ? [
        {
          label: "docs",
          detail: "documentation: the workspace's, and your folders of it",
          mention: { kind: "docs" },
        },
      ]
    : [];
}

/** A glob that holds every file whose path contains the letters of `wanted` as one piece. */
function pattern(wanted: string): string {
  const safe = wanted.replace(/[[\]{}*?!\\]/g, "").replace(/^\/+|\/+$/g, "");
  return safe === "" ? "**/*" : `**/*${caseless(safe)}*`;
}

function caseless(text: string): string {
  return text.replace(/[a-z]/gi, (letter) => `[${letter.toLowerCase()}${letter.toUpperCase()}]`);
}

async function files(wanted: string, token: vscode.CancellationToken): Promise<Suggestion[]> {
  const open = wanted === "" ? openFiles() : [];
  const found =
    wanted === "" && open.length > 0
      ? []
      : await vscode.workspace.findFiles(pattern(wanted), undefined, 200, token);
  const paths = [...new Set([...open, ...found.map(relative)])];
  return paths
    .sort((a, b) => nearness(a, wanted) - nearness(b, wanted) || a.length - b.length)
    .slice(0, most)
    .map((path) => ({ label: name(path), detail: path, mention: { kind: "file", path } }));
}

async function folders(wanted: string, token: vscode.CancellationToken): Promise<Suggestion[]> {
  const found = await vscode.workspace.findFiles(
    wanted === "" ? "*/*" : `${pattern(wanted)}/**`,
    undefined,
    300,
    token,
  );
  const paths = new Set<string>();
  for (const uri of found) {
    const parts = relative(uri).split("/").slice(0, -1);
    parts.forEach((part, index) => {
      if (part.toLowerCase().includes(wanted.toLowerCase())) paths.add(parts.slice(0, index + 1).join("/"));
    });
  }
  return [...paths]
    .sort((a, b) => a.length - b.length)
    .slice(0, most)
    .map((path) => ({ label: `${name(path)}/`, detail: path, mention: { kind: "folder", path } }));
}

async function symbols(
  wanted: string,
  daemon: Daemon,
  token: vscode.CancellationToken,
): Promise<Suggestion[]> {
  if (wanted === "" || !daemon.running) return [];
  const params = { query: wanted, limit: most, mode: "symbol" };
  const answer = await daemon
    .request<{ results: SearchHit[] }>(method.search, params, token)
    .catch(() => ({ results: [] }));
  return answer.results.flatMap((hit) =>
    hit.symbol
      ? [
          {
            label: hit.symbol,
            detail: `${hit.kind ?? "symbol"} · ${hit.path}:${hit.range.start.line + 1}`,
            mention: { kind: "symbol" as const, name: hit.symbol, path: hit.path, range: hit.range },
          },
        ]
      : [],
  );
}

function openFiles(): string[] {
  return vscode.window.tabGroups.all
    .flatMap((group) => group.tabs)
    .flatMap((tab) => (tab.input instanceof vscode.TabInputText ? [tab.input.uri] : []))
    .filter((uri) => uri.scheme === "file" && vscode.workspace.getWorkspaceFolder(uri))
    .map(relative);
}

/** 0: the name starts with what was typed; 1: the name holds it; 2: only the path does. */
function nearness(path: string, wanted: string): number {
  const lower = name(path).toLowerCase();
  const needle = wanted.toLowerCase();
  return lower.startsWith(needle) ? 0 : lower.includes(needle) ? 1 : 2;
}

function name(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

export function relative(uri: vscode.Uri): string {
  return vscode.workspace.asRelativePath(uri, (vscode.workspace.workspaceFolders?.length ?? 0) > 1);
}

/** Lets the person pick files. Those of the workspace go by path; others are read and sent as text. */
export async function pickAttachments(): Promise<Mention[]> {
  const chosen = await vscode.window.showOpenDialog({
    canSelectMany: true,
    openLabel: "Attach",
    title: "Attach files to the chat",
  });
  const mentions: Mention[] = [];
  for (const uri of chosen ?? []) {
    if (vscode.workspace.getWorkspaceFolder(uri)) {
      mentions.push({ kind: "file", path: relative(uri) });
      continue;
    }
    const text = await readAttachment(uri);
    if (text !== undefined) mentions.push({ kind: "attachment", name: name(uri.path), text });
  }
  return mentions;
}

async function readAttachment(uri: vscode.Uri): Promise<string | undefined> {
  const { size } = await vscode.workspace.fs.stat(uri);
  if (size > mostAttachedBytes) {
    void vscode.window.showWarningMessage(
      `${name(uri.path)} has ${Math.round(size / 1024)} kB; at most 256 kB can be attached.`,
    );
    return undefined;
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await vscode.workspace.fs.readFile(uri));
  } catch {
    void vscode.window.showWarningMessage(`${name(uri.path)} is not a text file, so it was not attached.`);
    return undefined;
  }
}
