import * as vscode from "vscode";
import type { InlineEdit } from "./inlineEdit";
import { splitLines } from "./layout";

/** The editor that a code block of the chat is meant for: the active one, or the last that was. */
export class LastEditor implements vscode.Disposable {
  private last = vscode.window.activeTextEditor;
  private readonly subscription = vscode.window.onDidChangeActiveTextEditor((editor) => {
    if (editor && editor.document.uri.scheme !== "output") this.last = editor;
  });

  get(): vscode.TextEditor | undefined {
    const last = this.last;
    return (
      vscode.window.visibleTextEditors.find((editor) => editor === last) ?? vscode.window.activeTextEditor
    );
  }

  dispose(): void {
    this.subscription.dispose();
  }
}

export async function insertAtCursor(editor: vscode.TextEditor | undefined, text: string): Promise<void> {
  if (!editor) {
    void vscode.window.showInformationMessage("Open the file into which the code should go.");
    return;
  }
  await vscode.window.showTextDocument(editor.document, {
    ...(editor.viewColumn ? { viewColumn: editor.viewColumn } : {}),
  });
  await editor.edit((edit) => edit.replace(editor.selection, text.replace(/\r?\n$/, "")));
}

export async function applyBlock(
  editor: vscode.TextEditor | undefined,
  text: string,
  edits: InlineEdit,
): Promise<void> {
  if (!editor) {
    void vscode.window.showInformationMessage("Open the file to which the code should be applied.");
    return;
  }
  await edits.proposeText(editor, await targetOf(editor, text), text);
}

/** What a block is to replace: the selected lines, else the definition that the block defines anew,
 * else nothing: it goes in at the cursor's line. */
async function targetOf(editor: vscode.TextEditor, text: string): Promise<vscode.Range> {
  const { document, selection } = editor;
  if (!selection.isEmpty) {
    const last =
      selection.end.character === 0 && selection.end.line > selection.start.line
        ? selection.end.line - 1
        : selection.end.line;
    return new vscode.Range(selection.start.line, 0, last, document.lineAt(last).text.length);
  }
  const symbols = await vscode.commands.executeCommand<
    (vscode.DocumentSymbol | vscode.SymbolInformation)[] | undefined
  >("vscode.executeDocumentSymbolProvider", document.uri);
  const first = splitLines(text).find((line) => line.trim() !== "") ?? "";
  for (const symbol of flatten(symbols ?? [])) {
    const head = document.lineAt(symbol.range.start.line).text;
    if (definesSame(head, first, symbol.name)) {
      const end = symbol.range.end.line;
      return new vscode.Range(symbol.range.start.line, 0, end, document.lineAt(end).text.length);
    }
  }
  return new vscode.Range(selection.start.line, 0, selection.start.line, 0);
}

/** Both lines name the symbol after the same words: `pub fn open` and `pub fn open`, not a call of it. */
export function definesSame(head: string, blockHead: string, symbol: string): boolean {
  const name = symbol.replace(/\(.*$/, "").trim();
  if (name === "") return false;
  const before = (line: string) => {
    const at = line.search(new RegExp(`(?<![\\w$])${name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}(?![\\w$])`));
    return at < 0 ? undefined : line.slice(0, at).trim();
  };
  const own = before(head);
  return own !== undefined && own !== "" && own === before(blockHead);
}

function flatten(
  symbols: readonly (vscode.DocumentSymbol | vscode.SymbolInformation)[],
): vscode.DocumentSymbol[] {
  return symbols.flatMap((symbol) => ("children" in symbol ? [symbol, ...flatten(symbol.children)] : []));
}
