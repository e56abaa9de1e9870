//! What an operator sees: pages of the admin port, numbers that are what clients did, and an admin port
//! that bad clients use up while good ones and the cores go on.

use super::round::other_client_goes_on;
use crate::metrics::{Samples, get};
use crate::tools::root;
use crate::wire::Connection;
use crate::{
    Broker, Client, Codec, Kind, Layout, Produced, Quorum, Report, Setting, Site, Tools, check_read,
};
use anyhow::{Context, Result, ensure};
use protocol::messages::create_topics::CreatableTopic;
use protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use protocol::messages::{CreateTopicsRequest, ProduceRequest};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Prometheus' own client reads what is scraped.
const PARSER: &str = Tools::CONFLUENT_KAFKA;
const TOPIC: &str = "seen";
const SMALL_TOPIC: &str = "seen-small";
const SMALL_RECORD_COUNT: f64 = 500.0;
const RECORD_COUNT: usize = 20_000;
const RECORD_SIZE_BYTES: usize = 200;
/// How long a good client of the broker, and one of the admin port, may wait beside bad ones of the latter.
const REQUEST_WAIT_MAX: Duration = Duration::from_secs(10);
const ATTACKED_FOR: Duration = Duration::from_secs(6);
const BAD_CLIENT_COUNT: usize = 200;

pub fn run(report: &mut Report) {
    let setting = Setting { kind: Kind::Millrace, cores: 2, quorum: Quorum::Static };
    let name = |what: &str| format!("seeing: {what}");
    let admin = report.always(&name("has a port"), |_| crate::broker::free_port());
    let Some(admin) = admin else { return };
    let layout =
        Layout { lines: vec![format!("millrace.admin.listener={admin}")], ..Layout::default() };
    let started =
        report.always(&name("starts"), |tools| Site::format_and_start_as(tools, setting, &layout));
    let Some((site, broker)) = started else { return };
    report.case(&name("a node that serves is healthy and ready"), &[], |_| pages(admin));
    report.case(&name("a taken address is refused by name"), &[], |tools| {
        let refused = site.intruder_with(tools, &layout.lines)?;
        let said = &refused.stderr;
        ensure!(!refused.status.success(), "it ended with 0: {said}");
        ensure!(said.contains("set another port in millrace.admin.listener"), "{said}");
        Ok(())
    });
    let needs = [Tools::FRANZ_GO, PARSER];
    report.case(&name("numbers are what clients did, and grow under load"), &needs, |tools| {
        numbers(tools, &broker, admin)
    });
    report.case(&name("errors are counted by API and code"), &[PARSER], |tools| {
        errors(tools, &broker, admin)
    });
    report.case(&name("docs/metrics.md has what is shown"), &[PARSER], |tools| {
        documented(tools, admin)
    });
    for (what, attack) in ATTACKS {
        report.case(&name(what), &[], |_| beside(&broker, admin, what, *attack));
    }
    report.case(&name("other clients go on after the attacks"), &[Tools::FRANZ_GO], |tools| {
        other_client_goes_on(tools, &broker, "after-attacks-on-admin")
    });
    report.always(&name("stops cleanly"), |_| broker.stop());
    for format in ["text", "json"] {
        let name = name(&format!("a log as {format} tells a start and a stop, and no secret"));
        report.case(&name, &[], |tools| logged(tools, setting, format));
    }
    for format in ["text", "json"] {
        let name = name(&format!("a log as {format} that nobody reads ends no broker"));
        report.case(&name, &[Tools::FRANZ_GO], |tools| unread(tools, setting, format));
    }
}

/// It serves and stops cleanly, although not even the first line of its log could be written.
fn unread(tools: &Tools, setting: Setting, format: &str) -> Result<()> {
    let layout = Layout {
        arguments: vec![format!("--log-format={format}")],
        environment: vec![("RUST_LOG".to_owned(), "debug".to_owned())],
        is_unread: true,
        ..Layout::default()
    };
    let (site, broker) = Site::format_and_start_as(tools, setting, &layout)?;
    other_client_goes_on(tools, &broker, "unread")?;
    let said = broker.stop_and_say()?;
    ensure!(said.is_empty(), "somebody reads it: {said}");
    site.verify(tools)
}

const SECRET: &str = "x-never-to-be-seen-x";

