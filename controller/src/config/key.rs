//! One key: what its value must be, what it does here, and where it may be set.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

/// One key. The tables of them are what files, requests and documents are checked against and made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// `None` where Kafka has no default, or null.
    pub default: Option<&'static str>,
    pub range: Range,
    pub importance: Importance,
    pub scope: Scope,
    pub effect: Effect,
    /// The node's keys that a topic's or a group's is inherited from, the first that is set, and how
    /// many units of this one a unit of theirs is.
    pub synonyms: &'static [(&'static str, i64)],
    pub(super) documentation: &'static str,
}

/// The type of a value. Source: `ConfigDef.Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    Class,
    Double,
    Int,
    List,
    Long,
    Password,
    Short,
    String,
}

/// What values a key takes beside what its kind says. Bounds are inclusive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    Any,
    AtLeast(i64),
    Between(i64, i64),
    MinusOneOr(i64, i64),
    Fraction(f64, f64),
    OneOf(&'static [&'static str]),
    /// In capitals or not.
    AnyCaseOf(&'static [&'static str]),
    NonEmpty,
    /// A list of which no item is empty; what is there twice counts once.
    Items,
    /// The same, and not of nothing.
    SomeItems,
    /// A list of some of these words; none is a list too.
    SubsetOf(&'static [&'static str]),
    /// `*`, or a list of `partition:broker`.
    ThrottledReplicas,
    /// A list of `host:count`.
    HostCounts,
    /// `host:port`; without a host, all addresses.
    Endpoint,
    /// Where a share group begins.
    OffsetReset,
}

/// How much a reader of the documentation needs a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// Where a key may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In the file of a node.
    ReadOnly,
    /// There, and for one broker while it runs. These change listeners and directories, which cannot
    /// be changed here while the broker runs.
    PerBroker,
    /// There, and for one broker or all of them while they run.
    ClusterWide,
    Topic,
    Group,
    ClientMetrics,
}

/// What setting a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It has Kafka's meaning.
    Honoured,
    /// It is accepted and does nothing; the start says so in one line.
    NoEffect,
    /// A value other than the default is refused by name: ignoring it would weaken security or
    /// durability, or break a promise.
    Refused,
}

impl Key {
    pub fn documentation(&self) -> &'static str {
        // Comments begin with a blank.
        self.documentation.trim_start()
    }

    /// Whether its value is never shown.
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// Whether it can be altered while the broker runs.
    pub fn is_dynamic(&self) -> bool {
        !matches!(self.scope, Scope::ReadOnly | Scope::PerBroker)
    }

    /// Whether `value` asks for what is not implemented.
    pub fn refuses(&self, value: &str) -> bool {
        let value = value.trim();
        self.effect == Effect::Refused
            && !value.is_empty()
            && self.default.is_none_or(|default| !value.eq_ignore_ascii_case(default))
    }

    /// Whether `value` is of this key's kind and within its range.
    pub fn fits(&self, value: &str) -> bool {
        let value = value.trim();
        let kind_fits = match self.kind {
            Kind::Boolean => {
                value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
            }
            Kind::Double => value.parse::<f64>().is_ok_and(|number| !number.is_nan()),
            Kind::Short => value.parse::<i16>().is_ok(),
            Kind::Int => value.parse::<i32>().is_ok(),
            Kind::Long => value.parse::<i64>().is_ok(),
            Kind::Class | Kind::List | Kind::Password | Kind::String => true,
        };
        kind_fits && self.range.holds(value)
    }

    /// What a value should be, for messages.
    pub fn expected(&self) -> Expected {
        Expected { kind: self.kind, range: self.range }
    }

    /// `value` as Kafka shows it once it is read: trimmed, numbers and words in one form. A value that
    /// does not fit is left as it is.
    pub fn shown<'a>(&self, value: &'a str) -> Cow<'a, str> {
        let trimmed = value.trim();
        match self.kind {
            Kind::Boolean => Cow::Owned(trimmed.to_ascii_lowercase()),
            Kind::Short | Kind::Int | Kind::Long => match trimmed.parse::<i64>() {
                Ok(number) if trimmed.starts_with(['+', '0']) && trimmed != "0" => {
                    Cow::Owned(number.to_string())
                }
                _ => Cow::Borrowed(trimmed),
            },
            Kind::Double => match trimmed.parse::<f64>() {
                Ok(number) if !trimmed.contains(['e', 'E']) => Cow::Owned(format!("{number:?}")),
                _ => Cow::Borrowed(trimmed),
            },
            Kind::List if trimmed.contains(',') => {
                let mut seen = BTreeSet::new();
                let once = items(trimmed).filter(|item| seen.insert(*item));
                Cow::Owned(once.collect::<Vec<_>>().join(","))
            }
            Kind::List | Kind::Class => Cow::Borrowed(trimmed),
            Kind::Password | Kind::String => Cow::Borrowed(trimmed),
        }
    }
}

