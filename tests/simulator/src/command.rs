//! The simulator's command line: seeds in, one line for each run out, and totals.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use crate::run::{Outcome, Scenario, run};
use crate::verdict::{Failure, Kind};

const USAGE: &str = "usage: cargo xtask sim [--seed S] [--seeds N]

  --seed S    run this seed alone, or begin with it when --seeds is given (default 1; 0x for hex)
  --seeds N   how many seeds to run, one after the other (default 1)

The log of a simulated broker is printed where RUST_LOG says so, such as RUST_LOG=info.
Exit codes: 0 all is well, 2 misuse, 127 crash, 128 liveness, 129 correctness.";

struct Arguments {
    first_seed: u64,
    seed_count: u64,
}

/// Runs what the command line asks for.
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(Arguments { first_seed, seed_count }) = parse(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if std::env::var_os("RUST_LOG").is_some() {
        // Without times: the world has its own.
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .without_time()
            .init();
    }
    let mut totals = Totals::default();
    for seed in first_seed..first_seed.saturating_add(seed_count) {
        match run_seed(seed) {
            Ok(outcome) => {
                println!("ok   SEED={seed:#x} {}", line(&outcome));
                totals.add(&outcome);
            }
            Err(failure) => {
                println!("{failure}\n{}", reproduce(seed));
                return ExitCode::from(failure.kind.exit_code());
            }
        }
    }
    println!("{}", totals.text());
    ExitCode::SUCCESS
}

fn run_seed(seed: u64) -> Result<Outcome, Failure> {
    let scenario = Scenario::of_seed(seed);
    println!("SEED={seed:#x} commit={} {scenario}", commit());
    // A panic is the broker's: its assertions are the invariants' too.
    let ran = std::panic::catch_unwind(|| run(&scenario));
    ran.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        let what = format!("panic: {}", text.unwrap_or("without a text"));
        Err(Failure { kind: Kind::Crash, invariant: None, what })
    })
}

/// How a failed run is run again.
pub fn reproduce(seed: u64) -> String {
    format!("reproduce: git checkout {} && cargo xtask sim --seed {seed:#x}", commit())
}

/// What was built, as `cargo xtask` tells.
fn commit() -> String {
    std::env::var("MILLRACE_COMMIT").unwrap_or_else(|_| "HEAD".to_owned())
}

fn parse(arguments: &[String]) -> Option<Arguments> {
    let mut parsed = Arguments { first_seed: 1, seed_count: 1 };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let value = words.next()?;
        let number = match value.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok()?,
            None => value.parse().ok()?,
        };
        match word.as_str() {
            "--seed" => parsed.first_seed = number,
            "--seeds" => parsed.seed_count = number,
            _ => return None,
        }
    }
    Some(parsed)
}

fn line(outcome: &Outcome) -> String {
    format!(
        "trace={:016x} virtual_s={:.1} acknowledged={} compared={} restarts={} polls={} faults={}",
        outcome.trace_hash,
        outcome.virtual_time.as_secs_f64(),
        outcome.acknowledged_records,
        outcome.compared_records,
        outcome.restarts,
        outcome.counters.polls,
        counts(&outcome.faults),
    )
}

fn counts(counts: &BTreeMap<&'static str, u64>) -> String {
    let texts: Vec<String> = counts.iter().map(|(name, count)| format!("{name}:{count}")).collect();
    texts.join(",")
}

/// Sums over all runs.
#[derive(Default)]
struct Totals {
    runs: u64,
    virtual_time: Duration,
    acknowledged_records: u64,
    compared_records: u64,
    restarts: u64,
    faults: BTreeMap<&'static str, u64>,
    world_faults: BTreeMap<&'static str, u64>,
    marks: BTreeMap<&'static str, u64>,
}

impl Totals {
    fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.virtual_time += outcome.virtual_time;
        self.acknowledged_records += outcome.acknowledged_records;
        self.compared_records += outcome.compared_records;
        self.restarts += outcome.restarts;
        for (sums, counts) in [
            (&mut self.faults, &outcome.faults),
            (&mut self.world_faults, &outcome.counters.faults),
            (&mut self.marks, &outcome.marks),
        ] {
            for (name, count) in counts {
                *sums.entry(name).or_default() += count;
            }
        }
    }

    fn text(&self) -> String {
        format!(
            "{} runs, {:.2} virtual hours, {} records acknowledged, {} compared, {} restarts\n\
             faults: {}\nof the world: {}\nmarks: {}",
            self.runs,
            self.virtual_time.as_secs_f64() / 3_600.0,
            self.acknowledged_records,
            self.compared_records,
            self.restarts,
            counts(&self.faults),
            counts(&self.world_faults),
            counts(&self.marks),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_decimal_or_hex() {
        let parse = |text: &str| {
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            parse(&words).map(|arguments| (arguments.first_seed, arguments.seed_count))
        };
        assert_eq!(parse(""), Some((1, 1)));
        assert_eq!(parse("--seeds 40"), Some((1, 40)));
        assert_eq!(parse("--seed 0x1f --seeds 2"), Some((31, 2)));
        for wrong in ["--seed", "--seed x", "--node 1", "7"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
