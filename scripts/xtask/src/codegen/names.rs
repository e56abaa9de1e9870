//! Kafka's names in Rust's spelling.

/// `FetchMaxWaitMs` to `fetch_max_wait_ms`. A digit stays with the word before it.
pub fn snake_case(name: &str) -> String {
    // Kafka itself writes `kraft` wherever it spells the word in lower case.
    let name = name.replace("KRaft", "Kraft");
    let mut snake = String::new();
    for (index, character) in name.char_indices() {
        if character.is_ascii_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

/// A field's identifier: `Type` and `Match` are keywords in lower case.
pub fn field_name(name: &str) -> String {
    let snake = snake_case(name);
    if matches!(snake.as_str(), "type" | "match") { format!("r#{snake}") } else { snake }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafka_s_names_become_rust_s() {
        for (name, want) in [
            ("ThrottleTimeMs", "throttle_time_ms"),
            ("KRaftVersion", "kraft_version"),
            ("Enable2Pc", "enable2_pc"),
            ("V3AndBelowTopics", "v3_and_below_topics"),
            ("Type", "r#type"),
        ] {
            assert_eq!(field_name(name), want);
        }
    }
}
