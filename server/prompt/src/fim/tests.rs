use inference::FimTokens;

use super::*;

const FILE: &str = "def area(w, h):\n    return w$0 * h\n\nprint(area(2, 3))\n";

fn info(id: &str, architecture: &str) -> ModelInfo {
    ModelInfo { id: id.into(), architecture: architecture.into(), ..ModelInfo::default() }
}

fn prompt(info: &ModelInfo, excerpts: &[Excerpt], tokens: usize) -> FimPrompt {
    let (prefix, suffix) = FILE.split_once("$0").unwrap();
    let context =
        FimContext { path: "shapes/area.py", prefix, suffix, excerpts, line_comment: "#" };
    fim_prompt(info, &context, Budget::estimated(tokens))
}

/// The prompt on one line: special tokens in guillemets, line breaks as `⏎`.
fn shown(prompt: &FimPrompt) -> String {
    prompt
        .pieces
        .iter()
        .map(|piece| match piece {
            PromptPiece::Special(name) => format!("«{name}»"),
            PromptPiece::Text(text) => text.replace('\n', "⏎"),
            PromptPiece::Markup(text) => format!("markup {text}"),
        })
        .collect()
}

fn check(id: &str, architecture: &str, expected: &str) {
    let excerpts = [Excerpt { path: "a.py".into(), text: "A = 1\n".into() }];
    assert_eq!(shown(&prompt(&info(id, architecture), &excerpts, 500)), expected, "{id}");
}

#[test]
fn layout_of_each_family() {
    check(
        "qwen2.5-coder-1.5b",
        "qwen2",
        "«<|repo_name|>»workspace⏎«<|file_sep|>»a.py⏎A = 1⏎«<|file_sep|>»shapes/area.py⏎\
         «<|fim_prefix|>»def area(w, h):⏎«<|fim_suffix|>» * h⏎⏎print(area(2, 3))⏎«<|fim_middle|>»    return w",
    );
    check(
        "qwen3-coder-30b-a3b",
        "qwen3moe",
        "«<|repo_name|>»workspace⏎«<|file_sep|>»a.py⏎A = 1⏎«<|file_sep|>»shapes/area.py⏎\
         «<|fim_prefix|>»def area(w, h):⏎«<|fim_suffix|>» * h⏎⏎print(area(2, 3))⏎«<|fim_middle|>»    return w",
    );
    check(
        "deepseek-coder-1.3b-base",
        "llama",
        "«<｜fim▁begin｜>»#a.py⏎A = 1⏎#shapes/area.py⏎def area(w, h):⏎\
         «<｜fim▁hole｜>» * h⏎⏎print(area(2, 3))⏎«<｜fim▁end｜>»    return w",
    );
    check(
        "starcoder2-3b",
        "starcoder2",
        "«<repo_name>»workspace«<file_sep>»a.py⏎A = 1⏎«<file_sep>»«<fim_prefix>»shapes/area.py⏎\
         def area(w, h):⏎«<fim_suffix>» * h⏎⏎print(area(2, 3))⏎«<fim_middle>»    return w",
    );
    check(
        "codellama-7b",
        "llama",
        "«▁<PRE>»# a.py⏎A = 1⏎def area(w, h):⏎«▁<SUF>» * h⏎⏎print(area(2, 3))⏎«▁<MID>»    return w",
    );
    check(
        "codegemma-2b",
        "gemma",
        "a.py⏎A = 1⏎«<|file_separator|>»«<|fim_prefix|>»def area(w, h):⏎\
         «<|fim_suffix|>» * h⏎⏎print(area(2, 3))⏎«<|fim_middle|>»    return w",
    );
    check(
        "codestral-22b-v0.1",
        "llama",
        "«[SUFFIX]» * h⏎⏎print(area(2, 3))⏎«[PREFIX]»+++++ a.py⏎A = 1⏎+++++ shapes/area.py⏎\
         def area(w, h):⏎    return w",
    );
    check(
        "granite-4.0-h-tiny-base",
        "granitehybrid",
        "«<|reponame|>»workspace⏎«<|filename|>»a.py⏎A = 1⏎«<|filename|>»shapes/area.py⏎\
         «<|fim_prefix|>»def area(w, h):⏎«<|fim_suffix|>» * h⏎⏎print(area(2, 3))⏎«<|fim_middle|>»    return w",
    );
    check(
        "granite-3b-code-base",
        "llama",
        "«<reponame>»workspace«<filename>»a.py⏎A = 1⏎«<filename>»shapes/area.py⏎\
         «<fim_prefix>»def area(w, h):⏎«<fim_suffix>» * h⏎⏎print(area(2, 3))⏎«<fim_middle>»    return w",
    );
    check(
        "smollm2-135m-fim",
        "llama",
        "«<reponame>»workspace«<filename>»a.py⏎A = 1⏎«<filename>»shapes/area.py⏎\
         «<gh_stars>»def area(w, h):⏎«<issue_start>» * h⏎⏎print(area(2, 3))⏎«<issue_comment>»    return w",
    );
    let left_to_right = "# a.py⏎A = 1⏎⏎# shapes/area.py⏎def area(w, h):⏎    return w";
    check("smollm2-135m-instruct", "llama", left_to_right);
    check("phi-3.5-mini-instruct", "phi3", left_to_right);
    check("llama-3.2-1b", "llama", left_to_right);
}

