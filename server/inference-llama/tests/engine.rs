//! The engine with a tiny model of random weights: what it says makes no sense, so the tests
//! compare it with itself or force it by a grammar.

use std::{fs, ops::ControlFlow, path::Path};

use base::CancelToken;
use inference::{
    FinishReason, GenerateRequest, Generation, InferenceError, LanguageModel, Priority, Progress,
    PromptPiece, Sampling, Sequence,
    fake::{write_scripted_model, write_tiny_model},
};
use inference_llama::{
    Continuation, LlamaEngine, LlamaOptions, Quantization, Vocabulary, perplexity, quantize,
    system_info,
};
use tempfile::{NamedTempFile, TempDir};

fn tiny() -> NamedTempFile {
    let file = NamedTempFile::new().expect("a temporary file");
    write_tiny_model(file.path(), 1).expect("written");
    file
}

fn engine() -> LlamaEngine {
    load(tiny().path()).expect("loaded")
}

fn load(path: &Path) -> Result<LlamaEngine, InferenceError> {
    LlamaEngine::load(&LlamaOptions::new(path), &Progress::new())
}

fn request(prompt: &str) -> GenerateRequest {
    GenerateRequest {
        prompt: vec![PromptPiece::Text(prompt.into())],
        max_tokens: 16,
        sampling: Sampling::GREEDY,
        stop: Vec::new(),
        priority: Priority::Chat,
        sequence: Sequence::Conversation,
        heal: false,
        grammar: None,
    }
}

fn generate(engine: &LlamaEngine, request: &GenerateRequest) -> Result<Generation, InferenceError> {
    let mut streamed = String::new();
    let generation = engine.generate(request, &CancelToken::new(), &mut |text| {
        streamed += text;
        ControlFlow::Continue(())
    })?;
    assert_eq!(streamed, generation.text, "the stream is the answer");
    Ok(generation)
}

#[test]
fn a_repeated_beginning_is_not_evaluated_again_and_changes_nothing() {
    let engine = engine();
    let mut prompt = "fn add(left: u32, right: u32) -> u32 {\n".repeat(4);
    for _ in 0..6 {
        let warm = generate(&engine, &request(&prompt)).expect("generated");
        let cold = generate(&self::engine(), &request(&prompt)).expect("generated");
        assert_eq!(warm.text, cold.text);
        assert_eq!(cold.usage.cached_tokens, 0);
        assert_eq!(warm.usage.prompt_tokens, cold.usage.prompt_tokens);
        prompt.push_str("    l");
    }
    let again = generate(&engine, &request(&prompt)).expect("generated");
    assert!(again.usage.prompt_tokens - again.usage.cached_tokens <= 5, "{:?}", again.usage);
    prompt.insert(60, '!');
    let moved = generate(&engine, &request(&prompt)).expect("generated");
    assert_eq!(moved.usage.cached_tokens, 61, "the start token and 60 of one byte each");
}

#[test]
fn a_prompt_alone_can_be_evaluated_in_advance() {
    let engine = engine();
    let advance = GenerateRequest { max_tokens: 0, ..request("in advance") };
    let generation = generate(&engine, &advance).expect("evaluated");
    assert_eq!((generation.text.as_str(), generation.finish), ("", FinishReason::MaxTokens));
    let generation = generate(&engine, &request("in advance!")).expect("generated");
    assert_eq!(generation.usage.cached_tokens, generation.usage.prompt_tokens - 1);
}