/// What the log says of an unclean start and of both ends, at its most talkative. Each event is a line.
fn logged(tools: &Tools, setting: Setting, format: &str) -> Result<()> {
    let secret = |key: &str| format!("{key}={SECRET}");
    let layout = Layout {
        lines: [
            "ssl.key.password",
            "ssl.keystore.password",
            "listener.name.plaintext.ssl.truststore.password",
            "sasl.jaas.config",
            "my.own.password",
        ]
        .map(secret)
        .to_vec(),
        arguments: vec![format!("--log-format={format}")],
        environment: vec![("RUST_LOG".to_owned(), "trace".to_owned())],
        ..Layout::default()
    };
    let (site, broker) = Site::format_and_start_as(tools, setting, &layout)?;
    let mut connection = Connection::open(broker.address())?;
    let topics = vec![CreatableTopic {
        name: TOPIC.into(),
        num_partitions: 3,
        replication_factor: 1,
        ..CreatableTopic::default()
    }];
    connection.call(7, &CreateTopicsRequest { topics, ..Default::default() })?;
    broker.kill()?;
    let said = site.start(tools)?.stop_and_say()?;
    ensure!(!said.contains(SECRET), "a secret: {said}");
    let mut messages = BTreeSet::new();
    for line in said.lines() {
        if format == "json" {
            let event: serde_json::Value =
                serde_json::from_str(line).with_context(|| line.to_owned())?;
            for field in ["timestamp", "level", "target", "message"] {
                ensure!(event[field].is_string(), "no {field}: {line}");
            }
            messages.insert(event["message"].as_str().unwrap_or_default().to_owned());
        } else {
            let (time, rest) = line.split_once(' ').context("one word")?;
            ensure!(time.len() == "2026-01-01T00:00:00.000000Z".len(), "no time: {line}");
            messages.insert(rest.to_owned());
        }
    }
    for message in [
        "starting",
        "log directory opened",
        "broker is part of its cluster",
        "accepting connections",
        "stopping; once more",
        "log directory left clean",
        "stopped",
    ] {
        let is_said = messages.iter().any(|said| said.contains(message));
        ensure!(is_said, "nothing of {message:?}: {said}");
    }
    ensure!(said.contains("unclean") && said.contains("3"), "what was found: {said}");
    Ok(())
}

fn pages(admin: SocketAddr) -> Result<()> {
    for (path, status, body) in [
        ("/healthz", 200, "healthy\n"),
        ("/readyz", 200, "ready\n"),
        ("/", 404, "there are /metrics, /healthz and /readyz\n"),
        ("/metrics/", 404, "there are /metrics, /healthz and /readyz\n"),
    ] {
        let page = get(admin, path)?;
        ensure!((page.status, page.body.as_str()) == (status, body), "{path}: {page:?}");
    }
    let page = get(admin, "/metrics?name=anything")?;
    ensure!(page.status == 200 && page.body.starts_with("# HELP "), "{page:?}");
    Ok(())
}

