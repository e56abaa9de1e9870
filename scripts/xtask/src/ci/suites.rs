//! The suites, in the order in which they fail soonest.

use super::outcome::{Outcome, Row, report};
use super::{count, setup};
use anyhow::{Result, bail};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// Simulated worlds on each change (RELIABILITY.md).
const SEED_COUNT: &str = "2000";

type Suite = fn() -> Result<Outcome>;

const SUITES: &[(&str, Suite)] = &[
    ("fmt", fmt),
    ("tidy", tidy),
    ("go", go),
    ("deny", deny),
    ("clippy", clippy),
    ("unit", unit),
    ("simulator", simulator),
    ("seeds", seeds),
    ("planted", planted),
    ("codegen", codegen),
    ("loom", loom),
    ("release", release),
    ("clients", clients),
    ("cluster", cluster),
    ("demo", demo),
];

/// Crates whose tests are suites of their own.
const OWN_SUITES: &[&str] = &["clients", "cluster", "simulator", "tidy"];

/// Runs the named suites, all when none is named, and prints the table. Fails when a check failed.
pub fn run(names: &[String]) -> Result<ExitCode> {
    if let Some(unknown) = names.iter().find(|name| !SUITES.iter().any(|(known, _)| known == name))
    {
        let known: Vec<_> = SUITES.iter().map(|(name, _)| *name).collect();
        bail!("no suite `{unknown}`; there are {}", known.join(", "));
    }
    let mut rows = Vec::new();
    for &(suite, run) in SUITES {
        if !names.is_empty() && !names.iter().any(|name| name == suite) {
            continue;
        }
        let started = Instant::now();
        let outcome = run().unwrap_or_else(|error| {
            eprintln!("{suite}: {error:#}");
            Outcome::single(false)
        });
        rows.push(Row { suite, outcome, elapsed: started.elapsed() });
    }
    println!("{}", report(&rows));
    let failed = rows.iter().any(|row| row.outcome.failed > 0);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(setup::root());
    command
}

/// This program again, with another command.
fn xtask(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).current_dir(setup::root());
    Ok(command)
}

fn fmt() -> Result<Outcome> {
    count::single(&mut cargo(&["fmt", "--all", "--check"]))
}

/// What fmt and clippy are to Rust, for the Go clients.
fn go() -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for name in ["franz-go", "sarama"] {
        let folder = setup::root().join("tests/clients").join(name);
        let Ok(unformatted) =
            Command::new("gofmt").arg("-l").arg(".").current_dir(&folder).output()
        else {
            return Ok(Outcome::skipped("Go is not installed"));
        };
        let unformatted = String::from_utf8_lossy(&unformatted.stdout);
        if !unformatted.is_empty() {
            println!("{name}: gofmt would change:\n{unformatted}");
        }
        outcome.add(Outcome::single(unformatted.is_empty()));
        outcome.add(count::single(Command::new("go").args(["vet", "./..."]).current_dir(&folder))?);
    }
    Ok(outcome)
}

/// Licences, sources, versions and known vulnerabilities of what is linked in: deny.toml.
fn deny() -> Result<Outcome> {
    let program = match setup::cargo_deny() {
        Ok(program) => program,
        Err(reason) => return Ok(Outcome::skipped(format!("{reason:#}"))),
    };
    let deny = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.args(arguments).current_dir(setup::root());
        command
    };
    let mut outcome = count::single(&mut deny(&["check", "bans", "licenses", "sources"]))?;
    match deny(&["fetch", "db"]).output()? {
        fetched if fetched.status.success() => {
            let advisories = ["check", "--disable-fetch", "advisories"];
            outcome.add(count::single(&mut deny(&advisories))?);
        }
        _ => outcome.skipped.push("the database of advisories cannot be reached".to_owned()),
    }
    Ok(outcome)
}

fn tidy() -> Result<Outcome> {
    count::tests(&mut cargo(&["test", "--package", "tidy"]))
}

fn clippy() -> Result<Outcome> {
    count::single(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]))
}

fn unit() -> Result<Outcome> {
    let mut command = cargo(&["test", "--workspace", "--no-fail-fast"]);
    for name in OWN_SUITES {
        command.args(["--exclude", name]);
    }
    if let Ok(jars) = setup::kafka_jars() {
        command.env("KAFKA_JARS", jars);
    }
    count::tests(&mut command)
}

fn simulator() -> Result<Outcome> {
    count::tests(&mut cargo(&["test", "--package", "simulator", "--no-fail-fast"]))
}

/// The shipped broker in many simulated worlds; below the floor of what a run has to do, it fails.
fn seeds() -> Result<Outcome> {
    count::single(&mut xtask(&["sim", "--seeds", SEED_COUNT])?)
}

/// Bugs that are planted in our own code: the simulated worlds see each of them.
fn planted() -> Result<Outcome> {
    count::single(&mut xtask(&["sim", "--planted", "all"])?)
}

/// Whether the generated code is what the generator would write today.
fn codegen() -> Result<Outcome> {
    match setup::kafka_jars() {
        Ok(jars) => {
            let jars = jars.to_string_lossy();
            count::single(&mut xtask(&["codegen", "--check", "--jars", &jars])?)
        }
        Err(reason) => Ok(Outcome::skipped(format!("{reason:#}"))),
    }
}

/// The mesh's hand-shake under every interleaving, and a planted fault that must be found.
fn loom() -> Result<Outcome> {
    count::single(&mut xtask(&["loom"])?)
}

fn release() -> Result<Outcome> {
    count::single(&mut cargo(&["build", "--release", "--package", "broker"]))
}

/// Real clients against the release binary.
fn clients() -> Result<Outcome> {
    against_release("clients")
}

/// The release binary as processes that are killed, frozen and swapped.
fn cluster() -> Result<Outcome> {
    against_release("cluster")
}

/// The tests of `package`. What setup could not fetch for them, they name as skipped.
fn against_release(package: &str) -> Result<Outcome> {
    if !setup::millrace().exists() {
        return Ok(Outcome::skipped("there is no release binary"));
    }
    setup::report_missing();
    let mut command = cargo(&["test", "--package", package]);
    command.env("MILLRACE_BIN", setup::millrace());
    if let Ok(jars) = setup::kafka_jars() {
        command.env("KAFKA_JARS", jars);
    }
    count::tests(&mut command)
}

fn demo() -> Result<Outcome> {
    if !setup::millrace().exists() {
        return Ok(Outcome::skipped("there is no release binary"));
    }
    let mut script = Command::new(setup::root().join("scripts/demo"));
    count::single(script.args(["--records", "200000"]))
}
