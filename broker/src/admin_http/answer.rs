//! The three pages.

use std::convert::Infallible;
use std::fmt::Write;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::shown::{NodeState, Shown};
use crate::metrics::{self, Exposition};

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// What is sent, made a piece at a time.
pub enum AnswerBody {
    Text(Option<String>),
    Metrics(Box<Exposition>),
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match self.get_mut() {
            AnswerBody::Text(text) => text.take(),
            AnswerBody::Metrics(exposition) => exposition.next(),
        };
        Poll::Ready(piece.map(|piece| Ok(Frame::data(Bytes::from(piece)))))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            AnswerBody::Text(text) => {
                SizeHint::with_exact(text.as_ref().map_or(0, String::len) as u64)
            }
            AnswerBody::Metrics(_) => SizeHint::default(),
        }
    }
}

pub async fn to(request: &Request<Incoming>, shown: &Shown) -> Response<AnswerBody> {
    let is_head = request.method() == Method::HEAD;
    let mut response = if !is_head && request.method() != Method::GET {
        let mut response =
            text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered\n".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        response
    } else {
        match request.uri().path() {
            "/metrics" => {
                let exposition = Box::new(Exposition::new(shown.report().await));
                answer(StatusCode::OK, metrics::CONTENT_TYPE, AnswerBody::Metrics(exposition))
            }
            "/healthz" => health(&*shown.state().await),
            "/readyz" => readiness(&*shown.state().await, shown.log_dirs()),
            _ => {
                text(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n".to_owned())
            }
        }
    };
    if is_head {
        *response.body_mut() = AnswerBody::Text(None);
    }
    response
}

/// Every core answers; else those that do not.
fn health(state: &NodeState) -> Response<AnswerBody> {
    match silent_cores(state) {
        silent if silent.is_empty() => text(StatusCode::OK, "healthy\n".to_owned()),
        silent => text(StatusCode::SERVICE_UNAVAILABLE, silent),
    }
}

/// Clients are let in, which is when metadata are read, logs are open and the broker is part of its
/// cluster; else why not. Log directories that have failed are named in either case.
fn readiness(state: &NodeState, log_dirs: &[PathBuf]) -> Response<AnswerBody> {
    let answered = || state.iter().flatten();
    let mut said = silent_cores(state);
    let status = if !said.is_empty() {
        StatusCode::SERVICE_UNAVAILABLE
    } else if answered().any(|core| core.is_stopping) {
        said.push_str("stopping\n");
        StatusCode::SERVICE_UNAVAILABLE
    } else if answered().any(|core| core.is_accepting) {
        said.push_str("ready\n");
        StatusCode::OK
    } else {
        said.push_str("starting\n");
        StatusCode::SERVICE_UNAVAILABLE
    };
    for (index, path) in log_dirs.iter().enumerate() {
        let failure = answered().find_map(|core| core.directory_failures.get(index)?.clone());
        if let Some(failure) = failure {
            line(&mut said, format_args!("log directory {} is offline: {failure}", path.display()));
        }
    }
    text(status, said)
}

fn silent_cores(state: &NodeState) -> String {
    let mut said = String::new();
    for (index, _) in state.iter().enumerate().filter(|(_, core)| core.is_none()) {
        line(&mut said, format_args!("core {index} does not answer"));
    }
    said
}

fn line(said: &mut String, words: std::fmt::Arguments<'_>) {
    writeln!(said, "{words}").expect("a text takes what is written to it");
}

fn text(status: StatusCode, text: String) -> Response<AnswerBody> {
    answer(status, PLAIN_TEXT, AnswerBody::Text(Some(text)))
}

fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: AnswerBody,
) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cores::ClusterView;
    use crate::metrics::CoreState;

    fn core(is_accepting: bool, is_stopping: bool, failure: Option<&str>) -> Option<CoreState> {
        Some(CoreState {
            is_accepting,
            is_stopping,
            view: Arc::new(ClusterView::empty(2)),
            directory_failures: vec![None, failure.map(Arc::from)],
        })
    }

    fn said(mut response: Response<AnswerBody>) -> (u16, String) {
        let status = response.status().as_u16();
        match response.body_mut() {
            AnswerBody::Text(text) => (status, text.take().unwrap_or_default()),
            AnswerBody::Metrics(_) => panic!("a state is a text"),
        }
    }

    #[test]
    fn a_node_says_how_it_is_and_which_core_does_not() {
        let dirs = [PathBuf::from("/a"), PathBuf::from("/b")];
        let serving = || core(true, false, None);
        let other = || core(false, false, None);
        let offline = || core(false, false, Some("it is gone"));
        for (state, healthy, ready) in [
            (vec![serving(), other()], (200, "healthy\n"), (200, "ready\n")),
            (vec![other(), other()], (200, "healthy\n"), (503, "starting\n")),
            (vec![other(), core(false, true, None)], (200, "healthy\n"), (503, "stopping\n")),
            (
                vec![serving(), None],
                (503, "core 1 does not answer\n"),
                (503, "core 1 does not answer\n"),
            ),
            (
                vec![serving(), offline()],
                (200, "healthy\n"),
                (200, "ready\nlog directory /b is offline: it is gone\n"),
            ),
        ] {
            let (status, text) = said(health(&state));
            assert_eq!((status, text.as_str()), healthy);
            let (status, text) = said(readiness(&state, &dirs));
            assert_eq!((status, text.as_str()), ready);
        }
    }
}
