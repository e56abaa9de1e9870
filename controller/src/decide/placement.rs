//! Which brokers hold the replicas of new partitions.
//!
//! Greedy and deterministic: leaders go to the brokers that lead the fewest of the new partitions,
//! followers to racks that a partition does not use yet, then to the brokers with the fewest of the
//! new replicas; ties go round in a ring from a drawn start. Fenced brokers are a last resort and
//! never the preferred leader, as with Kafka's `StripedReplicaPlacer`.

use std::cmp::Reverse;

use protocol::error_code::ErrorCode;
use protocol::model::BrokerId;

use crate::metadata::MetadataImage;

use super::{Draw, Refusal};

struct Candidate<'a> {
    id: BrokerId,
    rack: Option<&'a str>,
    fenced: bool,
    leader_count: usize,
    replica_count: usize,
}

/// Replica lists for `partition_count` partitions, each led by its first.
pub(super) fn place(
    image: &MetadataImage,
    partition_count: usize,
    replication_factor: usize,
    draw: &mut Draw,
) -> Result<Vec<Vec<BrokerId>>, Refusal> {
    assert!(replication_factor > 0, "a partition has at least one replica");
    let mut candidates: Vec<_> = image
        .brokers()
        .values()
        .filter(|broker| !broker.in_controlled_shutdown && !broker.is_cordoned())
        .map(|broker| Candidate {
            id: broker.id,
            rack: broker.rack.as_deref(),
            fenced: broker.fenced,
            leader_count: 0,
            replica_count: 0,
        })
        .collect();
    let refuse = |message: String| Err(Refusal::new(ErrorCode::InvalidReplicationFactor, message));
    if replication_factor > candidates.len() {
        return refuse(format!(
            "Replication factor {replication_factor} is more than the {} brokers that can take \
             new replicas",
            candidates.len()
        ));
    }
    if candidates.iter().all(|candidate| candidate.fenced) {
        return refuse("All brokers are fenced".to_owned());
    }

    let start = draw.below(candidates.len());
    let placed = (0..partition_count)
        .map(|partition| place_one(&mut candidates, start + partition, replication_factor));
    Ok(placed.collect())
}

fn place_one(
    candidates: &mut [Candidate<'_>],
    start: usize,
    replication_factor: usize,
) -> Vec<BrokerId> {
    let count = candidates.len();
    let ring = |index: usize| (index + count - start % count) % count;
    let mut chosen: Vec<usize> = Vec::with_capacity(replication_factor);
    while chosen.len() < replication_factor {
        let is_leader = chosen.is_empty();
        let used = |rack: Option<&str>| {
            chosen.iter().filter(|&&index| candidates[index].rack == rack).count()
        };
        let next = (0..count).filter(|index| !chosen.contains(index)).min_by_key(|&index| {
            let candidate = &candidates[index];
            let led = if is_leader { candidate.leader_count } else { 0 };
            // Racks matter for followers only; brokers without a rack share one.
            let rack = if is_leader { 0 } else { used(candidate.rack) };
            (Reverse(!candidate.fenced), led, rack, candidate.replica_count, ring(index))
        });
        let next = next.expect("no more replicas are asked for than there are brokers");
        chosen.push(next);
        candidates[next].replica_count += 1;
        candidates[next].leader_count += usize::from(is_leader);
    }
    chosen.into_iter().map(|index| candidates[index].id).collect()
}
