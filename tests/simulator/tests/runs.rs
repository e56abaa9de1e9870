//! Runs of the shipped broker in simulated worlds. `cargo xtask sim` runs many more of them, faster.

use std::time::Duration;

use protocol::record_batch::Compression;
use reactor::sim::Knobs;
use simulator::campaign::reproduce;
use simulator::consumer::ConsumerPlan;
use simulator::planted::Planted;
use simulator::producer::ProducerPlan;
use simulator::run::{Outcome, run};
use simulator::scenario::{Floor, Scenario};
use simulator::topic::{Role, TopicPlan};
use simulator::world::{World, describe, run_seed};
use storage::Settings;

/// Seeds that every build runs, in shares, so that tests run beside each other. The suite `seeds` runs
/// many more.
const SEED_COUNT: u64 = 20;
const SHARE_COUNT: u64 = 4;

fn run_share(share: u64) {
    for seed in (1..=SEED_COUNT).filter(|seed| seed % SHARE_COUNT == share) {
        for world in World::ALL {
            if let Err(failure) = run_seed(world, seed, Planted::NONE) {
                let (what, again) = (describe(world, seed), reproduce(world, seed));
                panic!("SEED={seed:#x} {what}\n{failure}\n{again}");
            }
        }
    }
}

#[test]
fn seeds_of_the_first_share() {
    run_share(0);
}

#[test]
fn seeds_of_the_second_share() {
    run_share(1);
}

#[test]
fn seeds_of_the_third_share() {
    run_share(2);
}

#[test]
fn seeds_of_the_fourth_share() {
    run_share(3);
}

#[test]
fn one_seed_is_one_run() {
    for (world, seed) in [(World::Broker, 6), (World::Broker, 7), (World::Logs, 6)] {
        let runs = [0, 1].map(|_| run_seed(world, seed, Planted::NONE));
        assert_eq!(runs[0], runs[1], "seed {seed}");
    }
}

/// Without any fault: what a producer sends is acknowledged and read, on every number of cores.
#[test]
fn what_is_produced_is_consumed_on_one_two_and_four_cores() {
    for core_count in [1, 2, 4] {
        let scenario = Scenario {
            seed: 1,
            core_count,
            fault_count: 0,
            floor: Floor::NONE,
            knobs: Knobs::default(),
            storage: Settings::default(),
            memory: None,
            segment_size_bytes: 1 << 20,
            request_timeout: Duration::from_secs(30),
            members: vec![None, None, Some("instance".to_owned())],
            topics: vec![TopicPlan {
                name: "orders".to_owned(),
                role: Role::Lasting,
                partition_count: 8,
                configs: Vec::new(),
            }],
            producers: vec![ProducerPlan {
                index: 0,
                idempotent: true,
                in_flight_max: 5,
                round_batch_count: 100,
                batch_record_count_max: 10,
                value_size_bytes_max: 1_000,
                pause_max: Duration::ZERO,
                by_topic_id: true,
                compression: Compression::None,
            }],
            consumers: vec![ConsumerPlan {
                by_topic_id: true,
                in_session: true,
                wait_max: Duration::from_millis(500),
                fetch_size_bytes_max: 1 << 20,
                partition_size_bytes_max: 1 << 20,
            }],
            drain_after: Duration::from_secs(30),
        };
        let outcome: Outcome = run(&scenario, &|_| {}).expect("nothing goes wrong");
        assert!(outcome.acknowledged_records >= 100, "{outcome:?}");
        assert_eq!(outcome.exposed_records, outcome.acknowledged_records, "{outcome:?}");
    }
}
