//! The question to the controller, from any core.

use std::rc::Rc;

use controller::quota::Mutator;
use controller::{Request, Response};

use crate::cores::{Ask, Core, CoreReply, CoreRequest, ReplyTo};

/// Asks the controller; the answer comes when what it says is committed, and shown by every core.
#[derive(Debug)]
pub struct ControllerQuestion {
    request: Request,
    /// Who asks, where that is limited.
    mutator: Option<Box<Mutator>>,
}

impl ControllerQuestion {
    pub fn of(request: Request) -> Self {
        ControllerQuestion { request, mutator: None }
    }

    /// The same, on the account of `mutator`.
    pub fn asked_by(self, mutator: Option<Box<Mutator>>) -> Self {
        ControllerQuestion { mutator, ..self }
    }
}

impl Ask for ControllerQuestion {
    type Answer = Response;

    fn serve(self, core: &Rc<Core>, reply: ReplyTo<Self::Answer>) {
        // A controller that is not there drops the question: the broker starts or stops.
        if let Some(controller) = core.controller() {
            controller.request(self.request, self.mutator, reply);
        }
    }

    fn into_request(self) -> CoreRequest {
        CoreRequest::Controller(self)
    }

    fn into_reply(answer: Self::Answer) -> CoreReply {
        CoreReply::Controller(answer)
    }

    fn from_reply(reply: CoreReply) -> Option<Self::Answer> {
        match reply {
            CoreReply::Controller(answer) => Some(answer),
            _ => None,
        }
    }
}
