//! The keys of quotas. Source: Kafka's `QuotaConfig`.

/// What is limited of users and client ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuotaKind {
    /// Bytes of produce requests, a second.
    Produce,
    /// Bytes of answers to fetches, a second.
    Fetch,
    /// Time that a core works for requests, in percent of one core.
    Request,
    /// Partitions that are made and deleted, a second.
    ControllerMutation,
}

/// One thing that can be limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaKey {
    pub name: &'static str,
    pub kind: ValueKind,
}

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    Double,
    Int,
    Long,
}

/// Of users, client ids, and both together, by what each limits.
pub const CLIENT_KEYS: &[QuotaKey] = &[
    QuotaKey { name: "producer_byte_rate", kind: ValueKind::Long },
    QuotaKey { name: "consumer_byte_rate", kind: ValueKind::Long },
    QuotaKey { name: "request_percentage", kind: ValueKind::Double },
    QuotaKey { name: "controller_mutation_rate", kind: ValueKind::Double },
];

/// Of addresses: connections, a second.
pub const ADDRESS_KEYS: &[QuotaKey] =
    &[QuotaKey { name: "connection_creation_rate", kind: ValueKind::Int }];

impl QuotaKind {
    pub const ALL: [QuotaKind; 4] =
        [QuotaKind::Produce, QuotaKind::Fetch, QuotaKind::Request, QuotaKind::ControllerMutation];

    /// Kafka's key of it.
    pub fn key(self) -> &'static str {
        CLIENT_KEYS[self as usize].name
    }
}
