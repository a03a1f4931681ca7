use std::sync::LazyLock;

use base::CancelToken;
use proptest::prelude::*;

use super::*;
use crate::{Instant, Query};

/// Three packages that share their manner but not their names.
fn trainer(options: PriorOptions) -> PriorTrainer {
    let mut trainer = PriorTrainer::new(options);
    for (package, [one, two, three]) in [
        ("a", ["width", "height", "Box"]),
        ("b", ["path", "mode", "Reader"]),
        ("c", ["host", "port", "Server"]),
    ] {
        let text = format!(
            "class {three}:\n    def __init__(self, {one}, {two}):\n        self.{one} = {one}\n        self.{two} = {two}\n\n\nif __name__ == \"__main__\":\n    main()\n"
        );
        trainer.add(package, &text);
    }
    trainer
}

static PRIOR: LazyLock<Vec<u8>> = LazyLock::new(|| finished(trainer(PriorOptions::default())));

fn finished(trainer: PriorTrainer) -> Vec<u8> {
    trainer.finish(&CancelToken::new(), &mut |_, _| {}).unwrap()
}

fn instant() -> Instant {
    Instant::with_priors(Priors::none().with(PriorLanguage::Python, PRIOR.clone()))
}

/// What is proposed first at `$0` in `document`.
fn predicted(instant: &Instant, path: &str, document: &str) -> String {
    let offset = document.find("$0").unwrap();
    let text = document.replacen("$0", "", 1);
    let query = Query { path, text: &text, offset, alternatives: 1 };
    instant.predict(&query).first().map(|it| it.text.clone()).unwrap_or_default()
}

#[track_caller]
fn check(document: &str, expected: &str) {
    assert_eq!(predicted(&instant(), "open.py", document), expected, "{document}");
}

#[test]
fn what_is_usual_is_known_in_an_empty_workspace() {
    check("if $0", "__name__ == \"__main__\":");
    check("if __na$0", "me__ == \"__main__\":");
    check("if __name__ == $0:\n", "\"__main__\"");
}

#[test]
fn what_is_usual_holds_for_names_never_seen() {
    let head = "class Tree:\n    def __init__(self, depth, leaves):\n";
    check(&format!("{head}        self.depth = $0"), "depth");
    check(&format!("{head}        self.depth = depth\n        self.leaves$0"), " = leaves");
}

#[test]
fn the_workspace_knows_better() {
    let instant = instant();
    instant.update_file("other.py", &"if __name__ == \"plugin\":\n    pass\n".repeat(3));
    assert_eq!(predicted(&instant, "open.py", "if __name__ == $0"), "\"plugin\":");
}

#[test]
fn another_language_has_another_prior_or_none() {
    assert_eq!(predicted(&instant(), "open.rs", "if $0"), "");
    assert_eq!(predicted(&instant(), "open", "if $0"), "");
    let languages = ["a.pyi", "b/c.rs", "d.tsx", "e.mjs", "f.go", "g.java", "py"];
    let names = languages.map(|path| PriorLanguage::of_path(path).map_or("", PriorLanguage::name));
    assert_eq!(names, ["python", "rust", "typescript", "typescript", "go", "", ""]);
}

#[test]
fn nothing_after_the_cursor_is_proposed_again() {
    check("if __name__$0 == \"__main__\":\n", "");
    check("if $0 == \"__main__\":\n", "__name__");
}

#[test]
fn the_same_code_makes_the_same_file() {
    assert_eq!(finished(trainer(PriorOptions::default())), *PRIOR);
    let small = finished(trainer(PriorOptions { bytes: 400, ..PriorOptions::default() }));
    assert!(small.len() <= 400 && Prior::read(small.clone()).is_ok(), "{}", small.len());
    let nothing = finished(PriorTrainer::new(PriorOptions::default()));
    assert!(Prior::read(nothing).is_ok());
}

#[test]
fn names_of_single_packages_are_not_kept() {
    let text = String::from_utf8_lossy(&PRIOR);
    assert!(text.contains("__init__") && !text.contains("height"));
}

#[test]
fn the_programs_own_priors_can_be_read() {
    let priors = Priors::bundled();
    let sizes = PriorLanguage::ALL.map(|it| priors.get(it).unwrap().map_or(0, Prior::size));
    assert!(sizes.iter().filter(|size| **size > 0).count() >= 3, "{sizes:?}");
    assert!(sizes.iter().all(|size| *size <= 3_000_000), "{sizes:?}");
}

