//! What commands print for people and programs, on stdout.

use std::io::{self, BufWriter, StdoutLock, Write as _};

use anyhow::bail;

/// Who read the output wants no more of it. No failure: a command ends early and well.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output any more")]
pub struct ReaderGone;

/// Stdout, buffered: what was written is out once [`Output::flush`] returns.
pub struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    pub fn stdout() -> Output {
        Output(BufWriter::new(io::stdout().lock()))
    }

    /// Errors: [`ReaderGone`], or what the device says.
    pub fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.0.write_all(bytes).map_err(cause)
    }

    pub fn line(&mut self, text: &str) -> anyhow::Result<()> {
        self.write(text.as_bytes())?;
        self.write(b"\n")
    }

    pub fn flush(&mut self) -> anyhow::Result<()> {
        self.0.flush().map_err(cause)
    }
}

fn cause(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => ReaderGone.into(),
        _ => anyhow::Error::new(error).context("cannot write to stdout"),
    }
}

/// Of several things each was tried; says all that failed.
pub fn all_went_well(failures: &[String]) -> anyhow::Result<()> {
    match failures {
        [] => Ok(()),
        [one] => bail!("{one}"),
        many => bail!("{} failed:\n  {}", many.len(), many.join("\n  ")),
    }
}
