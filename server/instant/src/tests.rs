use super::*;

/// The best prediction at `$0` in `document`, which is the file `open.py`.
fn predicted(instant: &Instant, document: &str) -> String {
    let offset = document.find("$0").unwrap();
    let text = document.replacen("$0", "", 1);
    let query = Query { path: "open.py", text: &text, offset, alternatives: 1 };
    instant.predict(&query).first().map(|it| it.text.clone()).unwrap_or_default()
}

fn workspace() -> Instant {
    let instant = Instant::with_priors(Priors::none());
    let files = [
        (
            "a.py",
            "import os\n\ndef load(path):\n    with open(path, encoding=\"utf-8\") as file:\n        return file.read()\n",
        ),
        (
            "b.py",
            "def save(path, text):\n    with open(path, \"w\", encoding=\"utf-8\") as file:\n        file.write(text)\n",
        ),
    ];
    instant.update_files(&files.map(|(path, text)| (path.to_owned(), text.into())));
    instant
}

#[track_caller]
fn check(document: &str, expected: &str) {
    assert_eq!(predicted(&workspace(), document), expected, "{document}");
}

#[test]
fn a_line_goes_on_as_in_another_file() {
    check("with open(path$0", ", encoding=\"utf-8\") as file:");
    check("with open(path, $0", "encoding=\"utf-8\") as file:");
    check("    return $0", "file.read()");
}

#[test]
fn the_open_file_counts_more_than_others() {
    check(
        "with open(path, \"rb\") as data:\n    pass\nwith open(path, \"rb\") as data:\n    pass\nwith open(path$0\n",
        ", \"rb\") as data:",
    );
}

#[test]
fn a_word_is_continued() {
    check("with op$0", "en(path, encoding=\"utf-8\") as file:");
    check("average_of_everything = 1\nprint(ave$0", "rage_of_everything = 1");
    check("unheard_of$0", "");
}

#[test]
fn a_prediction_leads_up_to_the_rest_of_the_line() {
    check("with open(path$0) as file:", ", encoding=\"utf-8\"");
    check("with open(path$0] + 1", "");
}

#[test]
fn a_deeper_line_below_means_that_a_block_is_opened() {
    let document = "if a:\n    x\nif a:\n    x\nb = a\nb = a\nb = a\n";
    check(&format!("{document}if a$0\nb"), ":");
    let calls = "f(2)\na\nf(\n    1)\nb\nf(2)\nc\n";
    check(&format!("{calls}f$0\n"), "(2)");
    check(&format!("{calls}f$0\n    1)\n"), "(");
}

#[test]
fn the_same_definition_is_not_proposed_again() {
    let document =
        "def first(self):\n    pass\ndef second(self):\n    pass\ndef second(self):\n    pass\n$0";
    check(document, "def second(self):");
    let import = "from a import b\nfrom c import d\nfrom e import f\nfrom $0";
    let texts = alternatives(&workspace(), import, 3);
    assert!(texts.iter().all(|text| text.1 < 0.2), "{texts:?}");
}

fn alternatives(instant: &Instant, document: &str, alternatives: usize) -> Vec<(String, f32)> {
    let offset = document.find("$0").unwrap();
    let text = document.replacen("$0", "", 1);
    let query = Query { path: "open.py", text: &text, offset, alternatives };
    instant.predict(&query).into_iter().map(|it| (it.text, it.probability)).collect()
}

#[test]
fn alternatives_differ_and_fall_in_probability() {
    let found = alternatives(&workspace(), "with open(path$0", 3);
    assert!(found.len() > 1, "{found:?}");
    assert!(
        found.windows(2).all(|pair| pair[0].1 >= pair[1].1 && pair[0].0 != pair[1].0),
        "{found:?}"
    );
    assert!(found.iter().all(|(_, probability)| (0.0..=1.0).contains(probability)), "{found:?}");
}

#[test]
fn what_the_program_says_of_its_own_name_outweighs_the_language() {
    let instant = Instant::new();
    let greeting = "def greet_customer(name):\n    return f\"Hello, {name}\"\n";
    instant.update_file("greeting.py", greeting);
    assert_eq!(predicted(&instant, "def greet_customer($0"), "name):");
}

