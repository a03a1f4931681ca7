use std::{io::Write as _, time::Duration};

use flate2::{Compression, write::ZlibEncoder};

use super::*;
use crate::{
    fake::{stream, with_contents, with_objects},
    pages,
};

fn packed(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A PDF with a page for each of these content streams, packed or not.
fn document(contents: &[&str], pack: bool) -> Vec<u8> {
    let contents: Vec<Vec<u8>> = contents
        .iter()
        .map(|content| {
            if pack {
                stream("/Filter /FlateDecode", &packed(content.as_bytes()))
            } else {
                stream("", content.as_bytes())
            }
        })
        .collect();
    with_contents(&contents)
}

fn check(contents: &[&str], expected: &str) {
    for pack in [false, true] {
        let found = extract(document(contents, pack), &PdfLimits::default());
        assert_eq!(found.as_deref(), Ok(expected), "packed: {pack}");
    }
}

fn check_failure(bytes: Vec<u8>, expected: &PdfFailure) {
    assert_eq!(extract(bytes, &PdfLimits::default()).as_ref(), Err(expected));
}

#[test]
fn text_is_read_page_by_page() {
    let first = "BT /F 12 Tf 50 700 Td (Hello world) Tj 0 -14 Td (second line) Tj ET";
    let second = "BT /F 12 Tf 50 700 Td (caf\\351) Tj ET";
    check(&[first, "", second], "Hello world\nsecond line\u{c}\n\u{c}\ncafé\u{c}\n");
    let text = extract(document(&[first, second], true), &PdfLimits::default()).unwrap();
    let second = pages(&text)[1];
    assert_eq!(second.slice(&text), Some("café\u{c}\n"));
}

#[test]
fn words_and_lines_are_told_apart_by_their_places() {
    // One letter group at a time, with a gap of a space and with the gap of kerning.
    check(
        &["BT /F 10 Tf 1 0 0 1 50 700 Tm [(retry) -300 (budget) 20 (s)] TJ ET"],
        "retry budgets\u{c}\n",
    );
    // Words that are placed one by one, and a heading above them.
    let placed = "BT /F 20 Tf 50 760 Td (Limits) Tj ET BT /F 10 Tf 50 700 Td (at) Tj ET \
                  BT /F 10 Tf 70 700 Td (most) Tj ET BT /F 10 Tf 50 688 Td (five) Tj ET";
    check(&[placed], "Limits\n\nat most\nfive\u{c}\n");
    // Turned by a quarter, the text is the same.
    let turned = "BT /F 10 Tf 0 1 -1 0 300 100 Tm (upright) Tj ET \
                  BT /F 10 Tf 0 1 -1 0 312 100 Tm (below) Tj ET";
    check(&[turned], "upright\nbelow\u{c}\n");
    // Bold letters that are filled and stroked are there once.
    check(&["BT /F 10 Tf 2 Tr 50 700 Td (bold) Tj ET"], "bold\u{c}\n");
}

#[test]
fn what_has_no_text_says_why() {
    check_failure(document(&["0 0 100 100 re f"], false), &PdfFailure::NoText);
    check_failure(b"this is no PDF at all".to_vec(), &PdfFailure::Damaged);
    check_failure(Vec::new(), &PdfFailure::Damaged);
    let encrypted = with_objects(
        &[
            b"<</Type /Catalog /Pages 2 0 R>>".to_vec(),
            b"<</Type /Pages /Count 0 /Kids []>>".to_vec(),
            format!(
                "<</Filter /Standard /V 2 /R 3 /Length 128 /P -4 /O <{0}> /U <{0}>>>",
                "ab".repeat(32)
            )
            .into_bytes(),
        ],
        "/Encrypt 3 0 R /ID [<0123456789abcdef0123456789abcdef> <0123456789abcdef0123456789abcdef>]",
    );
    check_failure(encrypted, &PdfFailure::Encrypted);
}

#[test]
fn limits_hold() {
    let page = "BT /F 12 Tf 50 700 Td (Hello world) Tj ET";
    let bytes = document(&[page; 20], true);
    let limits = PdfLimits { text_bytes: 100, ..PdfLimits::default() };
    assert_eq!(extract(bytes.clone(), &limits), Err(PdfFailure::TooLong { limit: 100 }));
    let limits = PdfLimits { time: Duration::ZERO, ..PdfLimits::default() };
    let slow = PdfFailure::TooSlow { limit: Duration::ZERO };
    assert_eq!(extract(bytes, &limits), Err(slow));
}

#[test]
fn forms_that_draw_each_other_twice_are_given_up() {
    const DEPTH: usize = 45;
    let form = |resources: &str, content: &str| {
        let dictionary = format!("/Type /XObject /Subtype /Form /BBox [0 0 9 9] {resources}");
        stream(&dictionary, content.as_bytes())
    };
    let next = |number: usize| format!("/Resources <</XObject <</X {number} 0 R>>>>");
    let mut objects = vec![
        b"<</Type /Catalog /Pages 2 0 R>>".to_vec(),
        b"<</Type /Pages /Count 1 /Kids [3 0 R]>>".to_vec(),
        format!("<</Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R {}>>", next(5))
            .into_bytes(),
        stream("", b"/X Do"),
    ];
    for number in 0..DEPTH {
        objects.push(form(&next(6 + number), "/X Do /X Do"));
    }
    objects.push(form("", " "));
    let limits = PdfLimits { time: Duration::from_millis(50), ..PdfLimits::default() };
    let slow = PdfFailure::TooSlow { limit: limits.time };
    assert_eq!(extract(with_objects(&objects, ""), &limits), Err(slow));
}

#[test]
fn damaged_files_end_in_an_answer() {
    let whole = document(&["BT /F 12 Tf 50 700 Td (Hello world) Tj ET", "/X Do"], true);
    let limits = PdfLimits { time: Duration::from_secs(2), ..PdfLimits::default() };
    let mut numbers = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..=round % 7 {
            numbers ^= numbers << 13;
            numbers ^= numbers >> 7;
            numbers ^= numbers << 17;
            let at = (numbers % bytes.len() as u64) as usize;
            match numbers >> 61 {
                0 => bytes.truncate(at.max(1)),
                1 => bytes.insert(at, b'['),
                2 => drop(bytes.remove(at)),
                _ => bytes[at] = (numbers >> 40) as u8,
            }
        }
        match extract(bytes, &limits) {
            Ok(text) => assert!(text.len() < 1 << 20),
            Err(failure) => assert!(failure.is_final(), "round {round}: {failure}"),
        }
    }
}

#[test]
fn nesting_without_an_end_is_no_harm() {
    let deep = "[".repeat(200_000);
    let nested = format!("BT /F 12 Tf 50 700 Td (kept) Tj ET {deep}");
    let found = extract(document(&[&nested], false), &PdfLimits::default());
    assert!(found.is_ok_and(|text| text.contains("kept")));
    // Pages that are their own parents.
    let looped = with_objects(
        &[
            b"<</Type /Catalog /Pages 2 0 R>>".to_vec(),
            b"<</Type /Pages /Count 2 /Kids [2 0 R 2 0 R]>>".to_vec(),
        ],
        "",
    );
    assert!(extract(looped, &PdfLimits::default()).is_err());
}
