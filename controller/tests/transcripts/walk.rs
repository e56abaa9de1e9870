//! Random conversations: whatever is asked, in whatever order, with crashes in between, live and
//! replayed state are equal and epochs only grow.

use controller::decide::Draw;
use controller::metadata::MetadataImage;

use crate::cluster::Cluster;

const SEEDS: u64 = 150;
const COMMANDS: usize = 80;

#[test]
fn random_walks_replay_to_the_live_state() {
    (0..SEEDS).for_each(walk);
}

/// Where to paste a seed that failed.
#[test]
fn one_walk() {
    walk(0);
}

fn walk(seed: u64) {
    let mut draw = Draw::new((u128::from(seed) + 1).to_be_bytes());
    let mut cluster = Cluster::default();
    let mut history = String::new();
    let mut execute = |cluster: &mut Cluster, command: &str| {
        history.push_str(command);
        history.push('\n');
        let before = cluster.committed();
        let run = std::panic::AssertUnwindSafe(|| cluster.execute(command, &mut String::new()));
        if std::panic::catch_unwind(run).is_err() {
            panic!("seed {seed}, after\n{history}");
        }
        if let Some(fault) = went_back(&before, &cluster.committed()) {
            panic!("INV-10 {fault}, seed {seed}, after\n{history}");
        }
    };
    for command in [["config local-broker=1", "config"][draw.below(2)], "format", "start", "settle"]
    {
        execute(&mut cluster, command);
    }
    for _ in 0..COMMANDS {
        for command in random_commands(&mut draw) {
            execute(&mut cluster, &command);
        }
    }
    execute(&mut cluster, "settle");
}

fn random_commands(draw: &mut Draw) -> Vec<String> {
    let topic = ["orders", "clicks", "a.b", "a_b"][draw.below(4)];
    let broker = 1 + draw.below(3);
    let count = 1 + draw.below(4);
    let one = |command: String| vec![command];
    match draw.below(23) {
        0 | 1 => one(format!("create {topic} partitions={count} replication-factor={broker}")),
        2 => one(format!("create {topic} partitions=2 configs=min.insync.replicas:{count}")),
        3 => one(format!("delete {topic}")),
        4 => one(format!("grow {topic} count={count}")),
        5 => one(format!("register broker={broker} clean dirs=2")),
        6 => one(format!("register broker={broker} dirs=2")),
        7 | 8 => one(format!("heartbeat broker={broker}")),
        9 => {
            let wish = ["shutdown", "fence", "offline=0", "cordon"][draw.below(4)];
            one(format!("heartbeat broker={broker} {wish}"))
        }
        10 => one(format!("assign {topic} broker={broker} dir={}", draw.below(2))),
        11 => one(format!("producer-ids broker={broker}")),
        12 => vec![format!("clock ms={}", 3_000 * count), "tick".to_owned()],
        13 => one("flushed".to_owned()),
        14 => one("settle".to_owned()),
        15 => {
            let change = ["set=min.insync.replicas:2", "append=cleanup.policy:compact"];
            one(format!("alter topic:{topic} {}", change[draw.below(2)]))
        }
        16 => {
            let resource = ["broker:".to_owned(), format!("broker:{broker}")];
            let change = ["alter {} set=min.insync.replicas:1", "replace {} set=log.roll.ms:9"];
            one(change[draw.below(2)].replace("{}", &resource[draw.below(2)]))
        }
        17 => one(format!("elect {topic} partition={}", count - 1)),
        18 => one(["elect", "elect unclean"][draw.below(2)].to_owned()),
        19 => {
            let to = ["to=1", "to=2,1", "to=1,2", "to=3", "to=2,3"][draw.below(5)];
            one(format!("reassign {topic} partition={} {to}", count - 1))
        }
        20 => one(format!("unregister broker={broker}")),
        21 => {
            let feature = ["eligible.leader.replicas.version", "group.version", "no.version"];
            let (feature, level) = (feature[draw.below(3)], draw.below(2));
            one(format!("features {feature}={level} type={}", 1 + draw.below(3)))
        }
        _ => vec!["crash".to_owned(), "start".to_owned(), "settle".to_owned()],
    }
}

/// The first epoch or counter that is smaller than it was.
fn went_back(before: &MetadataImage, after: &MetadataImage) -> Option<String> {
    if after.next_producer_id() < before.next_producer_id() {
        return Some("producer ids are given out twice".to_owned());
    }
    let went_back = |(id, old): (&_, &std::sync::Arc<controller::metadata::Broker>)| {
        after.broker(*id).is_some_and(|new| new.epoch < old.epoch)
    };
    if before.brokers().iter().any(went_back) {
        return Some("a broker epoch went back".to_owned());
    }
    for old in before.topics().iter() {
        let Some(new) = after.topic_by_id(old.id) else { continue };
        for (id, old) in &old.partitions {
            let Some(new) = new.partitions.get(id) else {
                return Some(format!("partition {id} is lost"));
            };
            let unchanged = new.partition_epoch == old.partition_epoch;
            if new.leader_epoch < old.leader_epoch
                || new.partition_epoch < old.partition_epoch
                || (unchanged && new != old)
            {
                return Some(format!("an epoch of partition {id} went back"));
            }
        }
    }
    None
}
