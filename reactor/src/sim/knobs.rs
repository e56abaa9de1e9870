//! Knobs: how hostile a simulated world is. Printed with the seed, they reproduce a run (S30).

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::random::Random;

/// How the simulated world behaves. The default is a healthy one: delays vary and ready tasks run in
/// any order, but nothing fails until a scenario asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Knobs {
    /// A timer fires up to this much after its deadline.
    pub timer_lateness_max: Duration,
    /// A ring of a bell reaches the other core up to this much later.
    pub bell_delay_max: Duration,
    /// Probability that a core does nothing for a while after a task's turn: it was descheduled, or the
    /// turn took long.
    pub core_stalled: f64,
    pub core_stall: Range<Duration>,
    /// More polls than this without time moving is a livelock: the run panics.
    pub polls_per_instant_max: u64,
    /// Each node's wall clock starts up to this far from the true time, either way.
    pub wall_clock_offset_max: Duration,
    /// Each node's wall clock gains or loses up to this many parts in a million.
    pub wall_clock_drift_ppm_max: u64,

    /// One way of a segment from node to node.
    pub network_delay: Range<Duration>,
    /// Probability that a segment is lost once, which costs the sender a retransmission.
    pub segment_lost: f64,
    /// Probability that a segment breaks its connection instead of arriving.
    pub connection_broken: f64,
    /// Bytes of a segment, at most.
    pub segment_bytes_max: usize,
    /// Probability that a read returns fewer bytes than have arrived.
    pub short_read: f64,
    /// Bytes in flight in one direction of a connection; drawn for each.
    pub socket_buffer_bytes: Range<u64>,
    /// A connect that hears nothing gives up after this.
    pub connect_timeout: Duration,
    /// A sender whose segments do not arrive gives its connection up after this; drawn for each stall.
    pub retransmission_timeout: Range<Duration>,

    /// From the start of a disk operation to its end.
    pub disk_latency: Range<Duration>,
    /// Probability that an operation takes `disk_slow_latency` instead.
    pub disk_slow: f64,
    pub disk_slow_latency: Range<Duration>,
    /// Size of each disk.
    pub disk_capacity_bytes: u64,
    /// Probability, at a power loss, that the changes of one file or directory since its last flush
    /// are lost piece by piece and not all kept.
    pub unsynced_lost: f64,
    /// Probabilities of an I/O error. A failed write leaves any part of its range written; after a
    /// failed flush a later one that succeeds says nothing of what came before the failed one.
    pub read_error: f64,
    pub write_error: f64,
    pub flush_error: f64,
    /// Probability that a write succeeds but lands at another place of its file.
    pub misdirected_write: f64,
}

impl Default for Knobs {
    fn default() -> Self {
        Knobs {
            timer_lateness_max: Duration::from_micros(50),
            bell_delay_max: Duration::from_micros(5),
            core_stalled: 0.0,
            core_stall: Duration::from_micros(10)..Duration::from_millis(20),
            polls_per_instant_max: 1_000_000,
            wall_clock_offset_max: Duration::ZERO,
            wall_clock_drift_ppm_max: 0,
            network_delay: Duration::from_micros(50)..Duration::from_micros(500),
            segment_lost: 0.0,
            connection_broken: 0.0,
            segment_bytes_max: 64 << 10,
            short_read: 0.05,
            socket_buffer_bytes: 256 << 10..256 << 10,
            connect_timeout: Duration::from_secs(10),
            retransmission_timeout: Duration::from_secs(15)..Duration::from_secs(30),
            disk_latency: Duration::from_micros(20)..Duration::from_micros(500),
            disk_slow: 0.0,
            disk_slow_latency: Duration::from_millis(10)..Duration::from_millis(500),
            disk_capacity_bytes: 1 << 40,
            unsynced_lost: 0.5,
            read_error: 0.0,
            write_error: 0.0,
            flush_error: 0.0,
            misdirected_write: 0.0,
        }
    }
}

