//! `millrace storage verify`: is everything in the log directories as it should be?

use std::path::PathBuf;

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use storage::StorageError;
use storage::verify::{Finding, Severity, Verified};

use super::on_core::run_on_core;
use super::{Source, all_directories};

/// Check every batch, index, snapshot and checkpoint; nothing is changed. Exits with 1 where records
/// are damaged or missing, or a start would be refused.
///
/// Example: millrace storage verify -c server.properties
#[derive(clap::Args)]
pub struct Verify {
    /// Kafka's server.properties; without it the embedded default.
    #[arg(short = 'c', long)]
    config: Option<PathBuf>,
    /// Print what is found as JSON, an object a line, the last with the totals.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: Source,
}

impl Verify {
    pub fn run(&self) -> Result<()> {
        let config = self.source.load(self.config.as_deref())?.config;
        let mut damage_count = 0;
        for directory in all_directories(&config) {
            let verified = verify(directory.clone())?;
            damage_count += verified.count(Severity::Damage);
            for finding in &verified.findings {
                if self.json { print_json(finding) } else { print(finding) }
            }
            let totals = serde_json::json!({
                "directory": directory,
                "partitions": verified.partitions,
                "segments": verified.segments,
                "batches": verified.batches,
                "records": verified.records,
                "size_bytes": verified.size_bytes,
                "damaged": verified.count(Severity::Damage),
                "mended_by_the_next_start": verified.count(Severity::Mended),
            });
            if self.json { println!("{totals}") } else { print_totals(&directory, &verified) }
        }
        match damage_count {
            0 => Ok(()),
            1 => bail!("found damage in one place"),
            _ => bail!("found damage in {damage_count} places"),
        }
    }
}

fn verify(directory: PathBuf) -> Result<Verified, anyhow::Error> {
    let bar = progress_bar("verifying");
    let shown = bar.clone();
    let path = directory.clone();
    let verified: Result<Verified, StorageError> =
        run_on_core(&[&directory], move || async move {
            storage::verify::verify(&path, &mut |progress| {
                shown.set_length(progress.total_bytes);
                shown.set_position(progress.done_bytes);
            })
            .await
        })?;
    bar.finish_and_clear();
    Ok(verified?)
}

/// Bytes done; drawn where stderr is a terminal.
pub fn progress_bar(what: &'static str) -> ProgressBar {
    let template = "{msg} [{wide_bar}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    let bar = ProgressBar::new(0).with_message(what);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn name_of(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Mended => "mended by the next start",
        Severity::Damage => "damage",
    }
}

fn print(finding: &Finding) {
    let Finding { severity, path, position, what, help } = finding;
    let position = position.map(|position| format!(" at position {position}")).unwrap_or_default();
    println!("{}: {}{position}: {what}\n    {help}", name_of(*severity), path.display());
}

fn print_json(finding: &Finding) {
    let line = serde_json::json!({
        "severity": name_of(finding.severity),
        "path": finding.path,
        "position": finding.position,
        "what": finding.what,
        "help": finding.help,
    });
    println!("{line}");
}

fn print_totals(directory: &std::path::Path, verified: &Verified) {
    println!(
        "{}: {} partitions, {} segments, {} batches, {} records, {} bytes: {}",
        directory.display(),
        verified.partitions,
        verified.segments,
        verified.batches,
        verified.records,
        verified.size_bytes,
        match (verified.count(Severity::Damage), verified.count(Severity::Mended)) {
            (0, 0) => "all is well".to_owned(),
            (damage, mended) => format!("{damage} damaged, {mended} mended by the next start"),
        }
    );
}