/// Produces and reads beside a scraper that never stops, then compares what was seen with what was done.
fn numbers(tools: &Tools, broker: &Broker, admin: SocketAddr) -> Result<()> {
    let produced = Produced::new(TOPIC, RECORD_COUNT, RECORD_SIZE_BYTES);
    let bootstrap = broker.bootstrap();
    let is_over = AtomicBool::new(false);
    let (scraped, used) = thread::scope(|scope| {
        let scraping = scope.spawn(|| scrape_until(tools, admin, &is_over));
        let use_it = || -> Result<()> {
            Client::FranzGo.produce(tools, &bootstrap, TOPIC, Codec::None, &produced)?;
            let partitions = Site::PARTITION_COUNT;
            let read = Client::FranzGo.read(tools, &bootstrap, TOPIC, partitions, RECORD_COUNT)?;
            check_read(&produced, &read, partitions)?;
            // Small batches go through the journal.
            other_client_goes_on(tools, broker, SMALL_TOPIC)
        };
        let used = use_it();
        is_over.store(true, Ordering::Relaxed);
        (scraping.join().expect("a scraper does not panic"), used)
    });
    used?;
    let (last, count) = scraped?;
    let samples = Samples::scrape(tools, admin)?;
    samples.check_grown_since(&last)?;
    println!("{count} scrapes beside {RECORD_COUNT} records");
    let topic = [("topic", TOPIC)];
    let sum = |name: &str| samples.sum(name, &topic);
    let record_count = RECORD_COUNT as f64;
    for name in [
        "millrace_partition_appended_records_total",
        "millrace_partition_high_watermark",
        "millrace_partition_last_stable_offset",
        "millrace_partition_log_end_offset",
    ] {
        ensure!(sum(name) == record_count, "{name}: {} of {record_count}", sum(name));
    }
    let small = [("topic", SMALL_TOPIC)];
    let small = samples.sum("millrace_partition_appended_records_total", &small);
    ensure!(small == SMALL_RECORD_COUNT, "{small} records in small batches");
    let bytes = sum("millrace_partition_appended_bytes_total");
    let value_bytes = (RECORD_COUNT * RECORD_SIZE_BYTES) as f64;
    ensure!(bytes > value_bytes && bytes < 2.0 * value_bytes, "{bytes} bytes of {value_bytes}");
    let size = sum("millrace_partition_size_bytes");
    ensure!(size == bytes, "{size} bytes in segments, {bytes} appended");
    let fetched = sum("millrace_partition_fetched_bytes_total");
    ensure!(fetched >= bytes, "{fetched} bytes read of {bytes}");
    let sent = samples.sum("millrace_sent_bytes_total", &[]);
    ensure!(sent > bytes, "{sent} bytes sent, {bytes} of them records");
    let journal = samples.sum("millrace_journal_written_bytes_total", &[]);
    let groups = samples.sum("millrace_journal_groups_total", &[]);
    let commits = samples.sum("millrace_journal_commit_duration_seconds_count", &[]);
    ensure!(groups > 0.0 && commits == groups && journal >= 4096.0 * groups, "{groups}, {journal}");
    for api in ["Produce", "Fetch", "Metadata"] {
        let asked = samples.value("millrace_requests_total", &[("api", api)])?;
        let timed = "millrace_request_duration_seconds_count";
        let answered = samples.value(timed, &[("api", api)])?;
        // A reader's last Fetch may wait still, or have been left.
        ensure!(answered > 0.0 && answered <= asked, "{api}: {answered} of {asked} are answered");
    }
    let cpu = samples.sum("millrace_core_cpu_seconds_total", &[]);
    let process_cpu = samples.value("process_cpu_seconds_total", &[])?;
    ensure!(cpu > 0.0 && cpu <= process_cpu + 0.1, "cores {cpu} s, the process {process_cpu} s");
    Ok(())
}

/// Scrapes until told, each time comparing with the time before. The last one, and how many.
fn scrape_until(
    tools: &Tools,
    admin: SocketAddr,
    is_over: &AtomicBool,
) -> Result<(Samples, usize)> {
    let mut last = Samples::scrape(tools, admin)?;
    let mut count = 1;
    while !is_over.load(Ordering::Relaxed) {
        let next = Samples::scrape(tools, admin)?;
        next.check_grown_since(&last)?;
        last = next;
        count += 1;
    }
    Ok((last, count))
}

fn errors(tools: &Tools, broker: &Broker, admin: SocketAddr) -> Result<()> {
    let mut connection = Connection::open(broker.address())?;
    let partition = |index| PartitionProduceData { index, records: None };
    let topic = TopicProduceData {
        name: "not-there".into(),
        partition_data: vec![partition(0), partition(1)],
        ..TopicProduceData::default()
    };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 1_000,
        topic_data: vec![topic],
        ..Default::default()
    };
    connection.call(9, &request)?;
    let samples = Samples::scrape(tools, admin)?;
    let labels = [("api", "Produce"), ("error", "UNKNOWN_TOPIC_OR_PARTITION")];
    let count = samples.value("millrace_request_errors_total", &labels)?;
    ensure!(count == 2.0, "{count} errors of two partitions");
    // A request that is not understood is not answered, and counted too.
    let before = samples.value("millrace_refused_requests_total", &[])?;
    let mut hostile = TcpStream::connect(broker.address())?;
    hostile.write_all(&[0, 0, 0, 4, 0x7f, 0x7f, 0, 0])?;
    hostile.read_to_end(&mut Vec::new())?;
    let after = Samples::scrape(tools, admin)?.value("millrace_refused_requests_total", &[])?;
    ensure!(after == before + 1.0, "{after} refused after {before}");
    Ok(())
}

