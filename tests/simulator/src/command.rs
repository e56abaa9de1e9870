//! The simulator's command line: seeds in, a line for each run out, and totals.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::thread::available_parallelism;

use crate::campaign::Campaign;

const USAGE: &str = "usage: cargo xtask sim [--seed S] [--seeds N] [--threads T]

  --seed S      run this seed alone, or begin with it when --seeds is given (default 1; 0x for hex)
  --seeds N     how many seeds to run (default 1)
  --threads T   how many of them at once (default: as many as there are processors)

The log of a simulated broker is printed where RUST_LOG says so, such as RUST_LOG=info.
Exit codes: 0 all is well, 2 misuse, 3 the runs are too small to say so, 127 crash, 128 liveness,
129 correctness.";

/// Nothing is wrong, but too little was tried.
const EXIT_BELOW_FLOOR: u8 = 3;

/// Runs what the command line asks for.
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(campaign) = parse(&arguments) else {
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
    let totals = match campaign.run() {
        Ok(totals) => totals,
        Err(failure) => return ExitCode::from(failure.kind.exit_code()),
    };
    println!("{}", totals.text());
    match totals.below_floor() {
        Some(why) => {
            println!("FAIL {why}");
            ExitCode::from(EXIT_BELOW_FLOOR)
        }
        None => ExitCode::SUCCESS,
    }
}

fn parse(arguments: &[String]) -> Option<Campaign> {
    let threads = available_parallelism().map_or(1, usize::from);
    let mut parsed = Campaign { first_seed: 1, seed_count: 1, threads };
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
            "--threads" => parsed.threads = usize::try_from(number).ok()?,
            _ => return None,
        }
    }
    Some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_decimal_or_hex() {
        let parse = |text: &str| {
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            parse(&words).map(|campaign| (campaign.first_seed, campaign.seed_count))
        };
        assert_eq!(parse(""), Some((1, 1)));
        assert_eq!(parse("--seeds 40"), Some((1, 40)));
        assert_eq!(parse("--seed 0x1f --seeds 2 --threads 1"), Some((31, 2)));
        for wrong in ["--seed", "--seed x", "--node 1", "7"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
