use inference::ModelInfo;

/// How much a model can be trusted with, by its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Below 0.4 billion weights: follows one short instruction on text that it sees.
    Tiny,
    /// Below 2 billion: answers simple questions from short excerpts.
    Small,
    /// The rest.
    Full,
}

impl Capability {
    /// The capability of a model, by the number of weights that its name or identifier tells, such
    /// as `135M` or `1.5B`. A model that tells none is taken for a full one.
    pub fn of(info: &ModelInfo) -> Self {
        let name = info.name.as_deref().unwrap_or_default();
        let billions = [name, info.id.as_str()].into_iter().find_map(billions_of);
        match billions {
            Some(billions) if billions < 0.4 => Self::Tiny,
            Some(billions) if billions < 2.0 => Self::Small,
            _ => Self::Full,
        }
    }
}

/// The first word of `name` that is a number followed by `M` or `B`, in billions.
fn billions_of(name: &str) -> Option<f64> {
    name.split(|ch: char| !ch.is_ascii_alphanumeric() && ch != '.').find_map(|word| {
        let word = word.to_ascii_lowercase();
        let (number, factor) = match (word.strip_suffix('b'), word.strip_suffix('m')) {
            (Some(number), _) => (number, 1.0),
            (None, Some(number)) => (number, 0.001),
            (None, None) => return None,
        };
        number.parse::<f64>().ok().map(|number| number * factor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_read_from_the_name() {
        for (id, expected) in [
            ("SmolLM2-135M-Instruct", Capability::Tiny),
            ("smollm2-360m", Capability::Tiny),
            ("Qwen2.5-Coder-1.5B-Instruct-Q4_K_M", Capability::Small),
            ("qwen2.5-coder-7b", Capability::Full),
            ("codestral", Capability::Full),
        ] {
            let info = ModelInfo { id: id.into(), ..ModelInfo::default() };
            assert_eq!(Capability::of(&info), expected, "{id}");
        }
    }
}
