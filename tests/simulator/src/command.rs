//! The simulator's command line: seeds in, a line for each run out, and totals.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::thread::available_parallelism;

use crate::campaign::Campaign;
use crate::hunt::hunt;
use crate::planted::Planted;
use crate::world::World;

const USAGE: &str = "usage: cargo xtask sim [--seed S] [--seeds N] [--world W] [--threads T]
       cargo xtask sim --planted NAME|all [--seeds N] [--threads T]

  --seed S      run this seed alone, or begin with it when --seeds is given (default 1; 0x for hex)
  --seeds N     how many seeds to run (default 1)
  --world W     `broker` or `logs`, storage alone (default: both for each seed)
  --planted B   a bug in a build for this alone, which the seeds must catch; `all` runs each
  --threads T   how many of them at once (default: as many as there are processors)

The log of a simulated broker is printed where RUST_LOG says so, such as RUST_LOG=info.
Exit codes: 0 all is well, 2 misuse, 3 the runs are too small to say so, 127 crash, 128 liveness,
129 correctness.";

/// Nothing is wrong, but too little was tried.
const EXIT_BELOW_FLOOR: u8 = 3;
/// Each planted bug is looked for in so many seeds, unless told otherwise.
const PLANTED_SEED_COUNT: u64 = 2_000;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Order {
    Seeds(Campaign),
    /// Each of these is to be caught by the campaign's seeds.
    Planted(Vec<Planted>, Campaign),
}

/// Runs what the command line asks for.
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(order) = parse(&arguments) else {
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
    match order {
        Order::Seeds(campaign) => run_seeds(&campaign),
        Order::Planted(bugs, campaign) => match hunt(&bugs, &campaign) {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        },
    }
}

fn run_seeds(campaign: &Campaign) -> ExitCode {
    let totals = match campaign.run() {
        Ok(totals) => totals,
        Err(caught) => return ExitCode::from(caught.failure.kind.exit_code()),
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

fn parse(arguments: &[String]) -> Option<Order> {
    let threads = available_parallelism().map_or(1, usize::from);
    let mut campaign = Campaign {
        first_seed: 1,
        seed_count: 1,
        worlds: World::ALL.to_vec(),
        threads,
        planted: Planted::NONE,
        is_quiet: false,
    };
    let mut seed_count = None;
    let mut bugs = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--seed" => campaign.first_seed = number(value)?,
            "--seeds" => seed_count = Some(number(value)?),
            "--threads" => campaign.threads = usize::try_from(number(value)?).ok()?,
            "--world" => campaign.worlds = vec![World::of_name(value)?],
            "--planted" if value == "all" => bugs = Planted::all(),
            "--planted" => bugs = vec![Planted::of_name(value)?],
            _ => return None,
        }
    }
    if bugs.is_empty() {
        return Some(Order::Seeds(Campaign { seed_count: seed_count.unwrap_or(1), ..campaign }));
    }
    let seed_count = seed_count.unwrap_or(PLANTED_SEED_COUNT);
    Some(Order::Planted(bugs, Campaign { seed_count, is_quiet: true, ..campaign }))
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_decimal_or_hex() {
        let parse = |text: &str| {
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            match parse(&words)? {
                Order::Seeds(campaign) => Some((campaign.first_seed, campaign.seed_count)),
                Order::Planted(bugs, campaign) => Some((bugs.len() as u64, campaign.seed_count)),
            }
        };
        assert_eq!(parse(""), Some((1, 1)));
        assert_eq!(parse("--seeds 40"), Some((1, 40)));
        assert_eq!(parse("--seed 0x1f --seeds 2 --threads 1"), Some((31, 2)));
        assert_eq!(parse("--world logs --seed 7"), Some((7, 1)));
        assert_eq!(parse("--planted acknowledge_before_flush --seeds 9"), Some((1, 9)));
        for wrong in ["--seed", "--seed x", "--node 1", "7", "--world x", "--planted no_such_bug"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
