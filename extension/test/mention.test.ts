import { describe, expect, it } from "vitest";
import { docs } from "../src/chat/mentions";
import { definesSame } from "../src/edit/codeBlock";
import {
  lineLabel,
  mentionKey,
  mentionLabel,
  openMention,
  placeLabel,
  withMention,
} from "../webview/mention";

/** The open mention of a text whose cursor is marked with `$0`. */
function check(marked: string): string | undefined {
  const cursor = marked.indexOf("$0");
  return openMention(marked.replace("$0", ""), cursor)?.query;
}

describe("openMention", () => {
  it.each([
    ["see @$0", ""],
    ["see @fi$0", "fi"],
    ["see @file src/ma$0", "file src/ma"],
    ["(@symbol:Op$0", "symbol:Op"],
    ["see @fi $0", undefined],
    ["see @file src/main.rs $0", undefined],
    ["me@example$0", undefined],
    ["@one @two$0 @three", "two"],
    ["nothing$0", undefined],
  ])("%s", (marked, expected) => {
    expect(check(marked)).toBe(expected);
  });
});

describe("mentions", () => {
  it("are kept once", () => {
    const file = { kind: "file" as const, path: "a.rs" };
    expect(withMention([file], { ...file })).toEqual([file]);
  });

  it("offer the documentation while its name may be meant", () => {
    expect(["", "d", "DO", "docs", "docsx", "file docs"].map((query) => docs(query).length)).toEqual([
      1, 1, 1, 1, 0, 0,
    ]);
    const [suggestion] = docs("d");
    const mention = suggestion?.mention;
    expect(mention && [mentionKey(mention), mentionLabel(mention)]).toEqual(["docs", "docs"]);
  });

  it("show the page of a PDF and the lines of anything else", () => {
    const range = { start: { line: 4, character: 0 }, end: { line: 9, character: 0 } };
    expect(placeLabel({ range, page: 3 })).toBe(" p. 3");
    expect(placeLabel({ range })).toBe(":5–9");
  });

  it("count lines from one and leave out a line that only ends the range", () => {
    const range = (first: number, last: number, character: number) => ({
      start: { line: first, character: 0 },
      end: { line: last, character },
    });
    expect(lineLabel(range(0, 4, 0))).toBe("1–4");
    expect(lineLabel(range(2, 2, 7))).toBe("3");
    expect(lineLabel(range(2, 3, 0))).toBe("3");
  });
});

describe("definesSame", () => {
  it.each([
    ["export function greet(name) {", "export function greet() {", "greet", true],
    ["  pub fn open(path: &Path)", "pub fn open(path: &str)", "open(path)", true],
    ["function greet() {", "greet();", "greet", false],
    ["function greeting() {", "function greet() {", "greet", false],
    ["greet();", "greet();", "greet", false],
  ])("%s / %s", (head, block, name, expected) => {
    expect(definesSame(head, block, name)).toBe(expected);
  });
});
