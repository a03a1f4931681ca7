"""Texts with their token ids and vectors, for the tests of whoever reads the table."""

from __future__ import annotations

import json

from .table import Table
from .text import Vocabulary

TEXTS = [
    "How do I retry a failed HTTP request with exponential backoff?",
    "fn parse_header(input: &[u8]) -> Result<Header, ParseError> {\n    todo!()\n}",
    "def load_config(path: str) -> dict:\n    with open(path) as file:\n        return json.load(file)",
    "export async function fetchUser(userId: string): Promise<User> {\n  return api.get(`/users/${userId}`);\n}",
    "func (s *HTTPServer) ListenAndServe(addr string) error { return s.srv.ListenAndServe() }",
    "public class XMLHttpRequestPool2 extends ObjectPool<XMLHttpRequest> {}",
    "SELECT name, count(*) FROM users GROUP BY name HAVING count(*) > 1;",
    "SHA256_HMAC sha256Hmac sha_256 SHA2-256 utf8ToUTF16LE",
    "the the the the cat",
    "",
    "!!! ??? --- ...",
    "naïve café Ünïcode ÅNGSTRÖM cafe\u0301",
    "Привет, мир! parseСтроку",
    "日本語のコメント // TODO",
    "a" * 101 + " short",
    "__init__ _private CONSTANT_NAME kebab-case-name dotted.path.name",
    "x1y2z3 3DVector v2Beta1 i18n",
    "#include <stdio.h>\nint main(void) { printf(\"%d\\n\", 0xFF); return 0; }",
    "[dependencies]\nserde = { version = \"1\", features = [\"derive\"] }",
    "# Installation\n\nRun `npm install --save-dev typescript` and restart the editor.",
]


def reference(table: Table, vocabulary: Vocabulary) -> str:
    """The reference as JSON: vectors rounded to six decimals."""
    entries = [
        {
            "text": text,
            "ids": vocabulary.ids(text),
            "vector": [round(float(value), 6) for value in table.embed(vocabulary, [text])[0]],
        }
        for text in TEXTS
    ]
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    return f'{{"table": "{table.header["id"]}", "texts": [\n{lines}\n]}}\n'
