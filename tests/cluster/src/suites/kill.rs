//! SIGKILL at random moments, again and again, while librdkafka produces and reads.

use crate::disk::free_bytes;
use crate::{Ledger, Load, Random, Scale, Spread, Traffic, fill};
use anyhow::{Context, Result, ensure};
use clients::{Broker, Kind, Quorum, Report, Setting, Site, Tools};
use std::time::Duration;

const TOPIC: &str = "orders";
const BALLAST_TOPIC: &str = "ballast";
/// A start may take this long at most, whatever lies on disk; not counted is for how long the host had
/// no CPU for it, so that a busy one does not fail this by itself.
const LISTENING_DEADLINE: Duration = Duration::from_secs(1);
/// Acknowledgements after a start before the next kill may come: more than the producers may still have to
/// report from before.
const ACKNOWLEDGED_BETWEEN_KILLS: u64 = 2000;
/// The longest time from there to the kill.
const BETWEEN_KILLS_MAX: Duration = Duration::from_millis(700);
/// One kill in so many comes while the broker is still about to start, within this time.
const EARLY_ONE_IN: u64 = 8;
const EARLY_MAX: Duration = Duration::from_millis(150);
/// One start in so many comes after a look at what the kill has left.
const VERIFIED_ONE_IN: u64 = 8;
/// How long a broker that listens again may take to be under load and to serve what it had acknowledged.
const BACK_DEADLINE: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;

/// One broker's life, with its deaths.
#[derive(Debug)]
struct Ordeal {
    partition_count: usize,
    /// On disk before the first kill.
    ballast_bytes: u64,
    kills: usize,
}

pub fn run(report: &mut Report, kind: Kind, scale: Scale) {
    let ordeals = [
        (1, 4, 0, scale.pick(6, 60)),
        (2, 16, 0, scale.pick(6, 60)),
        (2, 64, scale.pick(256 * MIB, 10 * 1024 * MIB), scale.pick(8, 80)),
    ];
    for (cores, partition_count, ballast_bytes, kills) in ordeals {
        let ordeal = Ordeal { partition_count, ballast_bytes, kills };
        let setting = Setting { kind, cores, quorum: Quorum::Dynamic };
        let ballast = match ballast_bytes / MIB {
            0 => String::new(),
            mib => format!(", {mib} MiB on disk"),
        };
        let name = format!(
            "{setting}: {kills} x kill -9 under load, {partition_count} partitions{ballast}: \
             nothing lost, doubled or misordered"
        );
        let needs = &[Tools::CONFLUENT_KAFKA];
        // What others write meanwhile needs its place too.
        let enough = free_bytes(&std::env::temp_dir()).is_ok_and(|free| free >= 2 * ballast_bytes);
        if !enough {
            report.skip(&name, "the temporary folder's disk has less than twice that free");
            continue;
        }
        report.case(&name, needs, |tools| endure(tools, setting, &ordeal));
    }
}

fn endure(tools: &Tools, setting: Setting, ordeal: &Ordeal) -> Result<()> {
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let partition_count = ordeal.partition_count;
    let (site, mut broker) = Site::format_and_start(tools, setting)?;
    if ordeal.ballast_bytes > 0 {
        let ballast = Traffic::new(&broker.bootstrap(), BALLAST_TOPIC, partition_count);
        ballast.create_topic(tools)?;
        fill(tools, &ballast, ordeal.ballast_bytes)?;
    }
    let traffic = Traffic::new(&broker.bootstrap(), TOPIC, partition_count);
    let mut load = Load::start(tools, traffic)?;
    let (mut listening, mut undelayed) = (Spread::default(), Spread::default());
    for kill in 1..=ordeal.kills {
        broker = one_kill(tools, &site, broker, &mut load, &mut random)
            .with_context(|| format!("kill {kill} of {}, seed {seed}", ordeal.kills))?;
        let after = broker.await_listening()?;
        listening.add(after);
        undelayed.add(after.saturating_sub(broker.waited_for_a_cpu()?));
        if after > LISTENING_DEADLINE {
            println!("listening after {after:?}: {}", broker.log());
        }
        let due = load.ledger().acknowledged();
        load.go_on_until("all read that was acknowledged", BACK_DEADLINE, |it| it.has_read(&due))
            .with_context(|| format!("after kill {kill} of {}, seed {seed}", ordeal.kills))?;
    }
    let count = load.finish(tools)?;
    broker.stop()?;
    site.verify(tools)?;
    // After a clean stop, and killed before anything is written: nothing has to be read again.
    site.start(tools)?.kill()?;
    let mut broker = site.start_unseen(setting.kind, tools)?;
    let idle = broker.await_listening()?;
    undelayed.add(idle.saturating_sub(broker.waited_for_a_cpu()?));
    println!("after a kill without load: listening after {idle:?}");
    broker.stop()?;
    println!("{count} records; from exec to listening: {listening}");
    println!("without waiting for a CPU: {undelayed}");
    if setting.kind == Kind::Millrace {
        let longest = undelayed.longest();
        ensure!(longest <= LISTENING_DEADLINE, "{longest:?} until it listened: {undelayed}");
    }
    Ok(())
}

/// Kills `broker` at a random moment under load and starts it again, at times only to kill it once more
/// before it listens.
fn one_kill(
    tools: &Tools,
    site: &Site,
    mut broker: Broker,
    load: &mut Load,
    random: &mut Random,
) -> Result<Broker> {
    let enough = load.ledger().acknowledged_count() + ACKNOWLEDGED_BETWEEN_KILLS;
    let is_enough = |ledger: &Ledger| ledger.acknowledged_count() >= enough;
    load.go_on_until("under load", BACK_DEADLINE, is_enough)
        .with_context(|| format!("{enough} are due; {}", broker.log()))?;
    load.go_on_for(random.up_to(BETWEEN_KILLS_MAX))?;
    broker.kill()?;
    while random.one_in(EARLY_ONE_IN) {
        let unseen = site.start_unseen(site.setting.kind, tools)?;
        load.go_on_for(random.up_to(EARLY_MAX))?;
        unseen.kill()?;
    }
    if random.one_in(VERIFIED_ONE_IN) {
        site.verify(tools)?;
    }
    site.start_unseen(site.setting.kind, tools)
}
