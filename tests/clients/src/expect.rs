//! What Apache Kafka was seen to answer, a line for each question, and what is answered now.

use crate::{Kind, tools::root};
use anyhow::{Context, Result, ensure};

/// Every line of `said` is as in `file`, below the root, and there are no others. What Apache Kafka says
/// is taken instead: `MILLRACE_TEST_BROKER=kafka UPDATE_EXPECT=1 cargo test -p clients -- static`.
pub fn check_lines(kind: Kind, file: &str, said: &str) -> Result<()> {
    let path = root().join(file);
    if kind == Kind::Kafka && std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, said)?;
    }
    let wanted = std::fs::read_to_string(&path).with_context(|| file.to_owned())?;
    let differ: Vec<String> = wanted
        .lines()
        .zip(said.lines())
        .filter(|(wanted, said)| wanted != said)
        .map(|(wanted, said)| format!("wanted {wanted}\n  said {said}"))
        .collect();
    ensure!(differ.is_empty(), "{file}: {} lines differ:\n{}", differ.len(), differ.join("\n"));
    let (wanted, said) = (wanted.lines().count(), said.lines().count());
    ensure!(wanted == said, "{file}: {said} lines instead of {wanted}");
    Ok(())
}
