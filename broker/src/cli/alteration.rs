//! How something is altered: tried or done, and told to people or programs.

use anyhow::Result;
use serde_json::Value;

use super::bootstrap::Bootstrap;
use super::output::Output;

#[derive(clap::Args)]
pub struct Alteration {
    /// Only say whether the cluster would do it.
    #[arg(long)]
    pub dry_run: bool,
    /// Print an object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub bootstrap: Bootstrap,
}

impl Alteration {
    /// Says that `what` is altered, or could be, and `how` (empty, or from its colon on); to programs `object`,
    /// which gets `dry_run` too.
    pub fn tell(&self, what: &str, how: &str, mut object: Value) -> Result<()> {
        let mut output = Output::stdout();
        if self.json {
            object["dry_run"] = self.dry_run.into();
            output.line(&object.to_string())?;
        } else {
            let done = if self.dry_run { "could be altered" } else { "is altered" };
            output.line(&format!("{what} {done}{how}."))?;
        }
        output.flush()
    }
}
