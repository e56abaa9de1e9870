//! What a core counts while it works: a few additions for each request.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use controller::quota::QuotaKind;
use protocol::api::ApiKey;
use protocol::error_code::ErrorCode;
use reactor::latencies::{Latencies, LatencyCounts};

use crate::handlers::served_apis;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(Cell<u64>);

impl Count {
    pub fn add(&self, more: u64) {
        self.0.set(self.0.get() + more);
    }

    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// The counts of one core, since it began.
#[derive(Debug, Default)]
pub struct CoreCounts {
    /// Of each API that is served.
    requests: BTreeMap<ApiKey, Rc<ApiCounts>>,
    /// Requests that closed their connection instead of being answered.
    pub refused_requests: Count,
    /// On the accepting core: connections that were not let in: their address has too many, or
    /// connects too fast.
    pub refused_connections: Count,
    /// Connections that this core was given.
    pub connections: Count,
    /// Of whole requests, with their lengths.
    pub received_bytes: Count,
    /// Of answers, with their lengths.
    pub sent_bytes: Count,
    /// From other cores.
    pub messages: Count,
    /// Reads for fetches that found it in memory, and those that asked a disk.
    pub memory_reads: Count,
    pub memory_read_bytes: Count,
    pub disk_reads: Count,
    pub disk_read_bytes: Count,
    /// Clients that were told to wait, and how long, by the quota that they were beyond.
    throttles: RefCell<BTreeMap<QuotaKind, Throttles>>,
    /// On the accepting core: clients are let in.
    pub is_accepting: Cell<bool>,
}

/// Waits of clients for one kind of quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttles {
    pub count: u64,
    pub pauses: Duration,
}

/// The counts of one API.
#[derive(Debug, Default)]
pub struct ApiCounts {
    requests: Count,
    /// From when a request was read until its answer was sent.
    latencies: Latencies,
    /// By code; one for each time that an answer says it.
    errors: RefCell<BTreeMap<i16, u64>>,
}

/// The counts of one API as they were at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    pub requests: u64,
    pub latencies: LatencyCounts,
    pub errors: BTreeMap<i16, u64>,
}

impl CoreCounts {
    pub fn new() -> Self {
        let requests = served_apis().map(|api_key| (api_key, Rc::default())).collect();
        CoreCounts { requests, ..CoreCounts::default() }
    }

    /// The counts of `api_key`; `None` where it is not served.
    pub fn api(&self, api_key: ApiKey) -> Option<&Rc<ApiCounts>> {
        self.requests.get(&api_key)
    }

    /// A fetch has read `size_bytes` of records, which were in memory, or not.
    pub fn read(&self, is_in_memory: bool, size_bytes: usize) {
        let (reads, bytes) = match is_in_memory {
            true => (&self.memory_reads, &self.memory_read_bytes),
            false => (&self.disk_reads, &self.disk_read_bytes),
        };
        reads.add(1);
        bytes.add(size_bytes as u64);
    }

    /// A client was told to wait for `pause`.
    pub fn throttled(&self, kind: QuotaKind, pause: Duration) {
        let mut throttles = self.throttles.borrow_mut();
        let Throttles { count, pauses } = throttles.entry(kind).or_default();
        *count += 1;
        *pauses = pauses.saturating_add(pause);
    }

    pub fn throttles(&self) -> BTreeMap<QuotaKind, Throttles> {
        self.throttles.borrow().clone()
    }

    /// The APIs that were asked for.
    pub fn requests(&self) -> impl Iterator<Item = (ApiKey, RequestCounts)> {
        let asked = self.requests.iter().filter(|(_, counts)| counts.requests.get() > 0);
        asked.map(|(api_key, counts)| (*api_key, counts.so_far()))
    }
}

impl ApiCounts {
    /// A request was read.
    pub fn asked(&self) {
        self.requests.add(1);
    }

    /// Its answer says `code`.
    pub fn says(&self, code: i16) {
        if code != i16::from(ErrorCode::None) {
            *self.errors.borrow_mut().entry(code).or_default() += 1;
        }
    }

    /// Its answer was sent, so long after the request was read.
    pub fn answered(&self, took: Duration) {
        self.latencies.record(took);
    }

    fn so_far(&self) -> RequestCounts {
        RequestCounts {
            requests: self.requests.get(),
            latencies: self.latencies.counts(),
            errors: self.errors.borrow().clone(),
        }
    }
}

impl RequestCounts {
    /// Adds what another core counted.
    pub fn add(&mut self, other: &RequestCounts) {
        self.requests += other.requests;
        self.latencies.add(&other.latencies);
        for (code, count) in &other.errors {
            *self.errors.entry(*code).or_default() += count;
        }
    }
}
