import * as vscode from "vscode";
import { openCitation } from "./chat/open";
import { type Daemon, messageOf } from "./daemon";
import { method, type SearchHit } from "./protocol";

type Entry = vscode.QuickPickItem & { hit?: SearchHit };

const most = 30;
/** Shorter questions find everything. */
const shortest = 2;
/** Between two keystrokes of one word nothing is asked. */
const delayMs = 80;

/** Finds code by what it does, by words and by names, while the question is typed. */
export function searchWorkspace(daemon: Daemon): void {
  const pick = vscode.window.createQuickPick<Entry>();
  pick.title = "Hearth: Search the Workspace";
  pick.placeholder = "What the code does, or how it is called";
  let asked = new vscode.CancellationTokenSource();
  let timer: NodeJS.Timeout | undefined;
  const ask = async (query: string, token: vscode.CancellationToken) => {
    try {
      const params = { query, limit: most };
      const { results } = await daemon.request<{ results: SearchHit[] }>(method.search, params, token);
      if (!token.isCancellationRequested) pick.items = entries(results, daemon);
    } catch (error) {
      if (!token.isCancellationRequested) pick.items = [note(`$(warning) ${messageOf(error)}`)];
    }
    if (!token.isCancellationRequested) pick.busy = false;
  };
  pick.onDidChangeValue((value) => {
    asked.cancel();
    asked.dispose();
    asked = new vscode.CancellationTokenSource();
    clearTimeout(timer);
    const query = value.trim();
    pick.busy = query.length >= shortest;
    if (!pick.busy) pick.items = [];
    else timer = setTimeout(() => void ask(query, asked.token), delayMs);
  });
  pick.onDidAccept(() => {
    const hit = pick.selectedItems[0]?.hit;
    if (!hit) return;
    pick.hide();
    void openCitation(hit.path, hit.range, false);
  });
  pick.onDidHide(() => {
    clearTimeout(timer);
    asked.cancel();
    asked.dispose();
    pick.dispose();
  });
  pick.show();
}

function entries(hits: SearchHit[], daemon: Daemon): Entry[] {
  const found = hits.map(entry);
  const index = daemon.status?.index;
  if (index?.state === "starting" || index?.state === "scanning") {
    found.push(note("$(sync~spin) The index is not complete yet; more may be found."));
  }
  return found.length > 0 ? found : [note("Nothing in the workspace fits.")];
}

function note(label: string): Entry {
  return { label, alwaysShow: true };
}

function entry(hit: SearchHit): Entry {
  const line = hit.range.start.line + 1;
  const place = hit.page === undefined ? `${hit.path}:${line}` : `${hit.path}, page ${hit.page}`;
  const file = hit.path.slice(hit.path.lastIndexOf("/") + 1);
  return {
    label: hit.symbol ? `${icon(hit.kind)} ${hit.symbol}` : `$(file) ${file}`,
    description: place,
    detail: firstWords(hit.text),
    // What is found by its meaning need not hold the words that are typed.
    alwaysShow: true,
    hit,
  };
}

function icon(kind: string | null | undefined): string {
  const icons: Record<string, string> = {
    class: "class",
    constant: "constant",
    enum: "enum",
    field: "field",
    function: "method",
    heading: "string",
    interface: "interface",
    macro: "method",
    method: "method",
    module: "namespace",
    struct: "structure",
    trait: "interface",
    type: "class",
    variable: "variable",
    variant: "enum-member",
  };
  return `$(symbol-${icons[kind ?? ""] ?? "misc"})`;
}

/** The beginning of a text on one line. */
function firstWords(text: string): string {
  const line = text.slice(0, 600).replace(/\s+/g, " ").trim();
  return line.length > 160 ? `${line.slice(0, 159)}…` : line;
}