#[test]
fn a_corrupt_file_is_an_error_and_no_prior() {
    let read = |bytes: &[u8]| Prior::read(bytes.to_vec()).err();
    assert_eq!(read(&[]), Some(PriorError::NotAPrior));
    assert_eq!(read(&[7; 500]), Some(PriorError::NotAPrior));
    let mut other = PRIOR.clone();
    other[8] = 99;
    assert_eq!(read(&other), Some(PriorError::Version(99)));
    assert_eq!(read(&PRIOR[..PRIOR.len() - 1]), Some(PriorError::Corrupt));
    assert_eq!(read(&PRIOR[..HEADER]), Some(PriorError::Corrupt));

    let priors = Priors::none().with(PriorLanguage::Python, &b"HEARTHPR"[..]);
    assert_eq!(priors.get(PriorLanguage::Python).err(), Some(&PriorError::NotAPrior));
    let instant = Instant::with_priors(priors);
    instant.update_file("a.py", "value = first + 1\n");
    assert_eq!(predicted(&instant, "open.py", "value = $0"), "first + 1");
}

/// A file with these changes and a checksum that is right again.
fn forged(changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = PRIOR.clone();
    let body = bytes.len() - CHECKSUM;
    for (at, byte) in changes {
        bytes[10 + at % (body - 10)] = *byte;
    }
    let checksum = blake3::hash(&bytes[..body]);
    bytes[body..].copy_from_slice(checksum.as_bytes());
    bytes
}

proptest! {
    #[test]
    fn any_changed_byte_is_noticed(at in any::<usize>(), change in 1_u8..) {
        let mut bytes = PRIOR.clone();
        let at = at % bytes.len();
        bytes[at] ^= change;
        prop_assert!(Prior::read(bytes).is_err());
    }

    #[test]
    fn a_forged_file_does_no_harm(
        changes in proptest::collection::vec((prop_oneof![0_usize..14, any::<usize>()], any::<u8>()), 1..40),
    ) {
        let priors = Priors::none().with(PriorLanguage::Python, forged(&changes));
        let instant = Instant::with_priors(priors);
        for document in ["if $0", "class Tree:\n    def __init__(self, a):\n        self.$0"] {
            predicted(&instant, "open.py", document);
        }
    }
}

/// How likely `line` is held after its first word in an empty workspace.
fn judged(priors: Priors, line: &str) -> f64 {
    let offset = line.find(' ').unwrap();
    let query = Query { path: "open.py", text: line, offset, alternatives: 1 };
    Instant::with_priors(priors).judge(&query).log_probability
}

#[test]
fn what_the_packages_of_a_workspace_do_is_known_beside_what_is_usual() {
    let mut trainer = PriorTrainer::new(PriorOptions { packages: 1, ..PriorOptions::default() });
    for _ in 0..3 {
        trainer.add("http", "client = Session(retries=3)\nclient.fetch()\n");
    }
    let adapted = Prior::read(finished(trainer)).unwrap();
    let usual = Priors::none().with(PriorLanguage::Python, PRIOR.clone());
    let both = usual.clone().with_adapted(PriorLanguage::Python, adapted);
    let line = "client = Session(retries=3)";
    assert!(judged(both.clone(), line) > judged(usual.clone(), line) + 10.0);
    let line = "if __name__ == \"__main__\":";
    assert!(judged(both.clone(), line) > judged(Priors::none(), line) + 10.0);

    let instant = Instant::with_priors(both);
    assert_eq!(predicted(&instant, "open.py", "if $0"), "__name__ == \"__main__\":");
    instant.set_priors(Priors::none());
    assert_eq!(predicted(&instant, "open.py", "if $0"), "");
}

#[test]
fn an_adapted_prior_needs_no_other() {
    let adapted = Prior::read(PRIOR.clone()).unwrap();
    let instant = Instant::with_priors(Priors::none().with_adapted(PriorLanguage::Python, adapted));
    assert_eq!(predicted(&instant, "open.py", "if $0"), "__name__ == \"__main__\":");
    assert_eq!(predicted(&instant, "open.rs", "if $0"), "");
}

#[test]
fn learning_ends_when_it_is_cancelled() {
    let cancel = CancelToken::new();
    cancel.cancel();
    assert!(trainer(PriorOptions::default()).finish(&cancel, &mut |_, _| {}).is_err());
}
