//! `docs/configuration.md`, made of the tables of keys.

use controller::config::{
    CLIENT_METRICS_KEYS, DYNAMIC_ONLY, Effect, GROUP_KEYS, Importance, Key, NODE_KEYS, Scope,
    TOPIC_KEYS,
};

const HEAD: &str = "# Configuration\n\nEvery key, generated from the tables in `controller/src/config`: \
`UPDATE_EXPECT=1 cargo test -p broker`.\n\n\
Names, types, defaults and ranges are Apache Kafka 4.3's; those of millrace begin with `millrace.`. \
Under *here*: **yes** has Kafka's meaning; *no effect* is accepted, and a start lists it in one line; \
*refused* stops a start that sets another value than the default, because to ignore it would weaken \
security or durability, or break a promise. Under *set*: `file` is `server.properties`; `broker` can \
also be altered for one broker while it runs, `cluster` for one or for all, with `kafka-configs`.\n\n\
An unknown key is a warning with the nearest known one. Impossible values are told all at once, each \
with its key, its value and what would be right. `listener.name.NAME.KEY` is the key of one listener.\n\n\
`kafka-configs` and the APIs behind it answer as Apache Kafka 4.3.1 does, which `tests/clients` compares \
line by line. On purpose otherwise:\n\n\
- Keys of listeners and of security, and `cordoned.log.dirs`, cannot be changed while a broker runs: \
INVALID_REQUEST, and they are described as read-only.\n\
- A broker's key that nobody knows is refused with INVALID_REQUEST and the nearest known one. Kafka keeps \
it for plug-ins, of which there are none here.\n\
- Groups and subscriptions to metrics are described with their defaults, and altering them is refused with \
INVALID_REQUEST, since nothing would follow. So are the levels of loggers, which `RUST_LOG` sets at the start.\n\
- A value whose meaning is not implemented, such as `remote.storage.enable=true`, is refused: \
of a topic with INVALID_CONFIG, of a broker with INVALID_REQUEST.\n\
- An operation of an unknown number is INVALID_REQUEST for a topic too, not UNKNOWN_SERVER_ERROR.\n";

fn page() -> String {
    let mut page = String::from(HEAD);
    let titles = [
        "Node, quorum and metadata log",
        "Listeners, connections and threads",
        "Topics and what clients ask of them",
        "Logs, retention and compaction",
        "Replication and leadership",
        "Groups",
        "Transactions",
        "Security",
        "Quotas and metrics",
        "Remote storage",
    ];
    for (title, keys) in titles.into_iter().zip(NODE_KEYS) {
        push_table(&mut page, title, keys);
    }
    push_table(&mut page, "Only while a broker runs", DYNAMIC_ONLY);
    push_table(&mut page, "Topics", TOPIC_KEYS);
    push_table(&mut page, "Groups, each by itself", GROUP_KEYS);
    push_table(&mut page, "Subscriptions to clients' metrics", CLIENT_METRICS_KEYS);
    page
}

fn push_table(page: &mut String, title: &str, keys: &[Key]) {
    page.push_str(&format!(
        "\n## {title}\n\n| key | default | values | set | here | meaning |\n|---|---|---|---|---|---|\n"
    ));
    for key in keys {
        let default = match key.default {
            None => "none".to_owned(),
            Some("") => "empty".to_owned(),
            Some(default) => format!("`{default}`"),
        };
        let set = match key.scope {
            Scope::ReadOnly => "file",
            Scope::PerBroker => "file (Kafka: broker)",
            Scope::ClusterWide => "cluster",
            Scope::Topic => "topic",
            Scope::Group => "group",
            Scope::ClientMetrics => "subscription",
        };
        let here = match key.effect {
            Effect::Honoured => "**yes**",
            Effect::NoEffect => "no effect",
            Effect::Refused => "refused",
        };
        let name = match key.importance {
            Importance::High => format!("**`{}`**", key.name),
            Importance::Medium | Importance::Low => format!("`{}`", key.name),
        };
        let inherited = key.synonyms.iter().map(|(name, _)| format!("`{name}`"));
        let inherited = inherited.collect::<Vec<_>>().join(", else ");
        let meaning = match inherited.as_str() {
            "" => key.documentation().to_owned(),
            from => format!("{} From {from}.", key.documentation()),
        };
        page.push_str(&format!(
            "| {name} | {default} | {} | {set} | {here} | {meaning} |\n",
            key.expected(),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn the_page_of_configurations_is_as_the_tables() {
        crate::tests::assert_page("configuration.md", &page());
    }
}
