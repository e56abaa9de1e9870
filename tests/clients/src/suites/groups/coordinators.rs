//! FindCoordinator: who coordinates groups, and that nobody coordinates what is not there.

use super::super::serving::talk::code;
use super::talk::Groups;
use anyhow::{Context, Result};
use protocol::messages::FindCoordinatorRequest;
use protocol::messages::find_coordinator::Coordinator;

const VERSIONS: std::ops::RangeInclusive<i16> = 0..=6;
/// The first version that asks for several at once.
const BATCH_VERSION: i16 = 4;

pub fn talk(groups: &mut Groups) -> Result<()> {
    for version in VERSIONS {
        // Groups; transactions; shares, whose key is group:topic:partition; and what nobody knows.
        for key_type in if version == 0 { 0..=0 } else { 0..=3 } {
            for (what, key) in [
                ("a group", "coordinated"),
                ("another group", "coordinated too"),
                ("no name", ""),
                ("a share", "coordinated:AAAAAAAAAAAAAAAAAAAABA:0"),
            ] {
                let found = find(groups, version, key_type, &[key])?;
                let what = format!("v{version} type {key_type} {what}");
                groups.say(what, said(groups, &found));
            }
        }
        if version >= BATCH_VERSION {
            let found = find(groups, version, 0, &["one", "two", "", "one"])?;
            groups.say(format_args!("v{version} four at once"), said(groups, &found));
            let found = find(groups, version, 0, &[])?;
            groups.say(format_args!("v{version} none at all"), said(groups, &found));
        }
    }
    Ok(())
}

fn find(
    groups: &mut Groups,
    version: i16,
    key_type: i8,
    keys: &[&str],
) -> Result<Vec<Coordinator>> {
    if version >= BATCH_VERSION {
        let coordinator_keys = keys.iter().map(|key| (*key).into()).collect();
        let request = FindCoordinatorRequest { key_type, coordinator_keys, ..Default::default() };
        return Ok(groups.talk.connection.call(version, &request)?.coordinators);
    }
    let key = (*keys.first().context("one key")?).into();
    let request = FindCoordinatorRequest { key, key_type, ..Default::default() };
    let answer = groups.talk.connection.call(version, &request)?;
    Ok(vec![Coordinator {
        key: "".into(),
        node_id: answer.node_id,
        host: answer.host,
        port: answer.port,
        error_code: answer.error_code,
        error_message: answer.error_message,
    }])
}

fn said(groups: &Groups, found: &[Coordinator]) -> String {
    let one = |it: &Coordinator| {
        let place = match (it.host.as_str(), it.port) {
            ("", -1) => "nowhere".to_owned(),
            (host, port) if groups.listens_at(host, port) => "here".to_owned(),
            (host, port) => format!("at {host}:{port}"),
        };
        let message = match it.error_message.as_deref() {
            None => "no message",
            Some("") => "an empty message",
            // Of what went well Apache Kafka's first versions say that, too.
            Some("NONE") => "message NONE",
            Some(_) => "a message",
        };
        let key = it.key.as_str();
        format!("{key:?} {} node {} {place} with {message}", code(it.error_code), it.node_id)
    };
    found.iter().map(one).collect::<Vec<_>>().join("; ")
}
