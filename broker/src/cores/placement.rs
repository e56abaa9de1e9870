//! Which core owns which partition of this broker.

use std::collections::BTreeMap;

use reactor::CoreIndex;

use crate::replica::PartitionKey;

/// Where this broker's partitions live, for as long as the process runs: a partition goes to the core
/// that has the fewest when it is first seen, and stays. After a restart they may live elsewhere;
/// nothing on disk depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    cores: BTreeMap<PartitionKey, CoreIndex>,
    partition_counts: Vec<usize>,
}

impl Placement {
    pub fn new(core_count: usize) -> Self {
        Placement { cores: BTreeMap::new(), partition_counts: vec![0; core_count] }
    }

    pub fn core_of(&self, partition: &PartitionKey) -> Option<CoreIndex> {
        self.cores.get(partition).copied()
    }

    /// Places `partition` unless it is placed, and says where.
    pub fn place(&mut self, partition: PartitionKey) -> CoreIndex {
        let counts = &mut self.partition_counts;
        *self.cores.entry(partition).or_insert_with(|| {
            let (index, count) = counts
                .iter_mut()
                .enumerate()
                .min_by_key(|(_, count)| **count)
                .expect("a broker has a core");
            *count += 1;
            CoreIndex(index)
        })
    }

    /// Forgets a partition that is gone.
    pub fn remove(&mut self, partition: &PartitionKey) {
        if let Some(core) = self.cores.remove(partition) {
            self.partition_counts[core.0] -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::model::{PartitionId, Uuid};

    use super::*;

    #[test]
    fn partitions_go_to_the_emptiest_core_and_stay() {
        let key = |number| (Uuid::ONE, PartitionId(number));
        let mut placement = Placement::new(2);
        let placed: Vec<usize> = (0..4).map(|number| placement.place(key(number)).0).collect();
        assert_eq!(placed, [0, 1, 0, 1]);
        placement.remove(&key(1));
        assert_eq!(placement.core_of(&key(1)), None);
        assert_eq!(placement.place(key(4)), CoreIndex(1));
        assert_eq!(placement.place(key(0)), CoreIndex(0));
    }
}
