//! What brokers may be told while they run. Sources: Kafka's `DynamicBrokerConfig`, `DynamicThreadPool`.

use crate::config::{NodeLayers, Scope, check_node, nearest, node_key};

/// Pools that grow to twice their size at most in one step, and shrink to half of it at least.
const RESIZED_IN_STEPS: [&str; 10] = [
    "background.threads",
    "log.cleaner.threads",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "remote.log.manager.copier.thread.pool.size",
    "remote.log.manager.expiration.thread.pool.size",
    "remote.log.manager.follower.thread.pool.size",
    "remote.log.reader.threads",
];

/// Checks what is `set` anew, with which a broker goes from `now` to `then`. The error says what is
/// wrong, for the client.
pub fn check_broker_configs<'a>(
    set: impl Iterator<Item = (&'a str, &'a str)>,
    now: &NodeLayers<'_>,
    then: &NodeLayers<'_>,
) -> Result<(), String> {
    for (name, value) in set {
        let Some(key) = node_key(name) else {
            let hint = nearest(name).map(|nearest| format!(" (did you mean {nearest}?)"));
            return Err(format!("Unknown config name: {name}{}", hint.unwrap_or_default()));
        };
        key.check(name, value).map_err(|error| error.to_string())?;
        if key.name != name || key.scope == Scope::PerBroker {
            return Err(format!(
                "{name} cannot be changed while this broker runs: change its file and restart it"
            ));
        }
        if key.scope == Scope::ReadOnly {
            return Err(format!("Cannot update these configs dynamically: [{name}]"));
        }
    }
    for name in RESIZED_IN_STEPS {
        check_resized(name, now, then)?;
    }
    check_local_retention(then)?;
    match check_node(then).first() {
        Some(wrong) => Err(wrong.to_string()),
        None => Ok(()),
    }
}

fn check_resized(name: &str, now: &NodeLayers<'_>, then: &NodeLayers<'_>) -> Result<(), String> {
    let (Some(old), Some(new)) = (now.number(name), then.number(name)) else { return Ok(()) };
    let wrong = if new == old {
        return Ok(());
    } else if new <= 0 {
        "at least 1".to_owned()
    } else if new < old / 2 {
        format!("at least half the current value {old}")
    } else if new > old.saturating_mul(2) {
        format!("at most double the current value {old}")
    } else {
        return Ok(());
    };
    Err(format!("Invalid value {new} for configuration {name}: expected {wrong}"))
}

/// What stays on local disk is no more than what stays at all.
fn check_local_retention(then: &NodeLayers<'_>) -> Result<(), String> {
    for (name, of_all) in
        [("local.retention.ms", "retention.ms"), ("local.retention.bytes", "retention.bytes")]
    {
        let number = |name| {
            let (value, _) = then.inherited(crate::config::topic_key(name)?)?;
            value.trim().parse::<i64>().ok()
        };
        let (Some(local), Some(all)) = (number(name), number(of_all)) else { continue };
        if all >= 0 && local != -2 && (local == -1 || local > all) {
            return Err(format!(
                "Invalid value {local} for configuration log.{name}: \
                 expected -2, or at most log.{of_all}, {all}"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::metadata::Configs;

    #[test]
    fn what_a_broker_may_be_told_is_checked() {
        let file = BTreeMap::from([("log.cleaner.threads".to_owned(), "4".to_owned())]);
        let now = NodeLayers::of_file(&file);
        for (name, value, want) in [
            ("num.io.threads", "16", ""),
            ("num.io.threads", "4", ""),
            (
                "num.io.threads",
                "17",
                "Invalid value 17 for configuration num.io.threads: \
                 expected at most double the current value 8",
            ),
            (
                "num.io.threads",
                "3",
                "Invalid value 3 for configuration num.io.threads: \
                 expected at least half the current value 8",
            ),
            ("log.cleaner.threads", "8", ""),
            (
                "log.cleaner.threads",
                "0",
                "Invalid value 0 for configuration log.cleaner.threads: expected at least 1",
            ),
            ("num.partitions", "2", "Cannot update these configs dynamically: [num.partitions]"),
            (
                "log.retention.mss",
                "2",
                "Unknown config name: log.retention.mss (did you mean log.retention.ms?)",
            ),
            (
                "log.retention.ms",
                "two",
                "Invalid value two for configuration log.retention.ms: expected a whole number",
            ),
            (
                "log.retention.ms",
                "0",
                "Invalid value 0 for configuration log.retention.ms: \
                 expected -1 for ever, or a number of at least 1",
            ),
            ("log.local.retention.ms", "604800000", ""),
            (
                "log.local.retention.ms",
                "604800001",
                "Invalid value 604800001 for configuration log.local.retention.ms: \
                 expected -2, or at most log.retention.ms, 604800000",
            ),
            (
                "log.local.retention.ms",
                "-1",
                "Invalid value -1 for configuration log.local.retention.ms: \
                 expected -2, or at most log.retention.ms, 604800000",
            ),
            (
                "listeners",
                "PLAINTEXT://:1",
                "listeners cannot be changed while this broker runs: \
                 change its file and restart it",
            ),
            (
                "listener.name.x.ssl.keystore.location",
                "/keys",
                "listener.name.x.ssl.keystore.location cannot be changed while this broker runs: \
                 change its file and restart it",
            ),
            ("leader.replication.throttled.rate", "1000", ""),
        ] {
            let set = Configs::from([(Arc::from(name), Arc::from(value))]);
            let then = NodeLayers { cluster: Some(&set), ..now };
            let checked = check_broker_configs([(name, value)].into_iter(), &now, &then);
            assert_eq!(checked.err().unwrap_or_default(), want, "{name}={value}");
        }
    }
}