/// The page has the metrics that there are, and no others.
fn documented(tools: &Tools, admin: SocketAddr) -> Result<()> {
    let page = std::fs::read_to_string(root().join("docs/metrics.md"))?;
    let row = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    let documented: BTreeSet<String> = page.lines().filter_map(row).collect();
    let samples = Samples::scrape(tools, admin)?;
    let shown: BTreeSet<String> = samples.names().into_iter().map(str::to_owned).collect();
    ensure!(shown.len() > 40, "{shown:?}");
    let differ: Vec<_> = documented.symmetric_difference(&shown).collect();
    ensure!(differ.is_empty(), "on one side alone: {differ:?}");
    Ok(())
}

/// What one bad client does, once; it is called again and again.
type Attack = fn(SocketAddr) -> std::io::Result<()>;

const ATTACKS: &[(&str, Attack)] = &[
    ("200 connect to the admin port and say nothing", |address| wait_behind(address, b"")),
    ("200 begin requests and do not end them", |address| {
        wait_behind(address, b"GET /metrics HTTP/1.1\r\nHost: here\r\nX-Slow: ")
    }),
    ("200 send heads without an end", |address| {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET / HTTP/1.1\r\nX: ")?;
        (0..256).try_for_each(|_| stream.write_all(&[b'a'; 4096]))
    }),
    ("200 ask for metrics as fast as they can and read none", |address| {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")
    }),
    ("200 ask for the node's state as fast as they can", |address| {
        get(address, "/healthz").map(drop).map_err(std::io::Error::other)
    }),
];

/// Sends `bytes` and waits for a second, or until it is thrown out.
fn wait_behind(address: SocketAddr, bytes: &[u8]) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(bytes)?;
    stream.read(&mut [0; 64]).map(drop)
}

/// A good client of the broker and one of the admin port, while bad ones do what they like with the latter.
fn beside(broker: &Broker, admin: SocketAddr, what: &str, attack: Attack) -> Result<()> {
    let address = broker.address();
    let until = Instant::now() + ATTACKED_FOR;
    let (requests, scrapes, attempts) = thread::scope(|scope| {
        let bad = |_| {
            scope.spawn(move || {
                let mut attempts = 0;
                while Instant::now() < until {
                    // How it ends is the client's own matter.
                    drop(attack(admin));
                    attempts += 1;
                }
                attempts
            })
        };
        let bad: Vec<_> = (0..BAD_CLIENT_COUNT).map(bad).collect();
        let requests = scope.spawn(move || good_requests(address, until));
        let scrapes = scope.spawn(move || good_scrapes(admin, until));
        let attempts: usize = bad.into_iter().map(|bad| bad.join().unwrap_or(0)).sum();
        let panicked = "a good client does not panic";
        (requests.join().expect(panicked), scrapes.join().expect(panicked), attempts)
    });
    for (who, took) in [("requests", requests?), ("scrapes", scrapes?)] {
        let max = *took.last().context("nothing was done")?;
        let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize];
        println!(
            "{what}, {attempts} times: {} {who}, p50 {:?} p99 {:?} max {max:?}",
            took.len(),
            at(0.5),
            at(0.99)
        );
        ensure!(max < REQUEST_WAIT_MAX, "{who} took {max:?}");
    }
    Ok(())
}

/// How long each of a client's requests took, sorted.
fn good_requests(address: SocketAddr, until: Instant) -> Result<Vec<Duration>> {
    let mut connection = Connection::open(address)?;
    let mut took = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        let request = protocol::messages::MetadataRequest { topics: None, ..Default::default() };
        connection.call(9, &request)?;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    Ok(took)
}

/// How long each scrape took, sorted. One that is thrown out is tried again, which takes its time.
fn good_scrapes(admin: SocketAddr, until: Instant) -> Result<Vec<Duration>> {
    let mut took = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        loop {
            match get(admin, "/metrics") {
                Ok(page) if page.status == 200 => break,
                Ok(page) => anyhow::bail!("status {}", page.status),
                Err(error) => ensure!(began.elapsed() < REQUEST_WAIT_MAX, "{error:#}"),
            }
        }
        took.push(began.elapsed());
        thread::park_timeout(Duration::from_millis(50));
    }
    took.sort_unstable();
    Ok(took)
}
