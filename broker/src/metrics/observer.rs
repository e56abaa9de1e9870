//! How a thread that is no core looks at cores: a question to each, by a bounded channel of its own, and
//! an answer. No core asks another one for it, so that one that is stuck is seen to be the one.

use std::rc::Rc;

use reactor::outside::{self, Answer, Awaited, Receiver, Sender};

use super::core_report::{CoreReport, CoreState};
use crate::cores::{Core, CoreSeed};

/// Questions that a core may have waiting. Who asks waits for one answer before it asks the next, but for
/// a core that did not answer in time.
const QUESTIONS_MAX: usize = 4;

/// What is asked of a core.
pub enum Question {
    State(Answer<CoreState>),
    Report(Answer<Box<CoreReport>>),
}

/// The way to all cores of a node. Clones are one.
#[derive(Clone)]
pub struct Observer {
    cores: Vec<Sender<Question>>,
}

impl Observer {
    /// Of the node that `seeds`, all of them, will be started with.
    pub fn of(seeds: &mut [CoreSeed]) -> Self {
        let channel = |seed: &mut CoreSeed| {
            let (sender, receiver) = outside::channel(QUESTIONS_MAX);
            seed.take_questions(receiver);
            sender
        };
        Observer { cores: seeds.iter_mut().map(channel).collect() }
    }

    /// Asks every core how it is; `None` for one that takes no question.
    pub fn states(&self) -> Vec<Option<Awaited<CoreState>>> {
        self.ask(Question::State)
    }

    /// Asks every core for what it has counted.
    pub fn reports(&self) -> Vec<Option<Awaited<Box<CoreReport>>>> {
        self.ask(Question::Report)
    }

    fn ask<T: Send + 'static>(
        &self,
        question: fn(Answer<T>) -> Question,
    ) -> Vec<Option<Awaited<T>>> {
        let ask = |core: &Sender<Question>| {
            let (answer, awaited) = outside::answer();
            core.try_send(question(answer)).ok().map(|()| awaited)
        };
        self.cores.iter().map(ask).collect()
    }
}

/// Answers on `core` until nobody can ask any more, or it is dropped.
pub async fn answer_questions(core: Rc<Core>, questions: Receiver<Question>) {
    while let Ok(question) = questions.recv().await {
        match question {
            Question::State(answer) => answer.give(CoreState::of(&core)),
            Question::Report(answer) => answer.give(Box::new(CoreReport::of(&core).await)),
        }
    }
}
