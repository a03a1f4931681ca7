use serde::{Deserialize, Serialize};

/// How much each signal of a search counts; one that counts nothing is left out, and so is its cost.
///
/// The default is what searches rank with. Its numbers were chosen on development data: the questions
/// of `tests/eval/retrieval/development.toml`, and described functions of packages other than those
/// that are reported on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ranking {
    /// Words: what the best chunk of the full text gets.
    pub lexical: f32,
    /// How many times that in a question with identifiers, which are found by their letters.
    pub named_lexical: f32,
    /// Whether words stand for others that programmers write, and neighbours for joined names.
    pub expansion: bool,
    /// The first tier of vectors: what the nearest chunk gets.
    pub nearest: f32,
    /// The second tier of vectors: what a candidate gets for each 1 that the square of its cosine is above that of the
    /// farthest, of those that have one.
    pub model: f32,
    /// How many times that in a question with identifiers, of which a model knows little.
    pub named_model: f32,
    /// How many times that among code of languages that the model knows less of than Python: where all that
    /// it judges is such code.
    pub foreign_model: f32,
    /// What is left of words, first tier and names where the second tier judges.
    pub before: f32,
    /// A definition that is named with words of the question.
    pub names: f32,
    /// A definition that the question names.
    pub symbols: f32,
    /// What is left of that in a question of more than two words, shared by all definitions of that
    /// name: the name of what is asked for is rarely among the names that are mentioned.
    pub mentioned: f32,
    /// The same for the name that such a question begins with: it is often about that.
    pub leading: f32,
    /// A file that commits changed which said what the question does.
    pub history: f32,
    /// What is left of that for a question: it is about what is there, messages about what is to change.
    pub asked_history: f32,
    /// A file that the question names.
    pub paths: f32,
    /// What the next two places of a file add to its best one, as a share of their own.
    pub same_file: f32,
    /// What is left of the third best place of a file, of the fourth that twice over, and so on: an
    /// answer is to show several files.
    pub further: f32,
    /// Files that are open or mentioned get twice this, their neighbours once.
    pub near: f32,
    /// What is left of a test, an example or a changelog; 1 leaves them as they are.
    pub beside_the_point: f32,
}

impl Default for Ranking {
    fn default() -> Self {
        Self {
            lexical: 0.35,
            named_lexical: 1.8,
            expansion: true,
            nearest: 0.65,
            model: 2.6,
            named_model: 0.6,
            foreign_model: 0.5,
            before: 0.8,
            names: 0.2,
            symbols: 1.0,
            mentioned: 0.3,
            leading: 0.6,
            history: 2.5,
            asked_history: 0.4,
            paths: 1.2,
            same_file: 0.05,
            further: 0.9,
            near: 0.08,
            beside_the_point: 0.5,
        }
    }
}
