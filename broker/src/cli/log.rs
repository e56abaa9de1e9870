//! The log: one line an event on stderr, as text for people or as JSON for programs.

use std::io::{self, IsTerminal as _, Write};

use tracing_subscriber::EnvFilter;

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people, in colours where stderr is a terminal.
    #[default]
    Text,
    /// An object a line: timestamp, level, target, message, and the event's own fields.
    Json,
}

/// Writes events to stderr from now on: those of INFO and above, or what `RUST_LOG` says.
pub fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // What cannot be written is dropped. To say so on the same stderr would panic, and end a broker because
    // whoever read its log has gone.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).log_internal_errors(false);
    match format {
        LogFormat::Text => builder
            .with_ansi(io::stderr().is_terminal())
            .with_writer(|| OneLine(io::stderr()))
            .init(),
        LogFormat::Json => builder.json().flatten_event(true).with_writer(io::stderr).init(),
    }
}

/// Writes each event on one line, whatever stands in it: an error's text may have several, and who can
/// name a file could write lines of its own.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    /// `event` is a whole one, which ends its line.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let end = event.len() - usize::from(event.ends_with(b"\n"));
        let (inside, ending) = event.split_at(end);
        if inside.iter().any(|byte| b"\n\r".contains(byte)) {
            let mut line = Vec::with_capacity(event.len() + 16);
            for byte in inside {
                match byte {
                    b'\n' => line.extend_from_slice(b"\\n"),
                    b'\r' => line.extend_from_slice(b"\\r"),
                    byte => line.push(*byte),
                }
            }
            line.extend_from_slice(ending);
            self.0.write_all(&line)?;
        } else {
            self.0.write_all(event)?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        for (event, want) in [
            ("INFO started\n", "INFO started\n"),
            ("WARN two\nlines\r\n of it\n", "WARN two\\nlines\\r\\n of it\n"),
            ("unended", "unended"),
            ("", ""),
        ] {
            let mut written = OneLine(Vec::new());
            assert_eq!(written.write(event.as_bytes()).expect("a vector takes all"), event.len());
            assert_eq!(String::from_utf8(written.0).expect("text"), want);
        }
    }
}