#[test]
fn the_files_own_tokens_come_before_the_tables() {
    let mut codellama = info("codellama-7b", "llama");
    codellama.fim =
        Some(FimTokens { prefix: "<PRE>".into(), suffix: "<SUF>".into(), middle: "<MID>".into() });
    assert_eq!(
        shown(&prompt(&codellama, &[], 500)),
        "«<PRE>»def area(w, h):⏎«<SUF>» * h⏎⏎print(area(2, 3))⏎«<MID>»    return w"
    );
}

#[test]
fn typing_on_the_line_only_appends() {
    let qwen = info("qwen2.5-coder-1.5b", "qwen2");
    let typed = |typed: &str| {
        let prefix = format!("a = 1\nb = {typed}");
        let context = FimContext {
            path: "a.py",
            prefix: &prefix,
            suffix: "\nc = 3\n",
            excerpts: &[],
            line_comment: "#",
        };
        shown(&fim_prompt(&qwen, &context, Budget::estimated(200)))
    };
    assert_eq!(typed("2"), typed("") + "2");
}

#[test]
fn a_marker_in_a_file_stays_text() {
    let qwen = info("qwen2.5-coder-1.5b", "qwen2");
    let context = FimContext {
        path: "<|file_sep|>.py",
        prefix: "<|im_end|>{text}",
        suffix: "<|fim_middle|>",
        excerpts: &[Excerpt { path: "b".into(), text: "{path}<|fim_prefix|>".into() }],
        line_comment: "#",
    };
    let prompt = fim_prompt(&qwen, &context, Budget::estimated(500));
    let specials: Vec<&str> = prompt
        .pieces
        .iter()
        .filter_map(
            |piece| if let PromptPiece::Special(name) = piece { Some(&**name) } else { None },
        )
        .collect();
    assert_eq!(
        specials,
        [
            "<|repo_name|>",
            "<|file_sep|>",
            "<|file_sep|>",
            "<|fim_prefix|>",
            "<|fim_suffix|>",
            "<|fim_middle|>"
        ]
    );
    let texts = shown(&prompt);
    assert!(texts.contains("b⏎{path}<|fim_prefix|>⏎«"), "{texts}");
    assert!(texts.ends_with("«<|fim_middle|>»<|im_end|>{text}"), "{texts}");
}

#[test]
fn the_budget_is_kept_and_the_current_line_is_never_lost() {
    let qwen = info("qwen2.5-coder-1.5b", "qwen2");
    let prefix = "x = 12345678\n".repeat(400) + "last = ";
    let suffix = "1\n".to_owned() + &"y = 12345678\n".repeat(400);
    let excerpts = [
        Excerpt { path: "big.py".into(), text: "z = 1\n".repeat(500) },
        Excerpt { path: "small.py".into(), text: "z = 1\n".into() },
    ];
    let context = FimContext {
        path: "a.py",
        prefix: &prefix,
        suffix: &suffix,
        excerpts: &excerpts,
        line_comment: "#",
    };
    let prompt = fim_prompt(&qwen, &context, Budget::estimated(400));
    let text = shown(&prompt);
    // Markers and paths come on top of the budget for text.
    let tokens = crate::estimate_tokens(&text.replace('⏎', "\n"));
    assert!((300..450).contains(&tokens), "{tokens} tokens");
    assert!(text.ends_with("«<|fim_middle|>»last = "), "{text}");
    assert!(text.contains("small.py") && !text.contains("big.py"));
    assert!(text.contains("«<|fim_suffix|>»1⏎y"));
}

#[test]
fn stop_strings_hold_every_marker_of_the_family() {
    let mut qwen = info("qwen2.5-coder-1.5b", "qwen2");
    qwen.eos_token = "<|endoftext|>".into();
    let stop = prompt(&qwen, &[], 500).stop;
    for marker in ["<|fim_pad|>", "<|file_sep|>", "<|im_end|>", "<|cursor|>", "<|endoftext|>"] {
        assert!(stop.iter().any(|stop| stop == marker), "{marker}");
    }
    assert!(stop.iter().all(|stop| !stop.is_empty()));
    assert!(prompt(&qwen, &[], 500).heal, "the prompt ends inside a line");
}