#[test]
fn cancelling_and_stopping_end_a_generation() {
    let engine = engine();
    let request = GenerateRequest { max_tokens: 500, ..request("go on and on ") };
    let cancel = CancelToken::new();
    let cancelled = engine.generate(&request, &cancel, &mut |_| {
        cancel.cancel();
        ControlFlow::Continue(())
    });
    assert_eq!(cancelled, Err(InferenceError::Cancelled));
    let mut texts = Vec::new();
    let stopped = engine
        .generate(&request, &CancelToken::new(), &mut |text| {
            texts.push(text.to_owned());
            if texts.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .expect("an answer");
    assert_eq!(stopped.finish, FinishReason::Stopped);
    assert_eq!(stopped.text, texts.concat());
    assert_eq!(texts.len(), 3);
}

/// What a grammar forces the model to say, cut by stop strings.
fn check_grammar(grammar: &str, stop: &[&str], expected: (&str, FinishReason)) {
    let stop = stop.iter().map(|text| (*text).to_owned()).collect();
    let request = GenerateRequest { grammar: Some(grammar.into()), stop, ..request("say ") };
    let generation = generate(&engine(), &request).expect("generated");
    assert_eq!((generation.text.as_str(), generation.finish), expected);
}

#[test]
fn a_grammar_decides_what_is_said() {
    check_grammar(r#"start: "self.assertEq""#, &[], ("self.assertEq", FinishReason::EndOfText));
    check_grammar(r#"start: "zwölf €""#, &[], ("zwölf €", FinishReason::EndOfText));
    check_grammar(r#"start: "abcdef""#, &["x", "cd"], ("ab", FinishReason::StopString));
    check_grammar(r#"start: "abc€""#, &["€"], ("abc", FinishReason::StopString));
}

#[test]
fn a_grammar_that_makes_no_sense_is_an_error() {
    let request = GenerateRequest { grammar: Some("start: (".into()), ..request("say ") };
    let error = generate(&engine(), &request).expect_err("refused");
    assert!(error.to_string().starts_with("cannot follow the grammar: "), "{error}");
}

#[test]
fn chance_is_repeatable() {
    let engine = engine();
    let sampling =
        Sampling { temperature: 1.5, top_k: 40, top_p: 0.9, repeat_penalty: 1.1, seed: 3 };
    let request = GenerateRequest { sampling, ..request("roll ") };
    let first = generate(&engine, &request).expect("generated");
    let second = generate(&engine, &request).expect("generated");
    assert_eq!(first.text, second.text);
}

#[test]
fn a_prompt_must_fit() {
    let engine = engine();
    let limit = engine.info().context;
    let error = generate(&engine, &request(&"x".repeat(limit))).expect_err("refused");
    assert_eq!(error, InferenceError::ContextTooLong { tokens: limit + 1, limit });
    let endless = GenerateRequest { max_tokens: usize::MAX, ..request(&"x".repeat(limit - 5)) };
    let generation = generate(&engine, &endless).expect("generated");
    assert!(generation.usage.generated_tokens <= 5);
}

#[test]
fn the_file_says_what_the_model_is() {
    let engine = engine();
    let info = engine.info();
    assert_eq!((info.architecture.as_str(), info.name.as_deref()), ("llama", Some("tiny")));
    assert_eq!(info.context, 1024, "what it was trained with");
    assert_eq!((info.bos_token.as_str(), info.eos_token.as_str()), ("<|start|>", "<|end|>"));
    assert!(info.chat_template.as_deref().is_some_and(|template| template.contains("im_start")));
    assert_eq!(info.fim.as_ref().map(|fim| fim.middle.as_str()), Some("<|fim_middle|>"));
    assert_eq!(engine.count_tokens("self.x", &CancelToken::new()), Ok(3));
}

#[test]
fn files_that_are_no_models_are_refused_with_a_reason() {
    let folder = TempDir::new().expect("a temporary folder");
    let whole = tiny();
    let bytes = fs::read(whole.path()).expect("read");
    let mut strange = bytes.clone();
    strange[0] = b'X';
    let cases = [
        ("missing", None, "there is no such file"),
        ("strange", Some(strange.as_slice()), "magic"),
        ("short", bytes.get(..1000), "; remove it"),
        ("cut", bytes.get(..bytes.len() - 100), "; remove it"),
        ("empty", Some(&[][..]), "; remove it"),
    ];
    for (name, content, expected) in cases {
        let path = folder.path().join(name);
        if let Some(content) = content {
            fs::write(&path, content).expect("written");
        }
        let Err(InferenceError::ModelFile { path: named, reason }) = load(&path) else {
            panic!("{name} was not refused as a file");
        };
        assert!(named == path && reason.contains(expected), "{name}: {reason}");
    }
}

fn check_tokens(pieces: &[PromptPiece], expected: &[&str]) {
    let vocabulary = Vocabulary::load(tiny().path()).expect("loaded");
    let tokens = vocabulary.tokenize(pieces).expect("tokens");
    let texts: Vec<_> = tokens.iter().filter_map(|token| vocabulary.token_text(*token)).collect();
    assert_eq!(texts, expected);
}

#[test]
fn only_markup_names_special_tokens() {
    let text = |text: &str| PromptPiece::Text(text.into());
    let markup = |text: &str| PromptPiece::Markup(text.into());
    check_tokens(&[text("self.a")], &["<|start|>", "self", ".", "a"]);
    check_tokens(
        &[markup("<|im_start|>se"), text("lf"), markup("<|im_end|>")],
        &["<|start|>", "<|im_start|>", "self", "<|im_end|>"],
    );
    check_tokens(&[markup("<|start|>a")], &["<|start|>", "a"]);
    check_tokens(&[markup("<|start|><|start|>")], &["<|start|>"]);
    check_tokens(&[text("<|end|>")], &["<|start|>", "<", "|", "e", "n", "d", "|", ">"]);
    check_tokens(
        &[PromptPiece::Special("<|fim_prefix|>".into()), text("a")],
        &["<|start|>", "<|fim_prefix|>", "a"],
    );
    let unknown = PromptPiece::Special("<|nothing|>".into());
    let vocabulary = Vocabulary::load(tiny().path()).expect("loaded");
    let error = vocabulary.tokenize(&[unknown]).expect_err("refused");
    assert!(error.to_string().contains("<|nothing|>"));
}

#[test]
fn a_scripted_model_says_its_pieces_at_any_temperature() {
    let file = NamedTempFile::new().expect("a temporary file");
    write_scripted_model(file.path(), &["fn main() {\n", "    naïve();\n", "}\n"])
        .expect("written");
    let engine = load(file.path()).expect("loaded");
    for temperature in [0.0, 0.4, 1.0] {
        let sampling = Sampling { temperature, repeat_penalty: 1.1, ..Sampling::GREEDY };
        let said = generate(&engine, &GenerateRequest { sampling, ..request("go on") });
        let said = said.expect("generated");
        assert_eq!(said.text, "fn main() {\n    naïve();\n}\n");
        assert_eq!(said.finish, FinishReason::EndOfText);
    }
}

#[test]
fn a_smaller_model_says_much_the_same() {
    let folder = TempDir::new().expect("a temporary folder");
    let (whole, text) = (tiny(), "the quick brown fox jumps over the lazy dog. ".repeat(60));
    let small = folder.path().join("small.gguf");
    quantize(whole.path(), &small, Quantization::Q8_0).expect("written");
    let size = |path: &Path| fs::metadata(path).expect("a file").len();
    assert!(size(&small) < size(whole.path()) / 2);
    let before = perplexity(whole.path(), &text).expect("measured");
    let after = perplexity(&small, &text).expect("measured");
    assert!((after / before - 1.0).abs() < 0.05, "{before} became {after}");
    let absent = folder.path().join("absent");
    assert!(quantize(&absent, &small, Quantization::Q4_0).is_err());
    assert!(perplexity(&small, "short").is_err());
}

#[test]
fn the_kernels_use_the_vector_unit() {
    // llama.cpp writes the description anew into one string whenever it is asked.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..200).for_each(|_| drop(system_info().expect("described"))));
        }
    });
    let info = system_info().expect("described");
    assert!(info.contains("AVX2 = 1") || info.contains("NEON = 1"), "{info}");
}

#[test]
fn what_is_likeliest_is_what_is_scored_highest() {
    let engine = engine();
    // More than one batch, so that places in later ones are told apart.
    let text = "fn add(left: u32, right: u32) -> u32 {\n".repeat(18);
    let prompt = engine.tokenize(&[PromptPiece::Text(text)]).expect("tokens");
    assert!(prompt.len() > 512, "{} tokens", prompt.len());
    let followed = engine.greedy(&prompt, 6).expect("tokens");
    let continuation =
        Continuation { tokens: [prompt.as_slice(), &followed].concat(), from: prompt.len() };
    let logits = engine.logits(&continuation).expect("logits");
    assert_eq!(logits.len(), followed.len());
    let mut surprise = 0.0;
    for (logits, token) in logits.iter().zip(&followed) {
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        assert!(logits[*token as usize] > highest - 1e-3, "batches of other sizes round otherwise");
        let all: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
        surprise += all.ln() - f64::from(logits[*token as usize] - highest);
    }
    assert!((engine.surprise(&continuation).expect("a number") - surprise).abs() < 1e-6);
}

#[test]
fn a_continuation_begins_with_the_word_that_healing_takes_off() {
    let engine = engine();
    let text = |tokens: &[i32]| -> String {
        let vocabulary = Vocabulary::load(tiny().path()).expect("loaded");
        tokens.iter().filter_map(|token| vocabulary.token_text(*token)).collect()
    };
    let pieces = [PromptPiece::Text("self.asser".into())];
    let found = engine.continuation(&pieces, "tEq(1)").expect("tokens");
    let (prompt, rest) = found.tokens.split_at(found.from);
    assert_eq!(text(&found.tokens), "<|start|>self.assertEq(1)");
    assert!(prompt.len() < engine.tokenize(&pieces).expect("tokens").len());
    assert!("asser".starts_with(&text(rest)[..1]), "{:?}", text(rest));
}
