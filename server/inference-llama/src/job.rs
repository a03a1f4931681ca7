use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use base::CancelToken;
use crossbeam_channel::Sender;
use inference::{FinishReason, GenerateRequest, InferenceError, Priority, Sequence, Usage};
use llama_cpp_2::token::LlamaToken;
use llguidance::Matcher;

use crate::{
    detokenize::Detokenizer,
    healing::Healing,
    sampler::Sampler,
    stop::StopFilter,
    tokenize::{Prompt, Tokenizer},
};

/// What the engine says to the thread that waits for a job.
pub enum Event {
    Text(String),
    Done(Result<(FinishReason, Usage), InferenceError>),
}

/// How the thread that waits can end a job.
#[derive(Clone, Default)]
pub struct Ticket {
    pub cancel: CancelToken,
    pub stop: Arc<AtomicBool>,
}

/// A generation on its way. All that it is lies in its tokens: whatever context they are
/// evaluated in, as often as need be, it goes on where it was.
pub struct Job {
    pub id: u64,
    pub priority: Priority,
    pub sequence: Sequence,
    /// The prompt and what was generated.
    pub tokens: Vec<LlamaToken>,
    /// Tokens of the prompt that needed no evaluation, known after the first step.
    pub cached: Option<usize>,
    ticket: Ticket,
    events: Sender<Event>,
    began: Instant,
    first_token_ms: Option<u64>,
    prompt_tokens: usize,
    max_tokens: usize,
    generated: usize,
    penalised: bool,
    sampler: Sampler,
    healing: Option<Healing>,
    grammar: Option<Matcher>,
    detokenizer: Detokenizer,
    stop: StopFilter,
}

impl Job {
    pub fn new(
        id: u64,
        request: &GenerateRequest,
        prompt: Prompt,
        grammar: Option<Matcher>,
        tokenizer: &Tokenizer,
        (ticket, events): (Ticket, Sender<Event>),
    ) -> Self {
        let Prompt { mut tokens, plain } = prompt;
        let prompt_tokens = tokens.len();
        let heal = request.heal && grammar.is_none();
        let healing = heal
            .then(|| Healing::begin(&mut tokens, plain, |token| tokenizer.bytes(token)))
            .flatten();
        Self {
            id,
            priority: request.priority,
            sequence: request.sequence,
            tokens,
            cached: None,
            ticket,
            events,
            began: Instant::now(),
            first_token_ms: None,
            prompt_tokens,
            max_tokens: request.max_tokens,
            generated: 0,
            penalised: request.sampling.repeat_penalty > 1.0,
            sampler: Sampler::new(request.sampling),
            healing,
            grammar,
            detokenizer: Detokenizer::default(),
            stop: StopFilter::new(&request.stop),
        }
    }

    /// Whether the thread that waits wants no more, and what it is told then.
    pub fn ending(&self) -> Option<Result<FinishReason, InferenceError>> {
        if self.ticket.cancel.is_cancelled() {
            return Some(Err(InferenceError::Cancelled));
        }
        self.ticket.stop.load(Ordering::Acquire).then_some(Ok(FinishReason::Stopped))
    }

    /// Chooses the next token by the logits behind all tokens so far; the reason if it was the
    /// last. `context` is how many tokens fit in all.
    pub fn advance(
        &mut self,
        logits: &[f32],
        tokenizer: &Tokenizer,
        context: usize,
    ) -> Result<Option<FinishReason>, InferenceError> {
        if self.generated >= self.max_tokens {
            return Ok(Some(FinishReason::MaxTokens));
        }
        let Some(token) = self.choose(logits, tokenizer)? else {
            return Ok(Some(self.end_of_text()));
        };
        self.first_token_ms.get_or_insert_with(|| self.began.elapsed().as_millis() as u64);
        if tokenizer.vocab().is_eog(LlamaToken(token as i32)) {
            return Ok(Some(self.end_of_text()));
        }
        self.tokens.push(LlamaToken(token as i32));
        self.generated += 1;
        if self.show(token, tokenizer) {
            return Ok(Some(FinishReason::StopString));
        }
        if self.grammar.as_ref().is_some_and(Matcher::is_stopped) {
            return Ok(Some(self.end_of_text()));
        }
        if self.generated >= self.max_tokens || self.tokens.len() >= context {
            self.flush();
            return Ok(Some(FinishReason::MaxTokens));
        }
        Ok(None)
    }

    /// Tells the thread that waits how it ended.
    pub fn finish(self, result: Result<FinishReason, InferenceError>) {
        let total_ms = self.began.elapsed().as_millis() as u64;
        let usage = Usage {
            prompt_tokens: self.prompt_tokens,
            cached_tokens: self.cached.unwrap_or(0),
            generated_tokens: self.generated,
            first_token_ms: self.first_token_ms.unwrap_or(total_ms),
            total_ms,
        };
        self.send(Event::Done(result.map(|finish| (finish, usage))));
    }

