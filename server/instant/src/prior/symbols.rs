//! What a prior is about: frequent tokens by their text, and all other words by their place.
//!
//! A word that is not frequent in its language says nothing outside its own program, but where it stood
//! before does: in `self.width = width` the second `width` is "the nearest unknown word". So unknown words
//! are numbered backwards from the place that is predicted, and n-grams over these numbers hold for
//! names that nobody has ever seen.

use crate::lexer::is_word;

/// A token without its blanks, as a prior knows it.
pub(crate) type Symbol = u16;
/// A symbol, times four, plus the blanks before it.
pub(crate) type Next = u16;

// The first five are the vocabulary's fixed numbers: a file's border, three line breaks, anything else.
pub(crate) const OTHER: Symbol = 4;
/// A number that is not frequent.
pub(crate) const NUMBER: Symbol = 5;
/// A word that is neither frequent nor among the nearest; one symbol for each [`Shape`].
const NEW: Symbol = 6;
/// The nearest unknown words; [`SHAPES`] symbols for each.
const SLOT: Symbol = NEW + SHAPES;
/// The first frequent token.
pub(crate) const FIRST_TEXT: Symbol = SLOT + SLOTS as Symbol * SHAPES;
/// Symbols and blanks share 16 bits.
pub(crate) const MAX_SYMBOLS: usize = 1 << 14;

/// How many of the nearest unknown words are told apart.
pub(crate) const SLOTS: usize = 8;
/// How many tokens back they are looked for.
pub(crate) const WINDOW: usize = 64;

const SHAPES: Symbol = 3;

/// How a word is written, which tells in most languages what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `name`, `someName`, `some_name`.
    Lower,
    /// `SomeName`.
    Upper,
    /// `SOME_NAME`, `T`.
    Capitals,
}

impl Shape {
    pub(crate) fn of(word: &str) -> Self {
        let first = word.chars().find(|char| *char != '_');
        if !first.is_some_and(char::is_uppercase) {
            Self::Lower
        } else if word.chars().any(char::is_lowercase) {
            Self::Upper
        } else {
            Self::Capitals
        }
    }

    fn of_number(number: Symbol) -> Self {
        match number {
            0 => Self::Lower,
            1 => Self::Upper,
            _ => Self::Capitals,
        }
    }
}

/// What a symbol stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A line break or something that cannot be written.
    Fixed,
    /// Any word of this shape.
    New(Shape),
    /// The nearest unknown word but so many, if it has this shape.
    Slot(usize, Shape),
    /// The frequent token of this number.
    Text(usize),
}

pub(crate) fn meaning(symbol: Symbol) -> Meaning {
    if symbol < NEW {
        Meaning::Fixed
    } else if symbol < SLOT {
        Meaning::New(Shape::of_number(symbol - NEW))
    } else if symbol < FIRST_TEXT {
        let number = symbol - SLOT;
        Meaning::Slot(usize::from(number / SHAPES), Shape::of_number(number % SHAPES))
    } else {
        Meaning::Text(usize::from(symbol - FIRST_TEXT))
    }
}

/// The symbol of a token that is not frequent; a word's becomes that of its slot by [`Slots`].
pub(crate) fn unknown(text: &str) -> Symbol {
    match text.chars().next() {
        Some(first) if first.is_ascii_digit() => NUMBER,
        Some(first) if is_word(first) => NEW + Shape::of(text) as Symbol,
        _ => OTHER,
    }
}

/// Whether a symbol stands for a word that is not frequent and has no slot.
pub(crate) fn is_new(symbol: Symbol) -> bool {
    (NEW..SLOT).contains(&symbol)
}

/// Unknown words before a place, nearest first.
#[derive(Default)]
pub(crate) struct Slots {
    names: [u32; SLOTS],
    len: usize,
}

impl Slots {
    /// The symbol of the next token further back: `symbol`, or the slot of `name` when that is unknown.
    pub(crate) fn back(&mut self, symbol: Symbol, name: u32) -> Symbol {
        if !is_new(symbol) {
            return symbol;
        }
        let names = self.names.get(..self.len).unwrap_or_default();
        let slot = names.iter().position(|it| *it == name).or_else(|| {
            *self.names.get_mut(self.len)? = name;
            self.len += 1;
            Some(self.len - 1)
        });
        slot.map_or(symbol, |slot| SLOT + slot as Symbol * SHAPES + (symbol - NEW))
    }

    /// The name in a slot.
    pub(crate) fn name(&self, slot: usize) -> Option<u32> {
        self.names.get(..self.len)?.get(slot).copied()
    }

    /// The symbol of a word that follows the place.
    pub(crate) fn next(&self, symbol: Symbol, name: u32) -> Symbol {
        if !is_new(symbol) {
            return symbol;
        }
        let slot = (0..self.len).find(|slot| self.name(*slot) == Some(name));
        slot.map_or(symbol, |slot| SLOT + slot as Symbol * SHAPES + (symbol - NEW))
    }
}

/// Name of a context: symbols are added backwards from the place. Part of the file format.
#[derive(Clone, Copy)]
pub(crate) struct ContextHash(u64);

impl ContextHash {
    pub(crate) const NOTHING: Self = Self(0x243f_6a88_85a3_08d3);

    pub(crate) fn back(self, symbol: Symbol) -> Self {
        let mixed = (self.0 ^ u64::from(symbol)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(mixed ^ (mixed >> 29))
    }

    pub(crate) fn finish(self) -> u64 {
        let mixed = self.0.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_told_by_its_shape() {
        let shapes = ["name", "_name", "Name", "_Name", "NAME", "T", "_"].map(Shape::of);
        let [l, u, c] = [Shape::Lower, Shape::Upper, Shape::Capitals];
        assert_eq!(shapes, [l, l, u, u, c, c, l]);
        assert_eq!([unknown("7"), unknown("→"), unknown("a")], [NUMBER, OTHER, NEW]);
        assert_eq!(meaning(unknown("A")), Meaning::New(Shape::Capitals));
    }

    #[test]
    fn unknown_words_are_numbered_backwards() {
        let mut slots = Slots::default();
        let (lower, upper) = (unknown("a"), unknown("Aa"));
        let row = [(lower, 70), (FIRST_TEXT, 5), (upper, 71), (lower, 70)];
        let meanings = row.map(|(symbol, name)| meaning(slots.back(symbol, name)));
        let first = Meaning::Slot(0, Shape::Lower);
        assert_eq!(meanings, [first, Meaning::Text(0), Meaning::Slot(1, Shape::Upper), first]);
        assert_eq!(meaning(slots.next(lower, 70)), first);
        assert_eq!(meaning(slots.next(lower, 72)), Meaning::New(Shape::Lower));
        assert_eq!((slots.name(1), slots.name(2)), (Some(71), None));
    }
}
