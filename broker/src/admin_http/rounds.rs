//! Rounds of questions to the cores, at a pace that they do not notice: who asks while a round is due
//! waits for it, and all of them share its answers.

use std::time::Duration;

use reactor::outside::Awaited;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout_at};

/// A core that has not answered by then is shown as one that does not.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(1);

/// Rounds take at most one part in so many of the time, whatever is asked how often, but that nobody waits
/// longer than for [`PAUSE_MAX`].
const TIME_PART: u32 = 10;
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// One kind of question to all cores.
pub struct Rounds<T> {
    pause_min: Duration,
    last: Mutex<Option<Round<T>>>,
}

struct Round<T> {
    began: Instant,
    next_at: Instant,
    answers: T,
}

impl<T: Clone> Rounds<T> {
    pub fn new(pause_min: Duration) -> Self {
        Rounds { pause_min, last: Mutex::new(None) }
    }

    /// What a round gives that began after this call.
    pub async fn next(&self, ask: impl AsyncFnOnce() -> T) -> T {
        let called = Instant::now();
        let mut last = self.last.lock().await;
        if let Some(round) = &*last {
            if round.began >= called {
                return round.answers.clone();
            }
            sleep_until(round.next_at).await;
        }
        let began = Instant::now();
        let answers = ask().await;
        let pause = (began.elapsed() * TIME_PART).clamp(self.pause_min, PAUSE_MAX);
        *last = Some(Round { began, next_at: began + pause, answers: answers.clone() });
        answers
    }
}

/// The answers of all cores; `None` for one that takes no question, has ended, or is late.
pub async fn answers<T>(asked: Vec<Option<Awaited<T>>>) -> Vec<Option<T>> {
    let deadline = Instant::now() + ANSWER_WAIT_MAX;
    let mut answers = Vec::with_capacity(asked.len());
    for awaited in asked {
        answers.push(match awaited {
            Some(awaited) => timeout_at(deadline, awaited.get()).await.ok().and_then(Result::ok),
            None => None,
        });
    }
    answers
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(future)
    }

    #[test]
    fn who_asks_in_a_pause_waits_for_it_and_shares_a_round() {
        let pause = Duration::from_millis(50);
        let rounds = Rounds::new(pause);
        let count = Cell::new(0);
        let ask = async || {
            count.set(count.get() + 1);
            count.get()
        };
        let began = Instant::now();
        let (first, second, third) = run(async {
            let first = rounds.next(ask).await;
            let second = async { Some(rounds.next(ask).await) };
            let third = async { Some(rounds.next(ask).await) };
            // Both are polled before either has its answer.
            let (mut second, mut third) = (Box::pin(second), Box::pin(third));
            let not_yet = futures_lite::future::poll_once(&mut third).await;
            assert_eq!(not_yet, None, "the pause is not over");
            assert_eq!(futures_lite::future::poll_once(&mut second).await, None);
            (first, third.await, second.await)
        });
        assert_eq!((first, second, third), (1, Some(2), Some(2)));
        assert!(began.elapsed() >= pause, "{:?}", began.elapsed());
    }

    #[test]
    fn a_core_that_is_late_or_has_ended_keeps_nobody() {
        let (given, first) = reactor::outside::answer();
        let (ended, second) = reactor::outside::answer();
        let (_silent, third) = reactor::outside::answer();
        given.give(7);
        drop(ended);
        let began = Instant::now();
        let got = run(answers(vec![Some(first), Some(second), None, Some(third)]));
        assert_eq!(got, [Some(7), None, None, None]);
        let waited = began.elapsed();
        assert!(waited >= ANSWER_WAIT_MAX && waited < 5 * ANSWER_WAIT_MAX, "{waited:?}");
    }
}
