//! Sets of authorised operations (KIP-430), as bits by `AclOperation` code. There is no authoriser yet:
//! everybody may do everything that a resource knows.

/// READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS.
/// Source: `AclEntry.supportedOperations`.
pub const TOPIC: i32 = bits(&[3, 4, 5, 6, 7, 8, 10, 11]);

/// READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS.
pub const GROUP: i32 = bits(&[3, 6, 8, 10, 11]);

/// CREATE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS, IDEMPOTENT_WRITE.
pub const CLUSTER: i32 = bits(&[5, 7, 8, 9, 10, 11, 12]);

/// Nobody asked.
pub const UNKNOWN: i32 = i32::MIN;

/// `all` where the client asked for it.
pub fn asked(is_asked: bool, all: i32) -> i32 {
    if is_asked { all } else { UNKNOWN }
}

const fn bits(codes: &[u32]) -> i32 {
    let (mut bits, mut index) = (0, 0);
    while index < codes.len() {
        bits |= 1 << codes[index];
        index += 1;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_those_of_a_kafka_without_an_authoriser() {
        assert_eq!((TOPIC, GROUP, CLUSTER), (3576, 3400, 8096));
        assert_eq!((asked(true, TOPIC), asked(false, TOPIC)), (3576, i32::MIN));
    }
}
