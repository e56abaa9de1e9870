//! One client connection on its core.
//!
//! One task reads frames, decodes them and hands each to its handler in the order read (INV-15); a
//! handler that must wait for other cores leaves a future behind. A second task awaits those futures
//! in the same order and sends (INV-12). The window between the two is bounded: when it is full
//! nothing more is read, which is TCP back-pressure to the client. So it is where memory is short.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use reactor::Instant;
use reactor::net::TcpStream;
use reactor::sync::{Budget, Event, Queue, Share};

use super::frame_reader::{FrameReader, PREFIX_SIZE_BYTES, ReadError};
use crate::cores::Core;
use crate::handlers::{self, Answer, Refusal, RequestContext, Served};
use crate::memory::{Granted, Kept, Patience};
use crate::metrics::ApiCounts;

/// Requests of one connection that may be under way together. librdkafka and the Java client keep 5
/// in flight by default; a pipelining load generator's 128 fits with room to spare.
const WINDOW_REQUESTS_MAX: usize = 256;

/// Fetches of one connection that may wait behind each other. Their frames are kept meanwhile, and clients
/// ask for the next one when they have the last: Kafka reads one request at a time.
const WAITING_FETCHES_MAX: usize = 2;

/// Answers that are ready together leave in one vectored write up to about this size.
const SEND_SIZE_BYTES: usize = 256 * 1024;

/// A reader that takes less than this for a while is stuck; one write takes no more where it consists of
/// several parts.
const PROGRESS_SIZE_BYTES: usize = 1024 * 1024;

/// How long the last answers may take to leave, once nothing more is read. A peer that does not read
/// would keep its connection, and at a stop the process, for as long as it likes.
const LAST_ANSWERS_DEADLINE: Duration = Duration::from_secs(5);

/// One request's place in the order of answers.
struct Slot {
    answer: Answer,
    /// When it was read, and who hears how long it took.
    read_at: Instant,
    counts: Rc<ApiCounts>,
    /// The frame's memory stays reserved until the answer is ready.
    frame: Option<Rc<Share>>,
    /// The memory of what the request was decoded to, and of its answer, until that is sent.
    granted: Option<Granted>,
    /// Of what is done on demand, until it is.
    _place: Option<Share>,
}

/// Serves `stream` until the peer closes it, breaks the protocol, idles too long, or the core stops.
pub async fn serve(core: Rc<Core>, stream: TcpStream) {
    let peer = stream.peer_address();
    let stream = Rc::new(stream);
    let window = Queue::new(WINDOW_REQUESTS_MAX);
    let context = RequestContext::new(&core, peer.ip());
    let activity = Activity::watch(&core, &stream, &context.ending);
    let ended = Event::new();
    core.tasks.spawn({
        let core = core.clone();
        let (stream, window, ended) = (stream.clone(), window.clone(), ended.clone());
        let (ending, activity) = (context.ending.clone(), activity.state.clone());
        async move {
            let asked = send_answers(&core, &stream, &window, &activity).await;
            // Without a writer nothing more need be read.
            stream.shutdown();
            window.close();
            ending.set();
            // Nobody wants these answers any more, but what they were asked for may be under way, and
            // keeps the memory of its request until it is done.
            let mut asked = asked;
            while let Some(Slot { answer, frame, granted, .. }) = asked.or_else(|| window.try_pop())
            {
                answer.abandon(&core).await;
                drop((frame, granted));
                asked = None;
            }
            ended.set();
        }
    });
    let reading = read_requests(&context, &stream, &window, &activity);
    let outcome = futures_lite::future::or(async { Some(reading.await) }, async {
        core.stop.wait().await;
        None
    })
    .await;
    // What was read is still answered, unless the peer broke the protocol: then nothing it sent
    // behind may be mistaken for an answered request.
    window.close();
    context.ending.set();
    if let Some(Err(error)) = outcome {
        tracing::debug!(%peer, %error, "connection closed");
    }
    activity.stop(&core);
    let late = core.deadlines.schedule(reactor::now() + LAST_ANSWERS_DEADLINE, {
        let stream = Rc::downgrade(&stream);
        move || {
            if let Some(stream) = stream.upgrade() {
                stream.shutdown();
            }
        }
    });
    ended.wait().await;
    core.deadlines.cancel(late);
}

#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

async fn read_requests(
    context: &RequestContext,
    stream: &Rc<TcpStream>,
    window: &Queue<Slot>,
    activity: &Activity,
) -> Result<(), ConnectionError> {
    let core = &context.core;
    let size_max = core.node.config.socket_request_size_bytes_max;
    let waiting_fetches = Budget::new(WAITING_FETCHES_MAX);
    let throttle = context.throttle.clone();
    let mut frames = FrameReader::new(stream.clone(), core.clone(), size_max, throttle);
    while let Some(frame) = frames.next().await? {
        let read_at = activity.state.touch();
        core.check_memory();
        core.counts.received_bytes.add((PREFIX_SIZE_BYTES + frame.bytes.len()) as u64);
        let served = handlers::serve(context, frame.bytes).await;
        let Served { answer, granted, counts } =
            served.inspect_err(|_| core.counts.refused_requests.add(1))?;
        let place = match answer {
            Answer::OnDemand(_) => Some(waiting_fetches.take(1).await),
            Answer::Ready(_) | Answer::Later(_) => None,
        };
        let slot = Slot { answer, read_at, counts, frame: frame.share, granted, _place: place };
        if let Err(slot) = window.push(slot).await {
            slot.answer.abandon(core).await;
            return Ok(());
        }
    }
    Ok(())
}

