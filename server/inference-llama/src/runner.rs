//! The engine thread: one step of the most urgent job after the other.

use std::{
    cmp::Reverse,
    time::{Duration, Instant},
};

use crossbeam_channel::Receiver;
use inference::{FinishReason, InferenceError, MAX_BATCH, Progress, Sequence};
use llama_cpp_2::llama_batch::LlamaBatch;

use crate::{
    job::Job,
    slot::{Slot, SlotOptions},
    tokenize::Tokenizer,
};

/// How long a batch should take: what a keystroke or a cancellation waits for. A second and a half
/// lets two slow cores take whole batches of a small model, with which they are as fast as can be.
const BATCH_TIME: Duration = Duration::from_millis(1500);
/// Smaller batches are a fifth slower and more, so this many are taken as long as they do not take
/// more than [`BEARABLE_TIME`]. Measured on SmolLM2-135M Q4_0, one AVX-512 core, in tokens a
/// second: 256 tokens 260, 192 tokens 247, 64 to 128 tokens 215, fewer 136.
const EFFICIENT_BATCH: usize = 64;
/// A quarter of the silence after which an engine counts as hung.
const BEARABLE_TIME: Duration = Duration::from_millis(2500);
/// The smallest batch, which even the slowest machine finishes within seconds.
const MIN_BATCH: usize = 8;
/// llama.cpp computes attention over so many cells of the cache at a time (`llama_kv_cache::get_n_kv`), used or
/// not: batches that end there leave none unused. 900 tokens of SmolLM2-135M Q8_0 were read 4 to 8 % faster
/// than in two equal parts (two AVX-512 cores, twelve rounds).
const CACHE_STEP: usize = 256;
/// Parameters times tokens a second, of two slow cores: all that is known before the first batch.
const FIRST_SPEED: f32 = 3e10;

/// Contexts for conversations: two, so that an edit does not cost a chat its state.
const CONVERSATIONS: usize = 2;
/// A new context is made rather than so many tokens of another conversation forgotten.
const WORTH_KEEPING: usize = 256;

pub struct Runner<'model> {
    tokenizer: &'model Tokenizer,
    options: SlotOptions,
    slots: Vec<Slot<'model>>,
    jobs: Vec<Job>,
    batch: LlamaBatch<'static>,
    pace: Pace,
    progress: Progress,
    clock: u64,
}

impl<'model> Runner<'model> {
    /// With one context, so that a model that cannot have one is noticed.
    pub fn new(
        tokenizer: &'model Tokenizer,
        options: SlotOptions,
        progress: Progress,
    ) -> Result<Self, InferenceError> {
        Ok(Self {
            tokenizer,
            options,
            slots: vec![Slot::new(tokenizer.model(), options)?],
            jobs: Vec::new(),
            batch: LlamaBatch::new(MAX_BATCH, 1),
            pace: Pace::of(tokenizer.model().n_params()),
            progress,
            clock: 0,
        })
    }

    /// Works until nobody can send jobs any more.
    pub fn run(mut self, queue: &Receiver<Job>) {
        loop {
            if self.jobs.is_empty() {
                let Ok(job) = queue.recv() else { return };
                self.jobs.push(job);
            }
            self.jobs.extend(queue.try_iter());
            self.turn();
        }
    }

    /// Ends what nobody waits for and takes one step of the most urgent job.
    fn turn(&mut self) {
        self.end_unwanted();
        let urgency = |(_, job): &(usize, &Job)| (Reverse(job.priority), job.id);
        let Some((index, _)) = self.jobs.iter().enumerate().min_by_key(urgency) else { return };
        match self.step(index) {
            Ok(None) => {}
            Ok(Some(finish)) => self.end(index, Ok(finish)),
            Err(error) => self.end(index, Err(error)),
        }
        self.progress.step();
    }

    fn end_unwanted(&mut self) {
        let mut index = 0;
        while let Some(job) = self.jobs.get(index) {
            match job.ending() {
                Some(result) => self.end(index, result),
                None => index += 1,
            }
        }
    }

    fn end(&mut self, index: usize, result: Result<FinishReason, InferenceError>) {
        let job = self.jobs.swap_remove(index);
        for slot in self.slots.iter_mut().filter(|slot| slot.owner == Some(job.id)) {
            slot.owner = None;
        }
        job.finish(result);
    }

