//! Small PDFs, for tests.

use std::fmt::Write as _;

/// A PDF with a page for each of `pages`, whose lines are printed below each other. ASCII alone.
pub fn pdf(pages: &[&str]) -> Vec<u8> {
    let mut contents = Vec::new();
    for page in pages {
        let mut content = String::from("BT /F 10 Tf 14 TL 50 750 Td");
        for line in page.lines() {
            let escaped = line.replace('\\', "\\\\").replace('(', "\\(").replace(')', "\\)");
            let _ = write!(content, " ({escaped}) Tj T*");
        }
        contents.push(stream("", (content + " ET").as_bytes()));
    }
    with_contents(&contents)
}

/// A PDF with a page for each of these content streams, in Helvetica, which goes by the name `F`.
pub fn with_contents(contents: &[Vec<u8>]) -> Vec<u8> {
    let mut kids = String::new();
    for at in 0..contents.len() {
        let _ = write!(kids, "{} 0 R ", 4 + at * 2);
    }
    let mut objects = vec![
        b"<</Type /Catalog /Pages 2 0 R>>".to_vec(),
        format!("<</Type /Pages /Count {} /Kids [{kids}]>>", contents.len()).into_bytes(),
        b"<</Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding>>".to_vec(),
    ];
    for (at, content) in contents.iter().enumerate() {
        let page = format!(
            "<</Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {0} 0 R \
             /Resources <</Font <</F 3 0 R>> /XObject <</X {0} 0 R>>>>>>",
            5 + at * 2
        );
        objects.push(page.into_bytes());
        objects.push(content.clone());
    }
    with_objects(&objects, "")
}

/// A stream; `dictionary` says how it is packed.
pub fn stream(dictionary: &str, content: &[u8]) -> Vec<u8> {
    let mut object = format!("<</Length {} {dictionary}>>\nstream\n", content.len()).into_bytes();
    object.extend(content);
    object.extend(b"\nendstream");
    object
}

/// A PDF of these objects, numbered from one; the first is the catalogue.
pub fn with_objects(objects: &[Vec<u8>], trailer: &str) -> Vec<u8> {
    let mut bytes = b"%PDF-1.7\n".to_vec();
    let size = objects.len() + 1;
    let mut table = format!("xref\n0 {size}\n0000000000 65535 f \n");
    for (number, object) in (1..).zip(objects) {
        let _ = writeln!(table, "{:010} 00000 n ", bytes.len());
        bytes.extend(format!("{number} 0 obj\n").bytes());
        bytes.extend(object);
        bytes.extend(b"\nendobj\n");
    }
    let start = bytes.len();
    let end =
        format!("trailer\n<</Size {size} /Root 1 0 R {trailer}>>\nstartxref\n{start}\n%%EOF\n");
    bytes.extend(table.bytes().chain(end.bytes()));
    bytes
}
