use std::sync::OnceLock;

use inference::InferenceError;
use llama_cpp_2::{model::LlamaModel, sampling::LlamaSampler};
use llguidance::{Matcher, ParserFactory, api::TopLevelGrammar};

/// Makes matchers for grammars. The first costs a walk through the vocabulary.
#[derive(Default)]
pub struct Grammars {
    factory: OnceLock<Result<ParserFactory, String>>,
}

impl Grammars {
    /// A matcher for a grammar in Lark's notation.
    pub fn matcher(&self, model: &LlamaModel, grammar: &str) -> Result<Matcher, InferenceError> {
        let factory = self.factory.get_or_init(|| {
            let environment = LlamaSampler::llguidance_tok_env(model);
            let mut factory =
                ParserFactory::new_simple(&environment).map_err(|error| error.to_string())?;
            factory.quiet();
            Ok(factory)
        });
        let refused =
            |reason: &str| InferenceError::Engine(format!("cannot follow the grammar: {reason}"));
        let factory = factory.as_ref().map_err(|error| refused(error))?;
        let parser = factory.create_parser(TopLevelGrammar::from_lark(grammar.to_owned()));
        let matcher = Matcher::new(parser);
        match matcher.get_error() {
            Some(error) => Err(refused(&error)),
            None => Ok(matcher),
        }
    }
}