    fn choose(
        &mut self,
        logits: &[f32],
        tokenizer: &Tokenizer,
    ) -> Result<Option<u32>, InferenceError> {
        let recent: Vec<u32> = if self.penalised {
            self.tokens.iter().rev().take(64).rev().map(|token| token.0 as u32).collect()
        } else {
            Vec::new()
        };
        if let Some(healing) = &self.healing {
            let allowed = |token| healing.allows(tokenizer.bytes(token));
            return Ok(self.sampler.choose(logits, &recent, Some(&allowed)));
        }
        let Some(matcher) = &mut self.grammar else {
            return Ok(self.sampler.choose(logits, &recent, None));
        };
        let failed = |error| InferenceError::Engine(format!("the grammar failed: {error}"));
        let mask = matcher.compute_mask_or_eos().map_err(failed)?;
        let allowed = |token| mask.is_allowed(token);
        let token = self.sampler.choose(logits, &recent, Some(&allowed));
        if let Some(token) = token {
            matcher.consume_token(token).map_err(failed)?;
        }
        Ok(token)
    }

    /// Sends what can be shown after `token`; true when a stop string came.
    fn show(&mut self, token: u32, tokenizer: &Tokenizer) -> bool {
        let mut bytes = tokenizer.bytes(token);
        if let Some(healing) = &mut self.healing {
            let (added, healed) = healing.take(bytes);
            bytes = added;
            if healed {
                self.healing = None;
            }
        }
        let mut text = String::new();
        self.detokenizer.push(bytes, &mut text);
        let (text, stopped) = self.stop.push(&text);
        self.send_text(text);
        stopped
    }

    fn end_of_text(&mut self) -> FinishReason {
        self.flush();
        FinishReason::EndOfText
    }

    fn flush(&mut self) {
        let held = self.stop.finish();
        self.send_text(held);
    }

    fn send_text(&self, text: String) {
        if !text.is_empty() {
            self.send(Event::Text(text));
        }
    }

    /// Nobody listens once the thread that waited is gone; the ticket says so at the next step.
    fn send(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::{Receiver, unbounded};
    use inference::{Progress, PromptPiece, Sampling, fake::write_tiny_model};

    use super::*;
    use crate::backend::load_model;

    fn tokenizer() -> Tokenizer {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        write_tiny_model(file.path(), 1).expect("written");
        Tokenizer::new(load_model(file.path(), false, &Progress::new()).expect("loaded"))
    }

    fn job(tokenizer: &Tokenizer, prompt: &str, heal: bool) -> (Job, Receiver<Event>) {
        let request = GenerateRequest {
            prompt: vec![PromptPiece::Text(prompt.into())],
            max_tokens: 8,
            sampling: Sampling::GREEDY,
            stop: vec!["\n\n".into()],
            priority: Priority::Chat,
            sequence: Sequence::Conversation,
            heal,
            grammar: None,
        };
        let (sender, events) = unbounded();
        let prompt = tokenizer.prompt(&request.prompt).expect("a prompt");
        (Job::new(0, &request, prompt, None, tokenizer, (Ticket::default(), sender)), events)
    }

    /// The model wants these tokens, by their text, in order of preference at each place: the
    /// text that is shown and how it ended.
    fn check(
        prompt: &str,
        heal: bool,
        wanted: &[&[&[u8]]],
        expected: (&str, Option<FinishReason>),
    ) {
        let tokenizer = tokenizer();
        let (mut job, events) = job(&tokenizer, prompt, heal);
        let mut finish = None;
        for wanted in wanted {
            let mut logits = vec![0.0; tokenizer.vocab().n_tokens() as usize];
            for (rank, text) in wanted.iter().enumerate() {
                let token = (0..300).find(|token| tokenizer.bytes(*token) == *text);
                logits[token.expect("the text of a token") as usize] = 9.0 - rank as f32;
            }
            finish = job.advance(&logits, &tokenizer, 1024).expect("a step");
        }
        drop(job);
        let shown = events.iter().map(|event| match event {
            Event::Text(text) => text,
            Event::Done(_) => unreachable!("only `finish` says so"),
        });
        assert_eq!((shown.collect::<String>().as_str(), finish), expected);
    }

    #[test]
    fn a_healed_prompt_goes_on_inside_its_last_word() {
        check("self.asser", true, &[&[b"x", b"assert"], &[b"Eq"]], ("tEq", None));
        check(
            "self.asser",
            true,
            &[&[b"as"], &[b"x", b"s"], &[b"e"], &[b"r"], &[b"T"]],
            ("T", None),
        );
        check("self.asser", false, &[&[b"x", b"assert"]], ("x", None));
    }

    #[test]
    fn characters_and_stop_strings_may_be_spread_over_tokens() {
        let euro: [&[&[u8]]; 3] = [&[b"\xe2"], &[b"\x82"], &[b"\xac"]];
        check("a", false, &euro, ("€", None));
        let stop: [&[&[u8]]; 3] = [&[b"x"], &[b"\n"], &[b"\n"]];
        check("a", false, &stop, ("x", Some(FinishReason::StopString)));
        check("a", false, &stop[..2], ("x", None));
    }

    #[test]
    fn the_upper_bound_shows_what_was_held_back() {
        let lines: [&[&[u8]]; 8] = [&[b"a"]; 8];
        check("a", false, &lines, ("aaaaaaaa", Some(FinishReason::MaxTokens)));
        let mut lines = lines;
        lines[7] = &[b"\n"];
        check("a", false, &lines, ("aaaaaaa\n", Some(FinishReason::MaxTokens)));
    }
}
