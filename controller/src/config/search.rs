//! Finding keys by their names.

use super::key::Key;
use super::node_keys::{DYNAMIC_ONLY, INTERNAL, NODE_KEYS};
use super::topic_keys::{INTERNAL_TOPIC_KEYS, TOPIC_KEYS};

/// What the key of a listener begins with, before the listener's name.
const LISTENER_PREFIX: &str = "listener.name.";

/// Every public key of a node, section by section.
pub fn node_keys() -> impl Iterator<Item = &'static Key> {
    NODE_KEYS.into_iter().flatten()
}

/// The key of a node called `name`; a listener's own, `listener.name.X.key`, is found as `key`.
pub fn node_key(name: &str) -> Option<&'static Key> {
    let sections = NODE_KEYS.into_iter().chain([DYNAMIC_ONLY, INTERNAL]);
    let exact = |name: &str| sections.clone().find_map(|keys| within(keys, name));
    exact(name).or_else(|| of_listener(name).and_then(|base| base_keys(base).find_map(exact)))
}

/// The key of a topic called `name`.
pub fn topic_key(name: &str) -> Option<&'static Key> {
    within(TOPIC_KEYS, name).or_else(|| within(INTERNAL_TOPIC_KEYS, name))
}

/// What follows the listener's name in the key of a listener: `key`, or `mechanism.key`.
pub fn of_listener(name: &str) -> Option<&str> {
    name.strip_prefix(LISTENER_PREFIX)?.split_once('.').map(|(_, base)| base)
}

/// `base` itself, and without the mechanism that some keys have in front.
fn base_keys(base: &str) -> impl Iterator<Item = &str> {
    [Some(base), base.split_once('.').map(|(_, key)| key)].into_iter().flatten()
}

fn within(sorted: &'static [Key], name: &str) -> Option<&'static Key> {
    let found = sorted.binary_search_by(|key| key.name.cmp(name)).ok()?;
    sorted.get(found)
}

/// The public key of a node whose name is nearest to `name`, when it is near enough to be a slip of
/// the pen.
pub fn nearest(name: &str) -> Option<&'static str> {
    node_keys()
        .map(|key| (edit_distance(key.name, name), key.name))
        .min()
        .filter(|&(distance, _)| distance <= 3.max(name.len() / 5))
        .map(|(_, nearest)| nearest)
}

/// Levenshtein's distance, in bytes.
fn edit_distance(left: &str, right: &str) -> usize {
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    for (row, from) in left.bytes().enumerate() {
        let mut current = vec![row + 1];
        for (column, to) in right.bytes().enumerate() {
            let replaced = previous[column] + usize::from(from != to);
            current.push(replaced.min(previous[column + 1] + 1).min(current[column] + 1));
        }
        previous = current;
    }
    previous[right.len()]
}

#[cfg(test)]
mod tests {
    use super::super::key::Scope;
    use super::super::{CLIENT_METRICS_KEYS, GROUP_KEYS};
    use super::*;

    #[test]
    fn tables_are_sorted_and_their_defaults_fit() {
        let tables = NODE_KEYS.into_iter().chain([
            DYNAMIC_ONLY,
            INTERNAL,
            TOPIC_KEYS,
            INTERNAL_TOPIC_KEYS,
            GROUP_KEYS,
            CLIENT_METRICS_KEYS,
        ]);
        for keys in tables {
            assert!(keys.is_sorted_by(|a, b| a.name < b.name), "{:?}", keys.first());
            for key in keys {
                assert!(!key.documentation().is_empty(), "{}", key.name);
                if let Some(default) = key.default {
                    assert!(key.fits(default), "{}={default}", key.name);
                    assert_eq!(key.shown(default), default, "{}", key.name);
                }
            }
        }
    }

    #[test]
    fn a_key_has_one_place() {
        let mut names: Vec<&str> = node_keys().map(|key| key.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn inherited_keys_are_of_their_own_kind_and_default() {
        for key in TOPIC_KEYS.iter().chain(GROUP_KEYS) {
            let mut defaults = key.synonyms.iter().filter_map(|&(name, factor)| {
                let node = node_key(name).unwrap_or_else(|| panic!("{} from {name}", key.name));
                if factor == 1 && key.scope == Scope::Topic {
                    assert!(node.kind == key.kind && node.effect == key.effect, "{}", key.name);
                }
                let default = node.default?;
                Some(match default.parse::<i64>() {
                    Ok(number) => number.saturating_mul(factor).to_string(),
                    Err(_) => default.to_owned(),
                })
            });
            if let Some(inherited) = defaults.next() {
                assert_eq!(key.default, Some(&*inherited), "{}", key.name);
            }
        }
    }

    #[test]
    fn keys_of_listeners_are_found_by_what_they_configure() {
        for (name, want) in [
            ("listener.name.internal.ssl.keystore.password", Some("ssl.keystore.password")),
            ("listener.name.client.plain.sasl.jaas.config", Some("sasl.jaas.config")),
            ("listener.name.x.max.connections", Some("max.connections")),
            ("listener.name.x.unheard.of", None),
            ("listener.name.x", None),
        ] {
            assert_eq!(node_key(name).map(|key| key.name), want, "{name}");
        }
    }

    #[test]
    fn slips_of_the_pen_are_recognised() {
        assert_eq!(nearest("num.partition"), Some("num.partitions"));
        assert_eq!(nearest("log.retention.hour"), Some("log.retention.hours"));
        assert_eq!(nearest("something.else.entirely"), None);
    }
}
