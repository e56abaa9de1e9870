//! The real cores: what a core promises to its tasks.

mod support;

use std::cell::{Cell, RefCell};
use std::env;
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use reactor::net::TcpListener;
use reactor::sync::Notify;
use reactor::task::Group;
use reactor::{CoreIndex, Settings, launch, outside, spawn};
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

#[test]
fn timers_fire_in_the_order_of_their_deadlines() {
    on_core(|| async {
        // Late enough that every task has begun to sleep by then.
        let start = reactor::now() + Duration::from_millis(400);
        let fired = Rc::new(RefCell::new(Vec::new()));
        let group = Group::new();
        // Neither sorted nor all different; some sleepers are gone before their time.
        for n in 0..3_000_u64 {
            let (fired, after) = (fired.clone(), n * 7_919 % 3_000 / 2);
            let deadline = start + Duration::from_micros(after * 20);
            group.spawn(async move {
                let mut sleep = Box::pin(reactor::sleep_until(deadline));
                if n % 5 == 0 {
                    assert!(futures_lite::future::poll_once(&mut sleep).await.is_none());
                    return;
                }
                sleep.await;
                assert!(reactor::now() >= deadline, "woken before the deadline");
                fired.borrow_mut().push(after);
            });
        }
        group.ended().await;
        let fired = fired.take();
        assert_eq!(fired.len(), 2_400);
        assert!(fired.is_sorted(), "out of order");
        // A deadline that has passed is no wait, and a far one keeps nobody.
        reactor::sleep_until(start).await;
        reactor::timeout(Duration::ZERO, Notify::new().notified()).await.unwrap_err();
        let far = spawn(reactor::sleep(Duration::from_secs(1 << 40)));
        reactor::yield_now().await;
        drop(far);
    });
}

/// Sets its flag when it is dropped.
struct Witness(Rc<Cell<bool>>);

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[test]
fn a_dropped_task_is_cancelled_at_its_await() {
    on_core(|| async {
        let dropped = Rc::new(Cell::new(false));
        let witness = Witness(dropped.clone());
        let task = spawn(async move {
            let _witness = witness;
            Notify::new().notified().await;
        });
        reactor::yield_now().await;
        assert!(!dropped.get());
        drop(task);
        while !dropped.get() {
            reactor::yield_now().await;
        }
    });
}

/// Else a process that starts again in itself would find its ports and locks taken.
#[test]
fn a_core_that_ends_takes_its_waiting_tasks_with_it() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let counted = dropped.clone();
    let address = on_core(move || async move {
        let group = Group::new();
        let listener = Rc::new(TcpListener::bind(([127, 0, 0, 1], 0).into(), 8).unwrap());
        for kind in 0..4 {
            let (listener, counted) = (listener.clone(), Counted(counted.clone()));
            group.spawn(async move {
                let _counted = counted;
                match kind {
                    0 => drop(listener.accept().await),
                    1 => reactor::sleep(Duration::from_secs(1_000)).await,
                    2 => Notify::new().notified().await,
                    _ => unreachable!("the core ends before this task is polled again"),
                }
            });
            if kind == 2 {
                reactor::yield_now().await;
            }
        }
        listener.local_address()
    });
    assert_eq!(dropped.load(Ordering::SeqCst), 4);
    on_core(move || async move {
        TcpListener::bind(address, 8).unwrap();
    });
}

const CHILD: &str = "REACTOR_TEST_PANIC_CHILD";

/// What the child process does: one core panics while another would go on for ever.
#[test]
fn child_panics_on_a_core() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    let cores = launch(Settings::default(), vec![(), ()], |core, ()| async move {
        if core == CoreIndex(1) {
            spawn(async { panic!("a broken invariant") }).await
        }
        Notify::new().notified().await;
    });
    cores.unwrap().join();
}

#[test]
fn a_panic_on_one_core_ends_the_process() {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child_panics_on_a_core", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{errors}");
    assert!(errors.contains("a broken invariant"), "{errors}");
    assert!(errors.contains("core 1 panicked: the process ends"), "{errors}");
}
