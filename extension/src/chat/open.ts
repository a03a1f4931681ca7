import * as vscode from "vscode";
import type { Range } from "../protocol";

/** The file of the workspace that a relative path names; undefined when it leads out of it. */
export async function resolveInWorkspace(path: string): Promise<vscode.Uri | undefined> {
  const folders = vscode.workspace.workspaceFolders ?? [];
  for (const folder of folders) {
    const prefix = `${folder.name}/`;
    const inFolder = folders.length > 1 && path.startsWith(prefix) ? path.slice(prefix.length) : path;
    const uri = vscode.Uri.joinPath(folder.uri, inFolder);
    if (vscode.workspace.getWorkspaceFolder(uri) === undefined) continue;
    try {
      await vscode.workspace.fs.stat(uri);
      return uri;
    } catch {
      // Not in this folder; perhaps in the next.
    }
  }
  return undefined;
}

export async function openCitation(path: string, range?: Range): Promise<void> {
  const uri = await resolveInWorkspace(path);
  if (!uri) {
    void vscode.window.showWarningMessage(`${path} is not in the workspace any more.`);
    return;
  }
  if (((await vscode.workspace.fs.stat(uri)).type & vscode.FileType.Directory) !== 0) {
    await vscode.commands.executeCommand("revealInExplorer", uri);
    return;
  }
  if (/\.pdf$/i.test(uri.path)) {
    // Whatever the person has installed to show PDFs; a range of the text in it means nothing there.
    await vscode.commands.executeCommand("vscode.open", uri);
    return;
  }
  const selection = range
    ? new vscode.Range(range.start.line, range.start.character, range.end.line, range.end.character)
    : undefined;
  const editor = await vscode.window.showTextDocument(uri, {
    preview: true,
    ...(selection ? { selection } : {}),
  });
  if (selection) editor.revealRange(selection, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
}

/** A link in an answer: a place in the workspace, or an address that the editor asks about before it opens it. */
export async function openLink(href: string): Promise<void> {
  if (/^https?:\/\//i.test(href)) {
    await vscode.env.openExternal(vscode.Uri.parse(href, true));
    return;
  }
  if (/^[a-z][a-z0-9+.-]*:/i.test(href)) return;
  const [, path, line] = /^([^#]+?)(?:(?::|#L)(\d+).*)?$/.exec(decodeURI(href)) ?? [];
  if (!path) return;
  const at = line ? Math.max(0, Number(line) - 1) : undefined;
  await openCitation(
    path,
    at === undefined ? undefined : { start: { line: at, character: 0 }, end: { line: at, character: 0 } },
  );
}
