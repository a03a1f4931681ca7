use inference::{GenerateRequest, Generation, InferenceError, ModelInfo};
use serde::{Deserialize, Serialize};

/// Parent to child. The end of the stream asks the child to end.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the parent, unique within one child.
    pub id: u64,
    pub body: RequestBody,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum RequestBody {
    /// Answered once the model is loaded. The child begins to load it when it starts.
    Load,
    Generate(GenerateRequest),
    CountTokens(String),
    Embed(Vec<String>),
    /// Scores passages for a question.
    Score(String, Vec<String>),
    /// Ends the generation of this id as if the sink had asked to.
    Stop,
    /// Nobody waits for the answer to this id any more.
    Cancel,
}

/// Child to parent.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reply {
    /// The request's, or 0.
    pub id: u64,
    pub body: ReplyBody,
}

/// All but `Delta` and `Alive` are the one answer to their request.
#[derive(Debug, Serialize, Deserialize)]
pub enum ReplyBody {
    /// The engine made progress since the last one.
    Alive,
    /// More text of a generation.
    Delta(String),
    Loaded(Served),
    /// Its text went before as deltas and is empty here.
    Generated(Generation),
    Count(usize),
    Embedded(Vec<Vec<f32>>),
    Scored(Vec<f32>),
    Failed(InferenceError),
}

/// What a child has loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Served {
    /// A language model.
    Language(Box<ModelInfo>),
    /// A model that turns texts into vectors of this length.
    Embedder {
        /// Numbers in a vector.
        dimensions: usize,
    },
    /// A model that scores passages.
    Reranker,
}
