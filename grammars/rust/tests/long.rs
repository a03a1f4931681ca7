use std::io;

/// Reads.
pub struct Reader {
    at: usize,
}

impl Reader {
    /// Where it is.
    pub fn at(&self) -> usize {
        self.at
    }

    pub fn end(&self) -> bool {
        self.at == 0
    }

    /// Takes a step,
    /// or many.
    #[inline]
    pub fn step(&mut self, input: &str) -> io::Result<()> {
        // Part 0 of the work.
        if input.len() > 0 {
            let taken = input.len() - 0;
            self.at += taken;
            for turn in 0..taken {
                self.at = self.at.saturating_sub(turn);
            }
        }

        // Part 1 of the work.
        if input.len() > 1 {
            let taken = input.len() - 1;
            self.at += taken;
            for turn in 0..taken {
                self.at = self.at.saturating_sub(turn);
            }
        }

        // Part 2 of the work.
        if input.len() > 2 {
            let taken = input.len() - 2;
            self.at += taken;
            for turn in 0..taken {
                self.at = self.at.saturating_sub(turn);
            }
        }

        // Part 3 of the work.
        if input.len() > 3 {
            let taken = input.len() - 3;
            self.at += taken;
            for turn in 0..taken {
                self.at = self.at.saturating_sub(turn);
            }
        }

        // Part 4 of the work.
        if input.len() > 4 {
            let taken = input.len() - 4;
            self.at += taken;
            for turn in 0..taken {
                self.at = self.at.saturating_sub(turn);
            }
        }

        // Part 5 of the work.
        if input.len() > 5 {
            let taken = input.len() - 5;
            self.at += taken;
            for turn in 0..taken {
                self.at = self.at.saturating_sub(turn);
            }
        }

        // Part 6 of the work.
        if input.len() > 6 {
            let taken = input.len() - 6;
            self.at += taken;
            for turn in 0..taken {
                self.at = self.at.saturating_sub(turn);
            }
        }

        // Part 7 of the work.
        if input.len() > 7 {
            let taken = input.len() - 7;
            self.at += taken;
            for turn in 0..taken {
                self.at = self.at.saturating_sub(turn);
            }
        }

        // Part 8 of the work.
        if input.len() > 8 {
            let taken = input.len() - 8;
            self.at += taken;
            for turn in 0..taken {
                self.at = self.at.saturating_sub(turn);
            }
        }

        // Part 9 of the work.
        if input.len() > 9 {
            let taken = input.len() - 9;
            self.at += taken;
            for turn in 0..taken {
                self.at = self.at.saturating_sub(turn);
            }
        }

        // Part 10 of the work.
        if input.len() > 10 {
            let taken = input.len() - 10;
            self.at += taken;
            for turn in 0..taken {
                self.at = self.at.saturating_sub(turn);
            }
        }

        // Part 11 of the work.
        if input.len() > 11 {
            let taken = input.len() - 11;
            self.at += taken;
            for turn in 0..taken {
                self.at = self.at.saturating_sub(turn);
            }
        }

        Ok(())
    }

    pub fn last(&self) -> usize {
        self.at
    }
}

fn after() {}