#[test]
fn the_stored_text_of_the_open_file_does_not_count() {
    let instant = Instant::with_priors(Priors::none());
    instant.update_file("open.py", "value = stale + 1\n");
    assert_eq!(predicted(&instant, "value = $0"), "");
    instant.update_file("other.py", "value = fresh + 1\n");
    assert_eq!(predicted(&instant, "value = $0"), "fresh + 1");
}

#[test]
fn a_file_can_be_replaced_and_removed() {
    let instant = workspace();
    instant.update_file("a.py", "with open(path, errors=\"ignore\") as file:\n");
    assert_eq!(predicted(&instant, "with open(path, e$0"), "rrors=\"ignore\") as file:");
    instant.remove_file("a.py");
    assert_eq!(predicted(&instant, "with open(path, e$0"), "ncoding=\"utf-8\") as file:");
    instant.remove_file("b.py");
    assert_eq!(predicted(&instant, "with open(path, e$0"), "");
    assert_eq!(instant.size().files, 0);
}

#[test]
fn many_small_updates_leave_few_parts_and_nothing_of_the_old() {
    let instant = Instant::with_priors(Priors::none());
    for round in 0..5 {
        for file in 0..40 {
            instant.update_file(&format!("{file}.py"), &format!("x{file} = {round}\n").repeat(10));
        }
    }
    assert_eq!(instant.size().files, 40);
    assert!(instant.parts.read().len() <= 8, "{} parts", instant.parts.read().len());
    assert!(instant.size().tokens < 2 * 40 * 41, "{:?}", instant.size());
    assert_eq!(predicted(&instant, "x7 = $0"), "4");
}

/// The judgement of the rest of the line after `$0`.
fn judged(instant: &Instant, document: &str) -> Judgement {
    let offset = document.find("$0").unwrap();
    let text = document.replacen("$0", "", 1);
    instant.judge(&Query { path: "open.py", text: &text, offset, alternatives: 1 })
}

#[test]
fn what_is_predicted_is_judged_as_likely_as_it_is_predicted() {
    for (start, end) in [
        ("with open(path$0", ", encoding=\"utf-8\") as file:"),
        ("with op$0", "en(path, encoding=\"utf-8\") as file:"),
        ("    return $0", "file.read()"),
        ("with open(path, $0", "encoding=\"utf-8\") as file:"),
    ] {
        let predicted = alternatives(&workspace(), start, 1)[0].clone();
        assert_eq!(predicted.0, end);
        let judgement = judged(&workspace(), &format!("{start}{end}\nafter"));
        let below = alternatives(&workspace(), &format!("{start}\nafter"), 1)[0].1;
        assert!(
            (judgement.log_probability.exp() - f64::from(below)).abs() < 1e-3,
            "{start}: {judgement:?}, {below}"
        );
    }
}

#[test]
fn what_never_was_is_judged_unlikely_but_not_impossible() {
    let likely = judged(&workspace(), "with open(path$0, encoding=\"utf-8\") as file:\n");
    let unlikely = judged(&workspace(), "with open(path$0] += unheard_of\n");
    assert!(unlikely.log_probability.is_finite() && unlikely.log_probability < -9.0);
    assert!(likely.log_probability > unlikely.log_probability);
    assert_eq!((likely.tokens, unlikely.tokens), (14, 5));
    assert_eq!(judged(&workspace(), "$0").tokens, 1);
}

#[test]
fn any_place_of_any_text_is_fit_for_a_query() {
    let instant = workspace();
    for text in ["", "\n", "größe = \"→\"\r\n\tx", "a\0b", &"(".repeat(300)] {
        for (offset, _) in text.char_indices().chain([(text.len(), ' ')]) {
            instant.predict(&Query { path: "", text, offset, alternatives: 2 });
            instant.judge(&Query { path: "", text, offset, alternatives: 0 });
        }
        // Past the end and inside a character.
        instant.predict(&Query { path: "", text, offset: 3, alternatives: 0 });
        for offset in [3, usize::MAX] {
            instant.judge(&Query { path: "", text, offset, alternatives: 1 });
        }
        instant.predict(&Query { path: "", text, offset: usize::MAX, alternatives: 1 });
    }
}
