//! How much of each fault a run makes: the share that CI has time for, or all of it.

/// Chosen by `--full` on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    Short,
    Full,
}

impl Scale {
    pub fn from_arguments() -> Self {
        if std::env::args().any(|argument| argument == "--full") { Self::Full } else { Self::Short }
    }

    pub fn pick<T>(self, short: T, full: T) -> T {
        match self {
            Self::Short => short,
            Self::Full => full,
        }
    }
}
