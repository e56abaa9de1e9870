use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use futures_lite::future::block_on;

use super::*;

/// Counts how often it was woken.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A future under test, polled by hand, with a waker that counts.
struct Polled<F> {
    future: Pin<Box<F>>,
    wakes: Arc<Counter>,
}

impl<F: Future> Polled<F> {
    fn new(future: F) -> Self {
        Polled { future: Box::pin(future), wakes: Arc::default() }
    }

    fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(self.wakes.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn wakes(&self) -> usize {
        self.wakes.0.load(Ordering::Relaxed)
    }
}

#[test]
fn a_notification_reaches_those_who_came_before_it() {
    let notify = Notify::new();
    let mut polled = Polled::new(notify.notified());
    let not_polled = notify.notified();
    assert!(polled.poll().is_pending());
    notify.notify_all();
    assert_eq!(polled.wakes(), 1);
    assert!(polled.poll().is_ready());
    block_on(not_polled);
    let mut late = Polled::new(notify.notified());
    assert!(late.poll().is_pending());
}

#[test]
fn a_dropped_waiter_leaves_nothing_behind() {
    let notify = Notify::new();
    let mut waiter = Polled::new(notify.notified());
    assert!(waiter.poll().is_pending());
    let wakes = waiter.wakes.clone();
    drop(waiter);
    assert!(notify.shared.waiters.wakers.borrow().is_empty());
    notify.notify_all();
    assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
}

/// Owns a future of the same `Notify`, as a task does whose last reference is its waker.
struct Owner(RefCell<Option<Notified>>);

#[test]
fn a_waker_may_own_what_waits() {
    // A waker that drops another waiter when it is dropped must not meet a borrow.
    struct Drops(std::sync::Mutex<Option<Box<dyn FnOnce() + Send>>>);
    impl Wake for Drops {
        fn wake(self: Arc<Self>) {
            let action = self.0.lock().unwrap().take();
            if let Some(action) = action {
                action();
            }
        }
    }
    let notify = Rc::new(Notify::new());
    let owner = Rc::new(Owner(RefCell::new(Some(Notified {
        shared: notify.shared.clone(),
        seen: 0,
        ticket: None,
    }))));
    thread_local! {
        static OWNER: RefCell<Option<Rc<Owner>>> = const { RefCell::new(None) };
    }
    OWNER.set(Some(owner.clone()));
    let waker = Waker::from(Arc::new(Drops(std::sync::Mutex::new(Some(Box::new(|| {
        OWNER.take().unwrap().0.take();
    }))))));
    let mut inner = owner.0.take().unwrap();
    assert!(Pin::new(&mut inner).poll(&mut Context::from_waker(&waker)).is_pending());
    owner.0.replace(Some(inner));
    notify.notify_all();
    assert!(owner.0.borrow().is_none());
}

#[test]
fn an_event_stays_set() {
    let event = Event::new();
    let mut waiter = Polled::new(event.clone().wait());
    assert!(waiter.poll().is_pending());
    assert!(!event.is_set());
    event.set();
    assert_eq!(waiter.wakes(), 1);
    assert!(waiter.poll().is_ready());
    block_on(event.wait());
    assert!(event.is_set());
}

#[test]
fn a_oneshot_delivers_or_tells_of_the_loss() {
    let (sender, receiver) = oneshot();
    let mut receiver = Polled::new(receiver);
    assert!(receiver.poll().is_pending());
    assert_eq!(sender.send(7), Ok(()));
    assert_eq!(receiver.wakes(), 1);
    assert_eq!(receiver.poll(), Poll::Ready(Ok(7)));

    let (sender, receiver) = oneshot::<i32>();
    let mut receiver = Polled::new(receiver);
    assert!(receiver.poll().is_pending());
    drop(sender);
    assert_eq!(receiver.wakes(), 1);
    assert_eq!(receiver.poll(), Poll::Ready(Err(Dropped)));

    let (sender, receiver) = oneshot();
    assert!(!sender.is_abandoned());
    drop(receiver);
    assert!(sender.is_abandoned());
    assert_eq!(sender.send(7), Err(7));
}

#[test]
fn a_sent_value_is_dropped_with_its_receiver() {
    let value = Rc::new(());
    let (sender, receiver) = oneshot();
    sender.send(value.clone()).unwrap();
    drop(receiver);
    assert_eq!(Rc::strong_count(&value), 1);
}

#[test]
fn a_full_queue_makes_pushes_wait_in_order() {
    let queue = Queue::new(1);
    block_on(queue.push(1)).unwrap();
    assert_eq!(queue.try_push(9), Err(9));
    let mut second = Polled::new(queue.push(2));
    let mut third = Polled::new(queue.push(3));
    assert!(second.poll().is_pending());
    assert!(third.poll().is_pending());
    assert_eq!(queue.len(), 1);
    assert_eq!(queue.try_pop(), Some(1));
    assert_eq!((second.wakes(), third.wakes()), (1, 0));
    // The place is the second's whether or not it has been polled since.
    assert_eq!(queue.try_push(9), Err(9));
    assert!(third.poll().is_pending());
    assert_eq!(queue.try_pop(), Some(2));
    assert_eq!(second.poll(), Poll::Ready(Ok(())));
    assert_eq!(third.poll(), Poll::Ready(Ok(())));
    assert_eq!(queue.try_pop(), Some(3));
    assert_eq!(queue.try_pop(), None);
}

#[test]
fn a_dropped_push_takes_its_value_back() {
    let queue = Queue::new(1);
    queue.try_push(1).unwrap();
    let mut second = Polled::new(queue.push(2));
    let mut third = Polled::new(queue.push(3));
    assert!(second.poll().is_pending());
    assert!(third.poll().is_pending());
    // The second is admitted but dropped before it learns so: the third gets the place.
    assert_eq!(queue.try_pop(), Some(1));
    assert_eq!(third.wakes(), 0);
    drop(second);
    assert_eq!(third.wakes(), 1);
    assert_eq!(third.poll(), Poll::Ready(Ok(())));
    assert_eq!(queue.try_pop(), Some(3));
}

#[test]
fn a_dropped_pop_hands_its_wake_up_on() {
    let queue = Queue::new(2);
    let mut first = Polled::new(queue.pop());
    let mut second = Polled::new(queue.pop());
    assert!(first.poll().is_pending());
    assert!(second.poll().is_pending());
    queue.try_push(1).unwrap();
    assert_eq!((first.wakes(), second.wakes()), (1, 0));
    drop(first);
    assert_eq!(second.wakes(), 1);
    assert_eq!(second.poll(), Poll::Ready(Some(1)));
}

#[test]
fn a_closed_queue_gives_back_what_waited_and_keeps_what_was_in() {
    let queue = Queue::new(1);
    queue.try_push(1).unwrap();
    let mut waiting = Polled::new(queue.push(2));
    assert!(waiting.poll().is_pending());
    queue.close();
    assert_eq!(waiting.wakes(), 1);
    assert_eq!(waiting.poll(), Poll::Ready(Err(2)));
    assert_eq!(block_on(queue.push(3)), Err(3));
    assert_eq!(block_on(queue.pop()), Some(1));
    assert_eq!(block_on(queue.pop()), None);

    let queue = Queue::<i32>::new(1);
    let mut popping = Polled::new(queue.pop());
    assert!(popping.poll().is_pending());
    queue.close();
    assert_eq!(popping.wakes(), 1);
    assert_eq!(popping.poll(), Poll::Ready(None));
}

#[test]
fn a_closed_queue_forgets_a_push_that_never_came_back() {
    let queue = Queue::new(1);
    queue.try_push(Rc::new(())).unwrap();
    let value = Rc::new(());
    let mut waiting = Polled::new(queue.push(value.clone()));
    assert!(waiting.poll().is_pending());
    queue.close();
    drop(waiting);
    assert_eq!(Rc::strong_count(&value), 1);
}

#[test]
fn a_large_claim_is_not_overtaken() {
    let budget = Budget::new(10);
    let held = budget.try_take(6).unwrap();
    assert_eq!(budget.available(), 4);
    let mut large = Polled::new(budget.take(8));
    let mut small = Polled::new(budget.take(2));
    assert!(large.poll().is_pending());
    assert!(small.poll().is_pending());
    assert!(budget.try_take(1).is_none(), "somebody waits");
    drop(held);
    assert_eq!((large.wakes(), small.wakes()), (1, 0));
    let Poll::Ready(share) = large.poll() else { panic!("eight of ten are free") };
    assert_eq!(share.size(), 8);
    assert_eq!(small.wakes(), 1);
    let Poll::Ready(other) = small.poll() else { panic!("two of ten are free") };
    assert_eq!(budget.available(), 0);
    drop((share, other));
    assert_eq!(budget.available(), 10);
}

#[test]
fn a_dropped_claim_lets_the_next_go() {
    let budget = Budget::new(10);
    let held = budget.try_take(6).unwrap();
    let mut large = Polled::new(budget.take(8));
    let mut small = Polled::new(budget.take(2));
    assert!(large.poll().is_pending());
    assert!(small.poll().is_pending());
    drop(large);
    assert_eq!(small.wakes(), 1);
    assert!(small.poll().is_ready());
    drop(held);

    // Woken, and dropped before it took its units.
    let held = budget.try_take(10).unwrap();
    let mut first = Polled::new(budget.take(5));
    let mut second = Polled::new(budget.take(5));
    assert!(first.poll().is_pending());
    assert!(second.poll().is_pending());
    drop(held);
    drop(first);
    assert_eq!(second.wakes(), 1);
    assert!(second.poll().is_ready());
}

#[test]
fn a_pinned_future_of_each_kind_can_be_awaited_in_place() {
    let budget = Budget::new(1);
    let queue = Queue::new(1);
    block_on(async {
        let share = pin!(budget.take(1)).await;
        pin!(queue.push(share)).await.unwrap();
        assert_eq!(pin!(queue.pop()).await.unwrap().size(), 1);
    });
    assert_eq!(budget.available(), 1);
}