impl Range {
    fn holds(self, value: &str) -> bool {
        let number = || value.parse::<i64>();
        match self {
            Range::Any => true,
            Range::AtLeast(lowest) => number().is_ok_and(|number| number >= lowest),
            Range::Between(lowest, highest) => {
                number().is_ok_and(|number| (lowest..=highest).contains(&number))
            }
            Range::MinusOneOr(lowest, highest) => {
                number().is_ok_and(|number| number == -1 || (lowest..=highest).contains(&number))
            }
            Range::Fraction(lowest, highest) => {
                value.parse::<f64>().is_ok_and(|number| (lowest..=highest).contains(&number))
            }
            Range::OneOf(words) => words.contains(&value),
            Range::AnyCaseOf(words) => words.iter().any(|word| word.eq_ignore_ascii_case(value)),
            Range::NonEmpty => !value.is_empty(),
            Range::Items => items(value).all(|item| !item.is_empty()),
            Range::SomeItems => !value.is_empty() && Range::Items.holds(value),
            Range::SubsetOf(words) => items(value).all(|item| words.contains(&item)),
            Range::ThrottledReplicas => value == "*" || items(value).all(is_replica),
            Range::HostCounts => items(value).all(is_host_count),
            Range::Endpoint => is_endpoint(value),
            Range::OffsetReset => {
                ["latest", "earliest"].contains(&value) || value.starts_with("by_duration:P")
            }
        }
    }
}

/// The items of a list. An empty text is an empty list.
pub(super) fn items(value: &str) -> impl Iterator<Item = &str> {
    let value = value.trim();
    value.split(',').map(str::trim).filter(move |_| !value.is_empty())
}

fn is_replica(item: &str) -> bool {
    item.split_once(':').is_some_and(|(partition, broker)| {
        partition.parse::<u32>().is_ok() && broker.parse::<u32>().is_ok()
    })
}

fn is_endpoint(value: &str) -> bool {
    value.rsplit_once(':').is_some_and(|(host, port)| {
        // An IPv6 address has colons of its own, and brackets around them.
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_host = bare.is_some() || !host.contains([':', '[', ']', ' ', '/']);
        is_host && bare != Some("") && port.parse::<u16>().is_ok()
    })
}

fn is_host_count(item: &str) -> bool {
    // An IPv6 address has colons of its own.
    item.rsplit_once(':').is_some_and(|(host, count)| {
        !host.trim().is_empty() && count.trim().parse::<u32>().is_ok_and(|it| it <= i32::MAX as u32)
    })
}

/// What a value should be, in words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    kind: Kind,
    range: Range,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.range {
            Range::OneOf(words) | Range::AnyCaseOf(words) => {
                return write!(f, "one of {}", words.join(", "));
            }
            Range::SubsetOf(words) => {
                return write!(f, "a list of {}", words.join(", "));
            }
            Range::Items => return write!(f, "a list in which nothing is empty"),
            Range::SomeItems => return write!(f, "a list of one item or more, none of them empty"),
            Range::ThrottledReplicas => return write!(f, "* or a list of partition:broker"),
            Range::Endpoint => return write!(f, "host:port, such as 127.0.0.1:9644"),
            Range::HostCounts => return write!(f, "a list of host:count, such as 10.0.0.7:100"),
            Range::OffsetReset => return write!(f, "latest, earliest or by_duration:PnDTnHnMn.nS"),
            Range::NonEmpty => return write!(f, "a text that is not empty"),
            Range::Fraction(lowest, highest) => {
                return write!(f, "a number from {lowest} to {highest}");
            }
            Range::MinusOneOr(lowest, highest) => {
                return write!(f, "-1 or a whole number from {lowest} to {highest}");
            }
            Range::Any | Range::AtLeast(_) | Range::Between(..) => {}
        }
        let (lowest, highest) = match self.kind {
            Kind::Boolean => return write!(f, "true or false"),
            Kind::Double => return write!(f, "a number"),
            Kind::Class => return write!(f, "a class"),
            Kind::List => return write!(f, "a list"),
            Kind::Password | Kind::String => return write!(f, "a text"),
            Kind::Short => (i64::from(i16::MIN), i64::from(i16::MAX)),
            Kind::Int => (i64::from(i32::MIN), i64::from(i32::MAX)),
            Kind::Long => (i64::MIN, i64::MAX),
        };
        let (lowest, highest) = match self.range {
            Range::AtLeast(bound) => (bound, highest),
            Range::Between(low, high) => (low, high),
            _ => (lowest, highest),
        };
        match (lowest, highest) {
            (i64::MIN, i64::MAX) => write!(f, "a whole number"),
            (lowest, i64::MAX) => write!(f, "a whole number of at least {lowest}"),
            (lowest, highest) => write!(f, "a whole number from {lowest} to {highest}"),
        }
    }
}