    /// One batch of the job's tokens, and the choice of its next token once all are evaluated.
    fn step(&mut self, index: usize) -> Result<Option<FinishReason>, InferenceError> {
        let at = self.slot_for(index)?;
        let (Some(slot), Some(job)) = (self.slots.get_mut(at), self.jobs.get_mut(index)) else {
            return Ok(None);
        };
        self.clock += 1;
        slot.used = self.clock;
        // The last token is evaluated in any case: the choice of the next one needs its logits.
        let kept = slot.shared(&job.tokens).min(job.tokens.len().saturating_sub(1));
        slot.truncate(kept);
        job.cached.get_or_insert(slot.len());
        let todo = job.tokens.get(slot.len()..).unwrap_or_default();
        let batch = todo.get(..self.pace.next(slot.len(), todo.len())).unwrap_or(todo);
        let began = Instant::now();
        slot.evaluate(batch, &mut self.batch)?;
        self.pace.note(batch.len(), began.elapsed());
        if slot.len() < job.tokens.len() {
            return Ok(None);
        }
        job.advance(slot.logits(), self.tokenizer, self.options.context)
    }

    /// The context that a job goes on in: its own, else the one that shares most with it, else a
    /// new one, else that of the least urgent other job, which will evaluate its tokens again.
    fn slot_for(&mut self, index: usize) -> Result<usize, InferenceError> {
        let Some(job) = self.jobs.get(index) else { return Ok(0) };
        let own = self.slots.iter().position(|slot| slot.owner == Some(job.id));
        if let Some(at) = own {
            return Ok(at);
        }
        let (id, sequence) = (job.id, job.sequence);
        let mine = |slot: &Slot<'_>| slot.sequence.is_none_or(|other| other == sequence);
        let free = self
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| mine(slot) && slot.owner.is_none())
            .map(|(at, slot)| (slot.shared(&job.tokens), Reverse(slot.used), at, slot.len()))
            .max();
        let most = match sequence {
            Sequence::Completion => 1,
            Sequence::Conversation => CONVERSATIONS,
        };
        let made = self.slots.iter().filter(|slot| slot.sequence == Some(sequence)).count();
        let at = match free {
            Some((shared, _, at, length)) if made >= most || length - shared <= WORTH_KEEPING => at,
            _ if made < most => {
                self.slots.push(Slot::new(self.tokenizer.model(), self.options)?);
                self.slots.len() - 1
            }
            Some((_, _, at, _)) => at,
            None => self.least_urgent(sequence),
        };
        if let Some(slot) = self.slots.get_mut(at) {
            slot.owner = Some(id);
            slot.sequence = Some(sequence);
        }
        Ok(at)
    }

    fn least_urgent(&self, sequence: Sequence) -> usize {
        let urgency = |slot: &Slot<'_>| {
            let job = self.jobs.iter().find(|job| slot.owner == Some(job.id));
            job.map(|job| (job.priority, Reverse(job.id)))
        };
        let slots = self.slots.iter().enumerate();
        let taken = slots.filter(|(_, slot)| slot.sequence == Some(sequence));
        taken.min_by_key(|(_, slot)| urgency(slot)).map_or(0, |(at, _)| at)
    }
}

/// How many tokens go into a batch, by the speed so far.
struct Pace {
    /// Tokens a second, averaged.
    speed: f32,
}

impl Pace {
    fn of(parameters: u64) -> Self {
        Self { speed: FIRST_SPEED / parameters.max(1) as f32 }
    }

    /// How many of `todo` tokens to evaluate at once behind `position` others: up to a place where
    /// the cache that attention goes over grows, and leaving no small rest.
    fn next(&self, position: usize, todo: usize) -> usize {
        let most = self.batch();
        if todo <= most {
            return todo;
        }
        let border = CACHE_STEP - position % CACHE_STEP;
        let border = if border < CACHE_STEP / 4 { border + CACHE_STEP / 2 } else { border };
        let batch = most.min(border);
        if todo - batch < EFFICIENT_BATCH / 2 { todo.div_ceil(2) } else { batch }
    }

