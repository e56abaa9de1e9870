//! What the client suites need beside Rust: each thing fetched once by its own package manager into
//! the target folder. What cannot be had leaves a reason; the suites name what they skip for it.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// The newest librdkafka that a Python wheel carries, beside the one of the distribution's kcat; and
/// Prometheus' own parser of what it scrapes.
const PYTHON_PACKAGES: &[&str] = &["confluent-kafka==2.16.1", "prometheus-client==0.26.0"];
/// Clients that are Python throughout, apart from the others: they are named like each other.
const PYTHON_CLIENTS: &[&str] = &["kafka-python==3.0.12", "aiokafka==0.14.0"];
const NODE_CLIENTS: &[&str] = &["kafkajs@2.2.4"];
/// The data set of the demo: three million flights, keyed by airport.
const FLIGHTS_PACKAGE: &str = "vega-datasets@3.2.1";
const CARGO_DENY_PACKAGE: &str = "cargo-deny@0.20.2";

type Step = fn() -> Result<PathBuf>;

const STEPS: &[(&str, Step)] = &[
    ("kcat", kcat),
    ("kafka", kafka_jars),
    ("franz-go", franz_go),
    ("confluent-kafka", python),
    ("sarama", sarama),
    ("python-clients", python_clients),
    ("node-clients", node_clients),
    ("flights", flights),
];

/// `cargo xtask setup [NAME...]`: fetches what is named, or everything, and says where it is or why it
/// is not there.
pub fn run(names: &[String]) -> Result<ExitCode> {
    let mut missing = false;
    if let Some(unknown) = names.iter().find(|name| !STEPS.iter().any(|(known, _)| known == name)) {
        let known: Vec<_> = STEPS.iter().map(|(name, _)| *name).collect();
        bail!("nothing called `{unknown}` to set up; there are {}", known.join(", "));
    }
    for (name, step) in STEPS {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        match step() {
            Ok(path) => println!("{name}: {}", path.display()),
            Err(reason) => {
                println!("{name}: missing: {reason:#}");
                missing = true;
            }
        }
    }
    Ok(if missing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Fetches what is missing; says what could not be had, and goes on.
pub fn report_missing() {
    for (name, step) in STEPS {
        if let Err(reason) = step() {
            eprintln!("{name}: missing: {reason:#}");
        }
    }
}

/// The checkout that this program was built from.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    here.canonicalize().unwrap_or(here)
}

pub fn target() -> PathBuf {
    let configured = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    configured.map_or_else(|| root().join("target"), |target| root().join(target))
}

pub fn millrace() -> PathBuf {
    target().join("release/millrace")
}

fn tools() -> PathBuf {
    target().join("tools")
}

/// The folder with Apache Kafka's jars: the broker, its clients and its command-line tools.
pub fn kafka_jars() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("KAFKA_JARS") {
        return Ok(PathBuf::from(given));
    }
    let project = root().join("tests/clients/kafka/pom.xml");
    let wanted = std::fs::read_to_string(&project)?;
    fetch_once(&tools().join("kafka"), &wanted, |folder| {
        quiet(
            Command::new("mvn")
                .args(["--quiet", "--batch-mode", "--file"])
                .arg(project)
                .arg("dependency:copy-dependencies")
                .arg(format!("-DoutputDirectory={}", folder.display())),
        )
    })
}

/// Debian has it as a package; only root may install one.
fn kcat() -> Result<PathBuf> {
    if let Some(found) = on_path("kcat") {
        return Ok(found);
    }
    if on_path("apt-get").is_none() || !is_root() {
        bail!("kcat is not installed (as root: apt-get install kcat)");
    }
    quiet(Command::new("apt-get").arg("update"))?;
    quiet(Command::new("apt-get").args(["install", "--yes", "--no-install-recommends", "kcat"]))?;
    on_path("kcat").context("apt-get installed no kcat")
}

fn franz_go() -> Result<PathBuf> {
    go_build("franz-go")
}

fn sarama() -> Result<PathBuf> {
    go_build("sarama")
}

/// Builds Go clients each time: Go itself knows what is up to date.
fn go_build(name: &str) -> Result<PathBuf> {
    let folder = tools().join(name);
    std::fs::create_dir_all(&folder)?;
    let sources = root().join("tests/clients").join(name);
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(&folder).arg("./...").current_dir(sources);
    quiet(&mut go)?;
    Ok(folder)
}

fn python() -> Result<PathBuf> {
    python_packages("python", PYTHON_PACKAGES)
}

fn python_clients() -> Result<PathBuf> {
    python_packages("python-clients", PYTHON_CLIENTS)
}

fn python_packages(name: &str, packages: &[&str]) -> Result<PathBuf> {
    fetch_once(&tools().join(name), &packages.join(" "), |folder| {
        quiet(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let mut install = Command::new(folder.join("bin/python"));
        install.args(["-m", "pip", "install", "--quiet", "--only-binary", ":all:"]);
        quiet(install.args(packages))
    })
}

fn node_clients() -> Result<PathBuf> {
    fetch_once(&tools().join("node-clients"), &NODE_CLIENTS.join(" "), |folder| {
        let mut install = Command::new("npm");
        install.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]);
        quiet(install.arg(folder).args(NODE_CLIENTS))
    })
}

fn flights() -> Result<PathBuf> {
    let folder = fetch_once(&tools().join("flights"), FLIGHTS_PACKAGE, |folder| {
        quiet(Command::new("npm").args(["pack", "--silent", FLIGHTS_PACKAGE]).current_dir(folder))?;
        let packed = std::fs::read_dir(folder)?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "tgz"))
            .context("npm pack left no archive")?;
        let mut unpack = Command::new("tar");
        unpack.arg("--extract").arg("--gzip").arg("--file").arg(&packed);
        unpack.args(["--strip-components=2", "package/data/flights-3m.parquet"]);
        quiet(unpack.current_dir(folder))?;
        Ok(std::fs::remove_file(packed)?)
    })?;
    Ok(folder.join("flights-3m.parquet"))
}

/// cargo-deny's program. It is built here, which takes minutes; the clients' suites do without.
pub fn cargo_deny() -> Result<PathBuf> {
    let folder = fetch_once(&tools().join("cargo-deny"), CARGO_DENY_PACKAGE, |folder| {
        let mut install = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        install.args(["install", "--quiet", "--locked", CARGO_DENY_PACKAGE, "--root"]).arg(folder);
        quiet(install.env_remove("CARGO_TARGET_DIR"))
    })?;
    Ok(folder.join("bin/cargo-deny"))
}

/// Fills `folder` by `fetch` unless it was filled before with what is `wanted` now. A fetch that fails
/// leaves nothing behind.
fn fetch_once(
    folder: &Path,
    wanted: &str,
    fetch: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let complete = folder.join(".complete");
    if !std::fs::read_to_string(&complete).is_ok_and(|there| there == wanted) {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        std::fs::create_dir_all(folder)?;
        if let Err(error) = fetch(folder) {
            std::fs::remove_dir_all(folder)?;
            return Err(error);
        }
        std::fs::write(complete, wanted)?;
    }
    Ok(folder.to_owned())
}

/// Runs `command`; its output is shown only as the reason of a failure.
fn quiet(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{program} is not installed"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no output");
    bail!("{program}: {last}")
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("--user").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
