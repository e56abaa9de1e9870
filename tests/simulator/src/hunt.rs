//! Looking for planted bugs: each in one seed after the other, until one fails.

use crate::campaign::{Campaign, Caught};
use crate::planted::Planted;

/// Runs the seeds of `campaign` with each of `bugs` planted, and prints which seed caught it. True where
/// all were caught.
pub fn hunt(bugs: &[Planted], campaign: &Campaign) -> bool {
    // Else the refusal to plant would pass for a catch, seed after seed.
    assert!(
        reactor::sim::has_planted_bugs(),
        "this build has no planted bugs: use --features planted-bugs"
    );
    // Panics are catches here, and their texts are in the table.
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = 0;
    for &planted in bugs {
        let began = std::time::Instant::now();
        let outcome = Campaign { planted, ..campaign.clone() }.run();
        let seconds = began.elapsed().as_secs_f64();
        let name = planted.name();
        match outcome {
            Err(Caught { world, seed, failure }) => {
                let after = seed.wrapping_sub(campaign.first_seed) + 1;
                let what: String = failure.to_string().chars().take(120).collect();
                println!(
                    "caught {name:36} seed={seed:<6} after={after:<5} world={:7} {seconds:6.1} s  {what}",
                    world.name()
                );
            }
            Ok(_) => {
                missed += 1;
                println!("MISSED {name:36} in {} seeds, {seconds:.1} s", campaign.seed_count);
            }
        }
    }
    println!("{} planted bugs, {missed} missed", bugs.len());
    missed == 0
}