/// Sends answers in the order of their requests, those that are ready together in one write. Ends with
/// the window, or when no more can be sent; then it returns what had begun and was not ready.
async fn send_answers(
    core: &Core,
    stream: &Rc<TcpStream>,
    window: &Queue<Slot>,
    activity: &ActivityState,
) -> Option<Slot> {
    let mut unready: Option<Slot> = None;
    let mut answered: Vec<(Rc<ApiCounts>, Instant)> = Vec::new();
    loop {
        let slot = match unready.take() {
            Some(slot) => slot,
            None => window.pop().await?,
        };
        let Slot { answer, read_at, counts, frame, granted, _place: place } = slot;
        drop(place);
        let mut reply = answer.reply().await.ok()?;
        drop(frame);
        answered.push((counts, read_at));
        let mut granted: Vec<Granted> = granted.into_iter().chain(reply.granted.take()).collect();
        let mut size_bytes: usize = reply.parts.iter().map(Bytes::len).sum();
        let mut is_refused = false;
        while !is_refused
            && size_bytes < SEND_SIZE_BYTES
            && let Some(mut next) = window.try_pop()
        {
            match next.answer.try_reply().await {
                Some(Ok(more)) => {
                    size_bytes += more.parts.iter().map(Bytes::len).sum::<usize>();
                    reply.parts.extend(more.parts);
                    reply.lent.extend(more.lent);
                    granted.extend(next.granted.into_iter().chain(more.granted));
                    answered.push((next.counts, next.read_at));
                }
                Some(Err(_)) => is_refused = true,
                None => {
                    unready = Some(next);
                    break;
                }
            }
        }
        let kept = Kept {
            prompt: granted.iter().any(|granted| granted.patience == Patience::Prompt),
            may_park: granted.iter().any(|granted| granted.patience == Patience::MayPark),
        };
        let sent = send(core, stream, &reply.parts, kept, activity).await;
        core.check_memory();
        drop((reply.parts, granted));
        core.give_back(reply.lent);
        let Ok(sent_at) = sent else { return unready };
        core.counts.sent_bytes.add(size_bytes as u64);
        for (counts, read_at) in answered.drain(..) {
            counts.answered(sent_at - read_at);
        }
        if is_refused {
            return None;
        }
    }
}

/// Sends `parts`, some at a time: a reader that takes nothing of them for long is found by who needs the
/// memory that they keep. Returns when that was done.
async fn send(
    core: &Core,
    stream: &Rc<TcpStream>,
    parts: &[Bytes],
    kept: Kept,
    activity: &ActivityState,
) -> std::io::Result<Instant> {
    let mut rest = parts;
    let mut sent_at = None;
    while !rest.is_empty() {
        let mut size_bytes = 0;
        let fits = rest.iter().take_while(|part| {
            let is_first = size_bytes == 0;
            size_bytes += part.len();
            is_first || size_bytes <= PROGRESS_SIZE_BYTES
        });
        let (now, later) = rest.split_at(fits.count());
        let mut writing = std::pin::pin!(stream.write_all(now));
        match futures_lite::future::poll_once(writing.as_mut()).await {
            Some(written) => written?,
            None => {
                let _sending = core.sends.begin(stream, kept);
                writing.await?;
            }
        }
        sent_at = Some(activity.touch());
        rest = later;
    }
    Ok(sent_at.unwrap_or_else(reactor::now))
}

/// Closes a connection that has been idle too long, at the cost of one deadline, not of a timer per
/// request. Source: `connections.max.idle.ms`.
struct Activity {
    state: Rc<ActivityState>,
}

struct ActivityState {
    last: std::cell::Cell<Instant>,
    idle_max: Duration,
    deadline: std::cell::Cell<Option<crate::cores::Deadline>>,
    stream: std::rc::Weak<TcpStream>,
    core: std::rc::Weak<Core>,
    /// Of the connection: one that is not read for a while hears of its end by this.
    ending: Event,
}

impl Activity {
    fn watch(core: &Rc<Core>, stream: &Rc<TcpStream>, ending: &Event) -> Self {
        let state = Rc::new(ActivityState {
            last: std::cell::Cell::new(reactor::now()),
            idle_max: Duration::from_millis(core.node.config.connections_idle_ms_max),
            deadline: std::cell::Cell::new(None),
            stream: Rc::downgrade(stream),
            core: Rc::downgrade(core),
            ending: ending.clone(),
        });
        ActivityState::arm(&state, core);
        Activity { state }
    }

    fn stop(&self, core: &Core) {
        if let Some(deadline) = self.state.deadline.take() {
            core.deadlines.cancel(deadline);
        }
    }
}

impl ActivityState {
    /// Says that something happened; returns when.
    fn touch(&self) -> Instant {
        let now = reactor::now();
        self.last.set(now);
        now
    }

    fn arm(state: &Rc<Self>, core: &Core) {
        let at = state.last.get() + state.idle_max;
        let again = state.clone();
        let deadline = core.deadlines.schedule(at, move || Self::fire(&again));
        state.deadline.set(Some(deadline));
    }

    fn fire(state: &Rc<Self>) {
        let (Some(core), Some(stream)) = (state.core.upgrade(), state.stream.upgrade()) else {
            return;
        };
        if reactor::now() - state.last.get() >= state.idle_max {
            state.ending.set();
            stream.shutdown();
        } else {
            Self::arm(state, &core);
        }
    }
}
