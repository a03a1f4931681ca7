use std::{path::PathBuf, sync::Arc, time::Duration};

use base::CancelToken;
use completion::{
    CompletionAnswer, CompletionContext, CompletionOptions, CompletionParams, Stage, Timings,
};
use inference::LanguageModel;
use prompt::fit_for_completion;
use serde::Serialize;
use text::{LineIndex, Position};

use crate::{
    AssistantError, AssistantSnapshot, completion_model::completion_model, excerpts::Spot,
    shared::Activity, wire::Range,
};

/// What a completion cost.
pub type CompletionTimings = Timings;

/// A place where ghost text is wanted.
#[derive(Clone, Debug, Default)]
pub struct CompleteRequest {
    /// The file.
    pub path: PathBuf,
    /// The cursor.
    pub position: Position,
    /// The unsaved text, where it is not an open document's.
    pub text: Option<String>,
}

/// One suggestion.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CompleteItem {
    /// Names it in completion events.
    #[serde(skip)]
    pub id: String,
    /// What is inserted.
    pub insert_text: String,
    /// What it replaces; usually nothing, at the cursor.
    pub range: Range,
    /// How likely it is to be right, from 0 to 1.
    pub confidence: f32,
}

/// The suggestions, or why there are none.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CompleteAnswer {
    /// The suggestions, best first.
    pub items: Vec<CompleteItem>,
    /// Why there are none.
    pub reason: Option<String>,
    /// Who made them.
    pub model: Option<String>,
    /// What it cost.
    pub timings: CompletionTimings,
}

/// Why a suggestion is shown or not.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Why there is none; `None` when there is one.
    pub reason: Option<String>,
    /// What was done.
    pub stages: Vec<Stage>,
    /// What the model saw, if one was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
}

impl AssistantSnapshot {
    /// What ghost text shows at a place.
    pub fn complete(
        &self,
        request: &CompleteRequest,
        cancel: &CancelToken,
    ) -> Result<CompleteAnswer, AssistantError> {
        let (answer, text) = self.completion(request, false, cancel)?;
        let index = LineIndex::new(&text);
        let items = answer.items.into_iter().map(|item| CompleteItem {
            id: item.id,
            insert_text: item.insert_text,
            range: Range::of(item.range, &text, &index, self.encoding),
            confidence: item.confidence,
        });
        Ok(CompleteAnswer {
            items: items.collect(),
            reason: answer.reason.map(|reason| reason.to_string()),
            model: answer.model,
            timings: answer.timings,
        })
    }

    /// Why ghost text shows what it shows at a place.
    pub fn explain_completion(
        &self,
        request: &CompleteRequest,
        cancel: &CancelToken,
    ) -> Result<Explanation, AssistantError> {
        let (answer, _) = self.completion(request, true, cancel)?;
        Ok(Explanation {
            reason: answer.reason.map(|reason| reason.to_string()),
            stages: answer.stages,
            prompt: answer.prompt,
        })
    }

    fn completion(
        &self,
        request: &CompleteRequest,
        explain: bool,
        cancel: &CancelToken,
    ) -> Result<(CompletionAnswer, Arc<str>), AssistantError> {
        let path = self.relative(&request.path)?;
        let text: Arc<str> = match &request.text {
            Some(text) => text.as_str().into(),
            None => self.text(&request.path)?,
        };
        if let Some(reason) = self.switched_off(request) {
            let answer = CompletionAnswer { reason: Some(reason), ..CompletionAnswer::default() };
            return Ok((answer, text));
        }
        let workspace = self.shared.instant.current();
        if !self.watch {
            workspace.refresh(&self.index.snapshot()?, cancel);
        }
        let unfit_model = self.shared.config.read().completion_any_model;
        let model = if self.watch {
            self.shared.completion_model.ready(&self.shared, workspace.adapter())
        } else {
            completion_model(&self.shared, workspace.adapter().as_deref(), cancel)
        };
        let _busy = model.is_some().then(|| self.shared.busy(Activity::Completing));
        let offset = LineIndex::new(&text).offset(&text, request.position, self.encoding);
        let spot = Spot {
            path: &path,
            before: text.get(..offset).unwrap_or_default(),
            line: request.position.line,
        };
        let asked = model.as_ref().and_then(|model| model.loaded());
        let asked = asked.filter(|info| unfit_model || fit_for_completion(info));
        let excerpts = match (asked, self.index.snapshot()) {
            (Some(_), Ok(index)) => workspace.excerpts.at(spot, &index, cancel),
            _ => Arc::default(),
        };
        let answer = completion::complete(
            &CompletionContext {
                instant: &workspace.instant,
                model: model.as_deref().map(|model| model as &dyn LanguageModel),
                excerpts: &excerpts,
                cache: &workspace.cache,
            },
            &CompletionParams {
                path: &path,
                text: &text,
                offset,
                options: CompletionOptions { unfit_model, explain, ..CompletionOptions::default() },
            },
            cancel,
        );
        cancel.check()?;
        for stage in &answer.stages {
            let time = Duration::from_secs_f64(stage.ms.max(0.0) / 1000.0);
            self.shared.timings.record(stage.name, time);
        }
        Ok((answer, text))
    }

    /// Whether the person wants no ghost text here.
    fn switched_off(&self, request: &CompleteRequest) -> Option<completion::Reason> {
        let (config, editor) = (self.shared.config.read(), self.shared.editor_settings.read());
        let enabled = editor.completion_enabled.unwrap_or(true) && config.completion_enabled;
        let open = self.files.open(&request.path);
        let language = open.map(|document| document.language_id.as_str()).unwrap_or_default();
        let disabled = config.completion_disabled_languages.contains(language)
            || editor.completion_disabled_languages.contains(language);
        (!enabled || disabled).then_some(completion::Reason::Disabled)
    }
}