    fn batch(&self) -> usize {
        let tokens = |time: Duration| (self.speed * time.as_secs_f32()) as usize;
        let bearable = tokens(BEARABLE_TIME).min(EFFICIENT_BATCH);
        tokens(BATCH_TIME).max(bearable).clamp(MIN_BATCH, MAX_BATCH)
    }

    /// Batches of a few tokens say nothing about large ones.
    fn note(&mut self, tokens: usize, time: Duration) {
        if tokens >= MIN_BATCH {
            let speed = tokens as f32 / time.as_secs_f32().max(1e-6);
            self.speed = 0.5 * self.speed + 0.5 * speed;
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::unbounded;
    use inference::{GenerateRequest, Priority, PromptPiece, Sampling, fake::write_tiny_model};

    use super::*;
    use crate::{
        backend::load_model,
        job::{Event, Ticket},
    };

    #[test]
    fn a_batch_takes_about_the_same_time_on_any_machine() {
        let after = |tokens_per_second: f32| {
            let mut pace = Pace::of(500_000_000);
            assert_eq!(pace.batch(), 90);
            for _ in 0..20 {
                let tokens = pace.batch();
                pace.note(tokens, Duration::from_secs_f32(tokens as f32 / tokens_per_second));
            }
            pace.batch()
        };
        assert_eq!(after(1.0), MIN_BATCH);
        assert_eq!(after(10.0), 25, "at most two and a half seconds");
        assert_eq!(after(40.0), EFFICIENT_BATCH);
        assert!((148..=150).contains(&after(100.0)), "about a second and a half");
        assert_eq!(after(5000.0), MAX_BATCH);
    }

    #[test]
    fn batches_end_where_the_cache_grows_and_leave_no_small_rest() {
        let check = |cached: usize, prompt: usize, speed: f32, expected: &[usize]| {
            let pace = Pace { speed };
            let (mut position, mut batches) = (cached, Vec::new());
            while position < prompt {
                batches.push(pace.next(position, prompt - position));
                position += batches.last().expect("just pushed");
            }
            assert_eq!(batches, expected);
        };
        check(0, 900, 1000.0, &[256, 256, 256, 132]);
        check(100, 900, 1000.0, &[156, 256, 256, 132]);
        check(250, 900, 1000.0, &[134, 128, 256, 132]);
        check(0, 260, 1000.0, &[130, 130]);
        check(600, 601, 1000.0, &[1]);
        check(0, 300, 60.0, &[90, 90, 76, 44]);
    }

    /// Runs `test` with a runner of the tiny model and a way to add jobs to it.
    fn with_runner(test: impl FnOnce(&mut Runner<'_>, &Tokenizer)) {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        write_tiny_model(file.path(), 1).expect("written");
        let model = load_model(file.path(), false, &Progress::new()).expect("loaded");
        let tokenizer = Tokenizer::new(model);
        let options = SlotOptions { context: 1024, threads: 1 };
        let mut runner = Runner::new(&tokenizer, options, Progress::new()).expect("a context");
        test(&mut runner, &tokenizer);
    }

    struct Waiting {
        events: Receiver<Event>,
        ticket: Ticket,
    }

    impl Waiting {
        /// The text so far and how it ended, if it has.
        fn outcome(&self) -> (String, Option<Result<FinishReason, InferenceError>>) {
            let mut text = String::new();
            for event in self.events.try_iter() {
                match event {
                    Event::Text(more) => text += &more,
                    Event::Done(result) => return (text, Some(result.map(|(finish, _)| finish))),
                }
            }
            (text, None)
        }
    }

    fn add(
        runner: &mut Runner<'_>,
        tokenizer: &Tokenizer,
        prompt: &str,
        (priority, sequence): (Priority, Sequence),
    ) -> Waiting {
        let request = GenerateRequest {
            prompt: vec![PromptPiece::Text(prompt.into())],
            max_tokens: 12,
            sampling: Sampling::GREEDY,
            stop: Vec::new(),
            priority,
            sequence,
            heal: false,
            grammar: None,
        };
        let (sender, events) = unbounded();
        let ticket = Ticket::default();
        let prompt = tokenizer.prompt(&request.prompt).expect("a prompt");
        let id = runner.clock + runner.jobs.len() as u64;
        let parts = (ticket.clone(), sender);
        runner.jobs.push(Job::new(id, &request, prompt, None, tokenizer, parts));
        Waiting { events, ticket }
    }

    fn finish(runner: &mut Runner<'_>) {
        while !runner.jobs.is_empty() {
            runner.turn();
        }
    }

    const CHAT: (Priority, Sequence) = (Priority::Chat, Sequence::Conversation);
    const EDIT: (Priority, Sequence) = (Priority::Edit, Sequence::Conversation);
    const COMPLETION: (Priority, Sequence) = (Priority::Completion, Sequence::Completion);

    #[test]
    fn a_cancelled_prompt_ends_after_the_batch() {
        with_runner(|runner, tokenizer| {
            let waiting = add(runner, tokenizer, &"long ".repeat(150), CHAT);
            runner.turn();
            assert_eq!(waiting.outcome(), (String::new(), None), "750 tokens take more batches");
            waiting.ticket.cancel.cancel();
            runner.turn();
            assert_eq!(waiting.outcome().1, Some(Err(InferenceError::Cancelled)));
            assert!(runner.slots[0].len() < 600);
            assert_eq!(runner.slots[0].owner, None);
        });
    }

    /// A job that is interrupted once, after any number of its steps, says what it says alone.
    fn check_interruption(interrupted: (Priority, Sequence), by: (Priority, Sequence)) {
        let prompt = "tell me more. ".repeat(40);
        let mut steps = 0;
        let mut alone = None;
        with_runner(|runner, tokenizer| {
            let waiting = add(runner, tokenizer, &prompt, interrupted);
            while !runner.jobs.is_empty() {
                runner.turn();
                steps += 1;
            }
            alone = Some(waiting.outcome());
        });
        assert!(steps > 12, "batches of the prompt, and 12 tokens: {steps}");
        for before in 1..steps {
            with_runner(|runner, tokenizer| {
                let first = add(runner, tokenizer, &prompt, interrupted);
                (0..before).for_each(|_| runner.turn());
                let held = runner.slots[0].len();
                let second = add(runner, tokenizer, "fn main() {", by);
                while runner.jobs.len() > 1 {
                    runner.turn();
                }
                assert!(second.outcome().1.is_some(), "the urgent one came first");
                assert_eq!(runner.slots[0].len(), held, "nothing was lost");
                finish(runner);
                assert_eq!(Some(first.outcome()), alone, "after {before} steps");
                assert_eq!(runner.slots.len(), 2);
            });
        }
    }

    #[test]
    fn a_completion_interrupts_a_chat_which_then_goes_on() {
        check_interruption(CHAT, COMPLETION);
    }

    #[test]
    fn an_edit_interrupts_a_chat_which_then_goes_on() {
        check_interruption(CHAT, EDIT);
    }

    #[test]
    fn without_a_free_context_the_least_urgent_starts_again() {
        with_runner(|runner, tokenizer| {
            let jobs: Vec<Waiting> = [CHAT, (Priority::Background, Sequence::Conversation), EDIT]
                .into_iter()
                .map(|kind| {
                    let waiting = add(runner, tokenizer, "one and the same prompt ", kind);
                    runner.turn();
                    runner.turn();
                    waiting
                })
                .collect();
            finish(runner);
            let outcomes: Vec<_> = jobs.iter().map(Waiting::outcome).collect();
            assert_eq!(outcomes[0], outcomes[1]);
            assert_eq!(outcomes[0], outcomes[2]);
            assert_eq!(runner.slots.len(), CONVERSATIONS);
        });
    }

    #[test]
    fn another_conversation_does_not_cost_a_long_one_its_state() {
        with_runner(|runner, tokenizer| {
            let long = "a long conversation about much. ".repeat(12);
            for (prompt, contexts) in [(long.as_str(), 1), ("short", 2), (long.as_str(), 2)] {
                add(runner, tokenizer, prompt, CHAT);
                finish(runner);
                assert_eq!(runner.slots.len(), contexts);
            }
            assert!(runner.slots[0].len() > 300);
        });
    }
}
