//! The real cores: what a core promises to its tasks.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use reactor::{CoreIndex, Settings, launch, outside};
use support::on_core;

#[test]
fn every_core_runs_its_seed_and_join_waits_for_all() {
    let sum = Arc::new(AtomicUsize::new(0));
    let seeds = (0..3).map(|n| (n, sum.clone())).collect();
    let cores = launch(Settings::default(), seeds, |index, (seed, sum)| async move {
        assert_eq!(index, CoreIndex(seed));
        reactor::sleep(Duration::from_millis(5)).await;
        sum.fetch_add(seed + 1, Ordering::SeqCst);
    })
    .unwrap();
    cores.join();
    assert_eq!(sum.load(Ordering::SeqCst), 6);
}

#[test]
fn clocks_advance_over_a_sleep() {
    on_core(|| async {
        let (before, wall_before) = (reactor::now(), reactor::wall_clock());
        reactor::sleep(Duration::from_millis(20)).await;
        assert!(reactor::now() - before >= Duration::from_millis(20));
        assert!(reactor::wall_clock() > wall_before);
        assert!(wall_before > 1_600_000_000_000, "milliseconds since 1970, not {wall_before}");
    });
}

#[test]
fn a_message_from_an_ordinary_thread_wakes_a_sleeping_core() {
    let (sender, receiver) = outside::channel(1);
    let (echo, echoed) = mpsc::channel();
    let cores =
        launch(Settings::default(), vec![(receiver, echo)], |_, (receiver, echo)| async move {
            while let Ok(number) = receiver.recv().await {
                echo.send(number).unwrap();
            }
        })
        .unwrap();
    for number in 0..100 {
        sender.send(number).unwrap();
        assert_eq!(echoed.recv_timeout(Duration::from_secs(30)), Ok(number));
    }
    drop(sender);
    cores.join();
}
