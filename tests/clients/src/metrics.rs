//! The admin port of a broker as a scraper sees it.

use crate::process::run;
use crate::tools::{Tools, root};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a page may take: more than a scraper's patience is too much.
const PAGE_DEADLINE: Duration = Duration::from_secs(10);
const PARSER_DEADLINE: Duration = Duration::from_secs(30);

/// One page: its status and its body.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Asks for `path` as HTTP/1.1 has it.
pub fn get(address: SocketAddr, path: &str) -> Result<Page> {
    let mut stream = TcpStream::connect_timeout(&address, PAGE_DEADLINE)?;
    stream.set_read_timeout(Some(PAGE_DEADLINE))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8(answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no head of an answer")?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    let chunked = head.lines().any(|line| line.eq_ignore_ascii_case("transfer-encoding: chunked"));
    let body = if chunked { unchunked(body)? } else { body.to_owned() };
    Ok(Page { status, head: head.to_owned(), body })
}

/// The pieces of a chunked body, put together.
fn unchunked(mut rest: &str) -> Result<String> {
    let mut body = String::new();
    loop {
        let (size, behind) = rest.split_once("\r\n").context("a chunk without its size")?;
        let size = usize::from_str_radix(size, 16)?;
        if size == 0 {
            return Ok(body);
        }
        body.push_str(behind.get(..size).context("a chunk is cut")?);
        rest = behind.get(size..).and_then(|rest| rest.strip_prefix("\r\n")).context("no end")?;
    }
}

/// What a parser has read of one scrape.
#[derive(Debug)]
pub struct Samples {
    /// By name and labels.
    values: BTreeMap<(String, BTreeMap<String, String>), f64>,
    /// Names of metrics as they are written, with their kinds.
    families: BTreeMap<String, String>,
}

impl Samples {
    /// Scrapes `/metrics` and has Prometheus' own client parse it.
    pub fn scrape(tools: &Tools, address: SocketAddr) -> Result<Self> {
        let page = get(address, "/metrics")?;
        ensure!(page.status == 200, "status {}: {}", page.status, page.body);
        let is_text = page.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8");
        ensure!(is_text, "{}", page.head);
        let mut python = tools.command(Tools::CONFLUENT_KAFKA);
        python.arg(root().join("tests/clients/prometheus/samples.py"));
        let lines = run(&mut python, &page.body, PARSER_DEADLINE)?.success()?;
        let mut samples = Self { values: BTreeMap::new(), families: BTreeMap::new() };
        for line in lines.lines() {
            samples.add(&serde_json::from_str(line)?)?;
        }
        Ok(samples)
    }

    fn add(&mut self, sample: &Value) -> Result<()> {
        let text = |name: &str| sample[name].as_str().context("a text").map(str::to_owned);
        let (family, kind) = (text("family")?, text("kind")?);
        ensure!(!text("help")?.is_empty() && kind != "unknown", "{family} is not explained");
        // The parser takes the ending of counters off.
        let family = if kind == "counter" { format!("{family}_total") } else { family };
        self.families.insert(family, kind);
        let labels = sample["labels"].as_object().context("labels")?;
        let labels = labels.iter().map(|(name, value)| {
            value.as_str().map(|value| (name.clone(), value.to_owned())).context("a label's value")
        });
        let key = (text("name")?, labels.collect::<Result<_>>()?);
        let value = sample["value"].as_f64().context("a value")?;
        ensure!(self.values.insert(key, value).is_none(), "twice: {sample}");
        Ok(())
    }

    /// The names of all metrics.
    pub fn names(&self) -> BTreeSet<&str> {
        self.families.keys().map(String::as_str).collect()
    }

    /// The one sample called `name` with these labels among its own.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        match self.with(name, labels).as_slice() {
            [only] => Ok(*only),
            several => anyhow::bail!("{} samples of {name} {labels:?}", several.len()),
        }
    }

    /// The sum of all samples called `name` with these labels among their own.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.with(name, labels).iter().sum()
    }

    fn with(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let has = |own: &BTreeMap<String, String>| {
            labels.iter().all(|(name, value)| own.get(*name).is_some_and(|own| own == value))
        };
        let found = self.values.iter().filter(|((own, labels), _)| own == name && has(labels));
        found.map(|(_, value)| *value).collect()
    }

    /// That nothing which only grows is less than in `earlier`, and that nothing of it is gone.
    pub fn check_grown_since(&self, earlier: &Self) -> Result<()> {
        let grows = |name: &str| {
            let of = |kind: &str| self.families.iter().any(|(own, has)| has == kind && own == name);
            let bare = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
            of("counter")
                || bare.is_some_and(|bare| {
                    self.families.get(bare).is_some_and(|kind| kind == "histogram")
                })
        };
        for (key, before) in earlier.values.iter().filter(|((name, _), _)| grows(name)) {
            let now = self.values.get(key).with_context(|| format!("{key:?} is gone"))?;
            ensure!(now >= before, "{key:?}: {now} after {before}");
        }
        Ok(())
    }
}
