//! What a topic may be called. Source: Kafka's `Topic`.

/// Directory names are `<topic>-<partition>` and at most 255 bytes.
pub const TOPIC_NAME_LENGTH_MAX: usize = 249;

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopicName {
    #[error("Topic name is invalid: it is empty")]
    Empty,
    #[error("Topic name is invalid: it is '{name}'")]
    Dots { name: String },
    #[error(
        "Topic name is invalid: its length is {length}, the maximum is {TOPIC_NAME_LENGTH_MAX}"
    )]
    Length { length: usize },
    #[error(
        "Topic name is invalid: '{name}' holds other characters than ASCII letters, digits, '.', '_' and '-'"
    )]
    Character { name: String },
}

pub fn check_topic_name(name: &str) -> Result<(), InvalidTopicName> {
    if name.is_empty() {
        return Err(InvalidTopicName::Empty);
    }
    if name == "." || name == ".." {
        return Err(InvalidTopicName::Dots { name: name.to_owned() });
    }
    if name.len() > TOPIC_NAME_LENGTH_MAX {
        return Err(InvalidTopicName::Length { length: name.len() });
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !name.bytes().all(legal) {
        return Err(InvalidTopicName::Character { name: name.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_kafka_does() {
        for (name, valid) in [
            ("orders", true),
            ("__consumer_offsets", true),
            ("a.b-c_D9", true),
            ("...", true),
            ("", false),
            (".", false),
            ("..", false),
            ("a b", false),
            ("a/b", false),
            ("größe", false),
        ] {
            assert_eq!(check_topic_name(name).is_ok(), valid, "{name:?}");
        }
        assert!(check_topic_name(&"x".repeat(TOPIC_NAME_LENGTH_MAX)).is_ok());
        assert!(check_topic_name(&"x".repeat(TOPIC_NAME_LENGTH_MAX + 1)).is_err());
    }
}
