//! What the crate is for.

use std::fmt;

/// Most tries.
pub const MAX: usize = 3;

static CACHE: Mutex<u32> = Mutex::new(0);

/// A pair
/// of things.
#[derive(Clone, Debug)]
#[serde(
    rename_all = "lowercase",
)]
pub struct Pair<T> {
    /// The left one.
    pub left: T,
    right: Option<T>, // not about the next
    last: u8,
}

struct Unit;

struct Tuple(u8, u16);

enum Shape {
    Circle { radius: f64 },
    Square(f64),
    /// Nothing.
    Empty = 3,
}

union Bits {
    int: u32,
}

type Alias<'a> = &'a str;

pub trait Draw: Sized {
    type Output;
    const NAME: &'static str;
    fn draw(&self) -> Self::Output;
    fn twice(&self) {
        self.draw();
    }
}

impl<T: Clone> Pair<T> {
    pub const SIZE: usize = 2;

    /// Makes one.
    pub fn new(left: T) -> Self {
        const LOCAL: u8 = 1;
        fn helper() {}
        let closure = |x: u8| x;
        Self { left, right: None, last: 0 }
    }
}

impl<T> fmt::Display for Pair<T>
where
    T: fmt::Display,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.left)
    }
}

impl<'a> Draw for &'a mut other::Shape<'a> {
    type Output = ();
    const NAME: &'static str = "shape";
    fn draw(&self) {}
}

macro_rules! shout {
    ($x:expr) => {
        println!("{}", $x)
    };
}

extern "C" {
    fn abort() -> !;
}

mod inner {
    pub(crate) async unsafe fn deep(
        first: u8,
        second: u8,
    ) -> u8 {
        first + second
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn works() {
            assert_eq!(1, 1);
        }
    }
}
