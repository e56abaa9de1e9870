//! `millrace produce` and `millrace consume`.

use super::Cli;
use super::topics::ready;
use crate::{Client, Codec, Produced, Tools, check_read};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// What one command prints another takes, in each format, with keys, headers, nulls and any bytes.
pub fn round_trip(cli: &Cli) -> Result<()> {
    let objects = [
        json!({ "key": "k", "value": "v v", "headers": [{ "name": "a", "value": "1" }] }),
        json!({ "key_base64": "AP8=", "value_base64": "Cv98" }),
        json!({ "key": "", "value": "" }),
        json!({ "key": "gone" }),
        json!({ "value": "ö", "headers": [{ "name": "n" }, { "name": "n", "value": "\n" }] }),
    ];
    let lines: String = objects.iter().map(|object| format!("{object}\n")).collect();
    let first = "commanded-json";
    ready(cli, first, "1")?;
    let written = cli.run(&["produce", first, "--format", "json", "--json"], &lines)?.success()?;
    let written: Value = serde_json::from_str(&written)?;
    let want = json!({ "topic": first, "records": 5, "partitions": { "0": 5 } });
    ensure!(written == want, "{written}");
    let read = consumed(cli, &[first])?;
    ensure!(without_place(&read) == objects, "{read:?}");
    for (index, record) in read.iter().enumerate() {
        ensure!(
            (&record["partition"], &record["offset"]) == (&json!(0), &json!(index)),
            "{record}"
        );
        ensure!(record["timestamp"].as_i64().is_some_and(|it| it > 1_700_000_000_000), "{record}");
    }
    for format in ["hex", "base64"] {
        let shape = ["--format", format, "--keys", "--headers", "--separator", "|"];
        let text = cli.text(&[&["consume", first], &shape[..]].concat())?;
        ensure!(text.lines().count() == objects.len(), "{text}");
        let topic = format!("commanded-{format}");
        ready(cli, &topic, "1")?;
        cli.run(&[&["produce", &topic], &shape[..]].concat(), &text)?.success()?;
        let read = consumed(cli, &[&topic])?;
        ensure!(without_place(&read) == objects, "{format}: {text} became {read:?}");
    }
    Ok(())
}

/// Text with keys goes where Apache Kafka's own producers send it, in every codec; what other clients
/// wrote is read, and the other way round.
pub fn other_clients(cli: &Cli, tools: &Tools) -> Result<()> {
    for codec in Codec::ALL {
        let topic = format!("commanded-{}", codec.name());
        ready(cli, &topic, "8")?;
        let produced = Produced::new(&topic, 5000, 100);
        let produce = ["produce", &topic, "--keys", "--compression", codec.name()];
        let said = cli.run(&produce, &produced.lines())?.success()?;
        ensure!(said == format!("Wrote 5000 records to {topic}.\n"), "{said}");
        let read = Client::FranzGo.read(tools, &cli.bootstrap, &topic, 8, 5000)?;
        check_read(&produced, &read, 8)?;
        let theirs = format!("commanded-{}-theirs", codec.name());
        ready(cli, &theirs, "8")?;
        Client::FranzGo.produce(tools, &cli.bootstrap, &theirs, codec, &produced)?;
        let mut lines: Vec<String> =
            cli.text(&["consume", &theirs, "--keys"])?.lines().map(str::to_owned).collect();
        let mut want: Vec<String> = produced.lines().lines().map(str::to_owned).collect();
        lines.sort();
        want.sort();
        ensure!(lines == want, "{} lines of {}", lines.len(), want.len());
        let place = |records: &[Value]| -> std::collections::BTreeMap<String, Value> {
            let of = |it: &Value| (it["key"].to_string(), it["partition"].clone());
            records.iter().map(of).collect()
        };
        let (ours, theirs) = (consumed(cli, &[&topic])?, consumed(cli, &[&theirs])?);
        ensure!(place(&ours) == place(&theirs), "keys go elsewhere");
    }
    Ok(())
}

pub fn ranges(cli: &Cli) -> Result<()> {
    let topic = "commanded-ranges";
    ready(cli, topic, "2")?;
    let record = |partition: i32, at: i64| {
        let headers = json!([{ "name": "at", "value": at.to_string() }]);
        let (key, value) = (format!("key-{at}"), format!("value-{partition}-{at}"));
        json!({ "partition": partition, "timestamp": at * 1000, "key": key, "value": value,
                "headers": headers })
    };
    let lines: String = (0..10)
        .flat_map(|at| [0, 1].map(|partition| format!("{}\n", record(partition, at))))
        .collect();
    cli.run(&["produce", topic, "--format", "json"], &lines)?.success()?;
    for (arguments, want) in [
        (&["--partition", "1", "--from", "8"][..], &["1-8", "1-9"][..]),
        (&["--partition", "0", "--from", "-1"], &["0-9"]),
        (&["--from", "-1"], &["0-9", "1-9"]),
        (&["--from", "end"], &[]),
        (&["--from", "10"], &[]),
        (&["--partition", "1", "--since", "7001"], &["1-8", "1-9"]),
        (&["--since", "1h"], &[]),
        (&["--partition", "1", "-n", "2"], &["1-0", "1-1"]),
        (&["--key", "ey-3"], &["0-3", "1-3"]),
        (&["--value", "0-4"], &["0-4"]),
        (&["--header", "at=5", "-p", "1", "--follow", "-n", "1"], &["1-5"]),
        (&["--header", "at", "--value", "1-6"], &["1-6"]),
        (&["--header", "on"], &[]),
    ] {
        let text = cli.text(&[&["consume", topic], arguments].concat())?;
        let mut values: Vec<_> =
            text.lines().map(|line| line.strip_prefix("value-").unwrap_or(line)).collect();
        values.sort_unstable();
        ensure!(values == want, "{arguments:?}: {values:?}");
    }
    for (arguments, code, why) in [
        (&["consume", topic, "--from", "11"][..], 1, "has offsets 0 to 10, not 11"),
        (&["consume", topic, "--partition", "2"], 1, "has no partition 2: it has 2"),
        (&["consume", "commanded-nowhere"], 1, "there is no topic \"commanded-nowhere\""),
        (&["produce", "commanded-nowhere"], 1, "millrace topic create commanded-nowhere"),
        (&["produce", topic, "/nowhere/lines"], 1, "cannot open /nowhere/lines"),
        (&["consume", topic, "--from", "1", "--since", "1h"], 2, "cannot be used with"),
        (&["consume", topic, "--from", "start"], 2, "beginning, end, an offset, or -COUNT"),
        (&["consume", topic, "--format", "json", "--keys"], 1, "not for --format json"),
    ] {
        cli.fails(arguments, code, why)?;
    }
    let bad = cli.run(&["produce", topic, "--keys"], "k\tv\nno key\n")?;
    ensure!(bad.status.code() == Some(1), "{bad:?}");
    ensure!(bad.stderr.contains("line 2: no separator behind the key"), "{bad:?}");
    Ok(())
}

fn consumed(cli: &Cli, arguments: &[&str]) -> Result<Vec<Value>> {
    let text = cli.text(&[&["consume", "--format", "json"], arguments].concat())?;
    let parse = |line: &str| serde_json::from_str(line).with_context(|| line.to_owned());
    text.lines().map(parse).collect()
}

/// The records as they were given, without where and when they came to lie.
fn without_place(records: &[Value]) -> Vec<Value> {
    let strip = |record: &Value| {
        let mut record = record.clone();
        for field in ["partition", "offset", "timestamp"] {
            record.as_object_mut().and_then(|it| it.remove(field));
        }
        record
    };
    records.iter().map(strip).collect()
}
