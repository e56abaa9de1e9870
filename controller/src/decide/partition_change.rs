//! How one partition changes when its in-sync replicas do: the election of a leader and the eligible
//! leader replicas. Sources: KIP-966, Kafka's `PartitionChangeBuilder`.

use protocol::model::BrokerId;

use crate::metadata::{LeaderRecoveryState, Partition, PartitionChange};

/// What a partition should become.
pub(super) struct Target<'a> {
    pub partition: &'a Partition,
    pub isr: Vec<BrokerId>,
    /// Lost what it had not flushed, so that it cannot be an eligible leader replica.
    pub unclean_shutdown: Option<BrokerId>,
    pub min_isr: usize,
    /// `eligible.leader.replicas.version` is 1.
    pub elr_enabled: bool,
    pub election: ElectionKind,
}

/// Who may be made the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ElectionKind {
    /// The present one if it may stay, else the first replica that has everything.
    Online,
    /// The first replica, even if another one leads and may stay.
    Preferred,
    /// As `Online`, and where nobody is known to have everything, whoever lives.
    Unclean,
}

/// What came of an election.
struct Election {
    leader: Option<BrokerId>,
    unclean: bool,
}

impl Target<'_> {
    /// The change to the target, with a new leader if the present one cannot stay.
    pub fn change(mut self, is_acceptable: impl Fn(BrokerId) -> bool) -> PartitionChange {
        let partition = self.partition;
        let mut change = PartitionChange::default();
        let mut elr = self.target_elr();
        let election = self.elect(&elr, is_acceptable);
        if election.leader != partition.leader {
            change.leader = Some(election.leader);
            match election.leader {
                // An unclean leader starts over with what it has.
                Some(leader) if election.unclean => {
                    self.isr = vec![leader];
                    elr.clear();
                    if partition.leader_recovery_state == LeaderRecoveryState::Recovered {
                        change.leader_recovery_state = Some(LeaderRecoveryState::Recovering);
                    }
                }
                Some(leader) if !self.isr.contains(&leader) => {
                    self.isr = vec![leader];
                    elr.retain(|&replica| replica != leader);
                }
                Some(_) | None => {}
            }
        }
        // Without eligible leader replicas, the last member of an ISR stays in it.
        if self.isr != partition.isr && (self.elr_enabled || !self.isr.is_empty()) {
            change.isr = Some(self.isr);
        }
        if elr != partition.eligible_leader_replicas {
            change.eligible_leader_replicas = Some(elr);
        }
        change.last_known_elr =
            self.elr_enabled.then(|| last_known_elr(partition, &change)).flatten();
        change
    }

    /// Who is out of the ISR, but had everything when the ISR became smaller than its minimum.
    fn target_elr(&self) -> Vec<BrokerId> {
        let partition = self.partition;
        if !self.elr_enabled || self.isr.len() >= self.min_isr.min(partition.replicas.len()) {
            return Vec::new();
        }
        let mut elr = partition.eligible_leader_replicas.clone();
        elr.extend(
            partition
                .isr
                .iter()
                .filter(|replica| !partition.eligible_leader_replicas.contains(replica)),
        );
        elr.retain(|replica| {
            !self.isr.contains(replica) && self.unclean_shutdown != Some(*replica)
        });
        elr.sort_unstable();
        elr
    }

    fn elect(&self, elr: &[BrokerId], is_acceptable: impl Fn(BrokerId) -> bool) -> Election {
        let partition = self.partition;
        let clean = |leader| Election { leader, unclean: false };
        // An eligible leader replica leads only when there is nobody in sync to wait for.
        let is_valid = |replica: BrokerId| {
            (self.isr.contains(&replica) || (self.isr.is_empty() && elr.contains(&replica)))
                && is_acceptable(replica)
        };
        let preferred = partition.replicas.first().copied();
        if self.election == ElectionKind::Preferred && preferred.is_some_and(is_valid) {
            return clean(preferred);
        }
        if partition.leader.is_some_and(is_valid) {
            return clean(partition.leader);
        }
        let valid = partition.replicas.iter().copied().find(|&replica| is_valid(replica));
        if valid.is_some() {
            return clean(valid);
        }
        let unclean = |leader| Election { leader: Some(leader), unclean: true };
        // No one is known to have everything: the last leader has the most.
        if let (true, true, true, &[last]) = (
            self.elr_enabled,
            elr.is_empty(),
            self.isr.is_empty(),
            partition.last_known_elr.as_slice(),
        ) && is_acceptable(last)
        {
            return unclean(last);
        }
        if self.election == ElectionKind::Unclean
            && let Some(replica) = partition.replicas.iter().copied().find(|&id| is_acceptable(id))
        {
            return unclean(replica);
        }
        clean(None)
    }
}