impl Knobs {
    /// A hostile world drawn from `seed`: how bad each thing is differs from seed to seed, and any of
    /// them may be absent. Faults that no node survives by itself (I/O errors, misdirected writes, a
    /// small disk) are never drawn: a scenario asks for those.
    pub fn hostile(seed: u64) -> Self {
        let random = &mut Random::new(seed, "knobs");
        let micros = Duration::from_micros;
        let sometimes = |random: &mut Random, worst: u64| {
            if random.chance(0.3) { 0 } else { random.below(worst) + 1 }
        };
        let in_a_million = |random: &mut Random, worst: u64| sometimes(random, worst) as f64 / 1e6;
        let delay_min = random.below(1_000);
        let buffer_min = 1 << random.within(10..17);
        let disk_min = random.below(200);
        let patience_min = random.within(1_000_000..20_000_000);
        Knobs {
            timer_lateness_max: micros(sometimes(random, 20_000)),
            bell_delay_max: micros(sometimes(random, 500)),
            core_stalled: in_a_million(random, 5_000),
            wall_clock_offset_max: Duration::from_millis(sometimes(random, 3_600_000)),
            wall_clock_drift_ppm_max: sometimes(random, 500),
            network_delay: micros(delay_min)..micros(delay_min + random.below(20_000) + 1),
            segment_lost: in_a_million(random, 20_000),
            connection_broken: in_a_million(random, 2_000),
            segment_bytes_max: 1 << random.within(6..17),
            short_read: in_a_million(random, 500_000),
            socket_buffer_bytes: buffer_min..buffer_min * (1 + random.below(8)) + 1,
            connect_timeout: micros(random.within(500_000..20_000_000)),
            retransmission_timeout: micros(patience_min)..micros(patience_min * 2),
            disk_latency: micros(disk_min)..micros(disk_min + random.below(5_000) + 1),
            disk_slow: in_a_million(random, 20_000),
            unsynced_lost: random.below(11) as f64 / 10.0,
            ..Knobs::default()
        }
    }
}

/// All knobs in one line of `name=value`, separated by spaces.
impl fmt::Display for Knobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Taken apart by name, so that a knob that is added but not printed does not compile.
        let Knobs {
            timer_lateness_max,
            bell_delay_max,
            core_stalled,
            core_stall,
            polls_per_instant_max,
            wall_clock_offset_max,
            wall_clock_drift_ppm_max,
            network_delay,
            segment_lost,
            connection_broken,
            segment_bytes_max,
            short_read,
            socket_buffer_bytes,
            connect_timeout,
            retransmission_timeout,
            disk_latency,
            disk_slow,
            disk_slow_latency,
            disk_capacity_bytes,
            unsynced_lost,
            read_error,
            write_error,
            flush_error,
            misdirected_write,
        } = self;
        write!(
            f,
            "timer_lateness_max={timer_lateness_max:?} bell_delay_max={bell_delay_max:?} \
             core_stalled={core_stalled} core_stall={core_stall:?} \
             polls_per_instant_max={polls_per_instant_max} \
             wall_clock_offset_max={wall_clock_offset_max:?} \
             wall_clock_drift_ppm_max={wall_clock_drift_ppm_max} \
             network_delay={network_delay:?} segment_lost={segment_lost} \
             connection_broken={connection_broken} segment_bytes_max={segment_bytes_max} \
             short_read={short_read} socket_buffer_bytes={socket_buffer_bytes:?} \
             connect_timeout={connect_timeout:?} \
             retransmission_timeout={retransmission_timeout:?} disk_latency={disk_latency:?} \
             disk_slow={disk_slow} disk_slow_latency={disk_slow_latency:?} \
             disk_capacity_bytes={disk_capacity_bytes} unsynced_lost={unsynced_lost} \
             read_error={read_error} write_error={write_error} flush_error={flush_error} \
             misdirected_write={misdirected_write}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_set_of_knobs_and_one_line() {
        assert_eq!(Knobs::hostile(5), Knobs::hostile(5));
        assert_ne!(Knobs::hostile(5), Knobs::hostile(6));
        let line = Knobs::hostile(5).to_string();
        assert!(!line.contains('\n') && line.contains(" unsynced_lost="), "{line}");
    }

    #[test]
    fn no_hostile_world_is_out_of_bounds() {
        for seed in 0..1_000 {
            let knobs = Knobs::hostile(seed);
            for probability in
                [knobs.segment_lost, knobs.connection_broken, knobs.short_read, knobs.unsynced_lost]
            {
                assert!((0.0..=1.0).contains(&probability), "seed {seed}: {knobs}");
            }
            assert!(knobs.socket_buffer_bytes.start > 0, "seed {seed}: {knobs}");
            assert_eq!(knobs.write_error, 0.0);
        }
    }
}