/// A table of keys. Each is: its documentation; name, kind and default; range, importance, scope and
/// effect; and where it is inherited from.
macro_rules! keys {
    ($(
        $(#[doc = $line:literal])+
        $name:literal: $kind:ident $(= $default:literal)?, $range:ident $(($($bound:expr),+))?,
        $importance:ident, $scope:ident, $effect:ident
        $(, from [$($synonym:literal * $factor:literal),+])?;
    )+) => {
        &[$($crate::config::key::Key {
            name: $name,
            kind: $crate::config::key::Kind::$kind,
            default: $crate::config::key::keys!(@default $($default)?),
            range: $crate::config::key::Range::$range $(($($bound),+))?,
            importance: $crate::config::key::Importance::$importance,
            scope: $crate::config::key::Scope::$scope,
            effect: $crate::config::key::Effect::$effect,
            synonyms: &[$($(($synonym, $factor)),+)?],
            documentation: concat!($($line),+),
        }),+]
    };
    (@default) => { None };
    (@default $default:literal) => { Some($default) };
}
pub(super) use keys;

#[cfg(test)]
mod tests {
    use super::super::{node_key, topic_key};

    #[test]
    fn values_are_checked_as_kafka_does() {
        for (name, value, fits) in [
            ("cleanup.policy", "compact,delete", true),
            ("cleanup.policy", "compact, delete", true),
            ("cleanup.policy", "", true), // since Kafka 4.2: keep for ever
            ("cleanup.policy", "compact,compact", true),
            ("cleanup.policy", "compact,", false),
            ("cleanup.policy", "shred", false),
            ("compression.gzip.level", "-1", true),
            ("compression.gzip.level", "0", false),
            ("compression.gzip.level", "9", true),
            ("compression.type", "none", false), // a topic says `uncompressed`
            ("compression.type", "zstd", true),
            ("min.cleanable.dirty.ratio", "1.01", false),
            ("min.cleanable.dirty.ratio", "0.01", true),
            ("min.cleanable.dirty.ratio", "NaN", false),
            ("min.insync.replicas", "0", false),
            ("preallocate", "TRUE", true),
            ("preallocate", "yes", false),
            ("retention.ms", "-1", true),
            ("retention.ms", "-2", false),
            ("retention.ms", " 12 ", true),
            ("retention.ms", "12 h", false),
            ("segment.bytes", "1048575", false),
            ("segment.bytes", "2147483648", false),
            ("internal.segment.bytes", "4096", true),
            ("internal.segment.bytes", "4 KiB", false),
            ("leader.replication.throttled.replicas", "*", true),
            ("leader.replication.throttled.replicas", "0:1,1:2", true),
            ("leader.replication.throttled.replicas", "0-1", false),
        ] {
            let key = topic_key(name).expect("a key of a topic");
            assert_eq!(key.fits(value), fits, "{name}={value}");
        }
    }

    #[test]
    fn values_are_shown_as_kafka_does() {
        for (name, value, want) in [
            ("log.cleaner.min.cleanable.ratio", " 0.50 ", "0.5"),
            ("log.cleaner.min.cleanable.ratio", "1", "1.0"),
            ("delete.topic.enable", "TRUE", "true"),
            ("num.partitions", "+05", "5"),
            ("log.dirs", "/a , /b,/a", "/a,/b"),
            ("broker.rack", "a b ", "a b"),
        ] {
            let key = node_key(name).expect("a key of a node");
            assert_eq!(key.shown(value), want, "{name}={value}");
        }
    }

    #[test]
    fn expectations_are_said_in_words() {
        for (name, want) in [
            ("num.partitions", "a whole number from 1 to 2147483647"),
            ("delete.topic.enable", "true or false"),
            ("compression.gzip.level", "-1 or a whole number from 1 to 9"),
            ("log.message.timestamp.type", "one of CreateTime, LogAppendTime"),
            ("log.cleanup.policy", "a list of compact, delete"),
            ("offsets.topic.replication.factor", "a whole number from 1 to 32767"),
            ("log.segment.delete.delay.ms", "a whole number of at least 0"),
            ("log.retention.ms", "a whole number"),
        ] {
            let key = node_key(name).expect("a key of a node");
            assert_eq!(key.expected().to_string(), want, "{name}");
        }
    }
}