/// The last leader is noted when a partition loses it, and forgotten when there is a new one.
fn last_known_elr(partition: &Partition, change: &PartitionChange) -> Option<Vec<BrokerId>> {
    let known = !partition.last_known_elr.is_empty();
    match (change.leader?, partition.leader) {
        (Some(_), _) => known.then(Vec::new),
        (None, Some(last)) => (!known).then(|| vec![last]),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What Apache Kafka's `PartitionChangeBuilder` answered; see `PartitionChanges.java` beside it.
    const ANSWERS: &str = include_str!("../../testdata/kafka/partition_changes.txt");

    fn fields(part: &str) -> BTreeMap<&str, &str> {
        part.split_whitespace().filter_map(|field| field.split_once('=')).collect()
    }

    fn brokers(text: &str) -> Vec<BrokerId> {
        let items = text.split(',').filter(|item| *item != "-");
        items.map(|item| BrokerId(item.parse().unwrap())).collect()
    }

    fn show<'a>(brokers: impl IntoIterator<Item = &'a BrokerId>) -> String {
        let ids: Vec<_> = brokers.into_iter().map(ToString::to_string).collect();
        if ids.is_empty() { "-".to_owned() } else { ids.join(",") }
    }

    fn describe(change: &PartitionChange) -> String {
        if change.is_empty() {
            return "none".to_owned();
        }
        let list = |value: &Option<Vec<_>>| value.as_ref().map_or("~".to_owned(), show);
        format!(
            "isr={} leader={} recovery={} elr={} last_known_elr={}",
            list(&change.isr),
            change.leader.map_or("~".to_owned(), |leader| show(&leader)),
            change.leader_recovery_state.map_or("~".to_owned(), |s| s.to_wire().to_string()),
            list(&change.eligible_leader_replicas),
            list(&change.last_known_elr),
        )
    }

    #[test]
    fn partitions_change_as_in_apache_kafka() {
        let mut wrong = Vec::new();
        for row in ANSWERS.lines().filter(|line| !line.starts_with('#')) {
            let parts: Vec<_> = row.split(" | ").collect();
            let (from, to) = (fields(parts[0]), fields(parts[1]));
            let partition = Partition {
                replicas: brokers(from["replicas"]),
                isr: brokers(from["isr"]),
                eligible_leader_replicas: brokers(from["elr"]),
                last_known_elr: brokers(from["last_known_elr"]),
                leader: brokers(from["leader"]).first().copied(),
                leader_recovery_state: LeaderRecoveryState::from_wire(
                    from["recovery"].parse().unwrap(),
                )
                .unwrap(),
                ..Partition::default()
            };
            let target = Target {
                partition: &partition,
                isr: brokers(to["isr"]),
                unclean_shutdown: brokers(to["lost"]).first().copied(),
                min_isr: to["min_isr"].parse().unwrap(),
                elr_enabled: to["elr_enabled"] == "true",
                election: match to["unclean"] {
                    "true" => ElectionKind::Unclean,
                    _ => ElectionKind::Online,
                },
            };
            let alive = brokers(to["alive"]);
            let change = target.change(|replica| alive.contains(&replica));
            let change = describe(&change);
            if change != parts[2] {
                wrong.push(format!("{row}\n    ours: {change}"));
            }
        }
        assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    }
}
