//! Sizes of storage's that make little data meet every edge.

use reactor::sim::Random;
use storage::Settings;

/// The smallest sizes that work, and some between them and the defaults.
pub fn hostile_settings(random: &mut Random) -> Settings {
    let chunk_size_bytes_min = 4096 << random.below(3);
    let journal_file_size_bytes_first = 64 << 10;
    let journal_file_size_bytes_max = journal_file_size_bytes_first << random.below(3);
    let allocation_size_bytes_min = 4096 << random.below(3);
    Settings {
        chunk_size_bytes_min,
        chunk_size_bytes_max: chunk_size_bytes_min << random.below(3),
        flush_size_bytes_max: 4096 << random.below(6),
        journal_file_size_bytes_first,
        journal_file_size_bytes_max,
        journal_size_bytes_max: journal_file_size_bytes_max * random.within(4..9),
        index_rest_size_bytes_max: 32 << random.below(7),
        group_size_bytes_max: 16 << (10 + random.below(4)),
        bypass_size_bytes: 4096 << random.below(6),
        write_behind_size_bytes: 4096 << random.below(6),
        dirty_size_bytes_max: 128 << (10 + random.below(4)),
        checkpoint_interval_ms: [200, 1_000, 5_000][random.index(3)],
        allocation_size_bytes_min,
        allocation_size_bytes_max: allocation_size_bytes_min << random.below(5),
        reserve_size_bytes_max: 64 << (10 + random.below(4)),
    }
}
