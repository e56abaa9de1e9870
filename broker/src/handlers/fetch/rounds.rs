//! A fetch over several cores: each core watches its own partitions for its share of the bytes.
//!
//! If the cores' new bytes together reach the minimum, one of `n` cores has at least an n-th of what is
//! missing. So each is asked for that, the first one that has it ends the waiting of the others, and
//! where the sum is still too small another round is asked with what is then missing.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use protocol::error_code::ErrorCode;
use reactor::CoreIndex;
use reactor::sync::Event;

use super::plan::Plan;
use crate::cores::{Awaiting, Core, CoreRequest, Unanswered};
use crate::memory::Lent;
use crate::replica::{FetchAnswer, FetchParts, FetchResult, FetchWait};

/// What all owners have together: results by slot, and the memory that they keep.
pub struct FetchAnswers {
    pub results: Vec<FetchResult>,
    pub lent: Vec<Lent>,
}

/// One round of questions, in the order of the plan's owners.
pub struct Round {
    asked: Vec<Asked>,
}

struct Asked {
    core: CoreIndex,
    state: State,
}

enum State {
    Awaiting(Awaiting<FetchAnswer>),
    Answered(FetchAnswer),
}

impl Round {
    /// Asks every owner; `had_bytes` is what each had in the round whose bytes were too few.
    pub async fn ask(core: &Rc<Core>, plan: &Plan, had_bytes: &[usize]) -> Round {
        let owner_count = plan.owners.len().max(1);
        let missing = plan.size_bytes_min.saturating_sub(had_bytes.iter().sum());
        let share_bytes = missing.div_ceil(owner_count);
        let mut asked = Vec::with_capacity(plan.owners.len());
        for (index, (owner, _, parts)) in plan.owners.iter().enumerate() {
            let had_bytes = had_bytes.get(index).copied().unwrap_or(0);
            let question = FetchParts {
                key: plan.key,
                parts: parts.clone(),
                size_bytes_max: plan.size_bytes_max,
                read_committed: plan.read_committed,
                wait: plan.deadline.map(|deadline| FetchWait {
                    deadline,
                    threshold_bytes: had_bytes + share_bytes,
                }),
            };
            let state = State::Awaiting(core.ask(*owner, question).await);
            asked.push(Asked { core: *owner, state });
        }
        Round { asked }
    }

    fn size_bytes(&self) -> usize {
        self.asked.iter().map(Asked::size_bytes).sum()
    }

    fn is_urgent(&self) -> bool {
        self.asked.iter().any(|asked| match &asked.state {
            State::Answered(answer) => answer.results.iter().any(FetchResult::is_urgent),
            State::Awaiting(_) => false,
        })
    }

    fn is_answered(&self) -> bool {
        self.asked.iter().all(|asked| matches!(asked.state, State::Answered(_)))
    }

    /// Waits until one more core has answered.
    async fn next_answer(&mut self) -> Result<(), Unanswered> {
        std::future::poll_fn(|cx| {
            for asked in &mut self.asked {
                if let State::Awaiting(answer) = &mut asked.state
                    && let Poll::Ready(answer) = Pin::new(answer).poll(cx)
                {
                    asked.state = State::Answered(answer?);
                    return Poll::Ready(Ok(()));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Ends the waiting of those that have not answered: they do so with what they have.
    async fn hurry(&self, core: &Core, plan: &Plan) {
        for asked in &self.asked {
            match asked.state {
                State::Answered(_) => {}
                State::Awaiting(_) if asked.core == core.index => core.finish_fetch(plan.key),
                State::Awaiting(_) => {
                    // Only its place behind the fetch matters: nothing is replied.
                    let request = CoreRequest::FinishFetch(plan.key);
                    drop(core.mesh.request(asked.core, request).await);
                }
            }
        }
    }
}

impl Asked {
    fn size_bytes(&self) -> usize {
        match &self.state {
            State::Answered(answer) => answer.results.iter().map(|result| result.size_bytes).sum(),
            State::Awaiting(_) => 0,
        }
    }
}

/// Asks the owners, and asks again where their bytes are too few; results by slot. Once `ending` is set
/// nobody waits for more.
pub async fn run(core: &Rc<Core>, plan: &Plan, ending: &Event) -> Result<FetchAnswers, Unanswered> {
    let mut round = Round::ask(core, plan, &[]).await;
    loop {
        let mut hurried = false;
        while !round.is_answered() {
            if hurried {
                round.next_answer().await?;
                continue;
            }
            let answered = async { Some(round.next_answer().await) };
            let ended = async {
                ending.wait().await;
                None
            };
            let is_ending = match futures_lite::future::or(answered, ended).await {
                Some(answered) => answered.map(|()| false)?,
                None => true,
            };
            let is_enough = round.size_bytes() >= plan.size_bytes_min || round.is_urgent();
            if is_ending || (is_enough && !round.is_answered()) {
                round.hurry(core, plan).await;
                hurried = true;
            }
        }
        let is_over = round.size_bytes() >= plan.size_bytes_min
            || round.is_urgent()
            || ending.is_set()
            || core.stop.is_set()
            || plan.deadline.is_none_or(|deadline| deadline <= reactor::now());
        if is_over {
            return Ok(by_slot(plan, round));
        }
        let had_bytes: Vec<usize> = round.asked.iter().map(Asked::size_bytes).collect();
        // The next round reads it again: nothing is kept meanwhile.
        core.give_back(by_slot(plan, round).lent);
        round = Round::ask(core, plan, &had_bytes).await;
    }
}

fn by_slot(plan: &Plan, round: Round) -> FetchAnswers {
    let mut lent = Vec::with_capacity(round.asked.len());
    let unset = FetchResult::refused(ErrorCode::UnknownServerError);
    let mut results = vec![unset; plan.wanted.len()];
    for (slot, result) in &plan.settled {
        results[*slot] = result.clone();
    }
    for ((_, slots, _), asked) in plan.owners.iter().zip(round.asked) {
        if let State::Answered(answer) = asked.state {
            for (slot, result) in slots.iter().zip(answer.results) {
                results[*slot] = result;
            }
            lent.push(answer.lent);
        }
    }
    FetchAnswers { results, lent }
}
