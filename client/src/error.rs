//! What can go wrong between asking and an answer.

use std::io;

use protocol::api::ApiKey;
use protocol::error_code::ErrorCode;
use protocol::wire::{DecodeError, EncodeError};

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{server:?} is no HOST:PORT, such as localhost:9092")]
    Address { server: String },
    #[error("cannot look up the host of {server}")]
    Lookup {
        server: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot connect to {server}")]
    Connect {
        server: String,
        #[source]
        source: io::Error,
    },
    /// The request may have been carried out.
    #[error("the connection to {server} broke during {api}")]
    Broken {
        server: String,
        api: ApiKey,
        #[source]
        source: io::Error,
    },
    /// The request may have been carried out.
    #[error("{server} answers {api} with what is no answer of Kafka's: is it a Kafka listener?")]
    NoAnswer {
        server: String,
        api: ApiKey,
        #[source]
        source: Option<DecodeError>,
    },
    #[error("{server} offers no version of {api} that this client speaks")]
    Version { server: String, api: ApiKey },
    #[error("{api} cannot be asked in version {version}")]
    Encode {
        api: ApiKey,
        version: i16,
        #[source]
        source: EncodeError,
    },
    #[error("broker {broker_id} is not in the cluster's metadata")]
    UnknownBroker { broker_id: i32 },
    /// The cluster's own answer.
    #[error("{what}: {code}{}{message}", if message.is_empty() { "" } else { ": " })]
    Refused { what: String, code: ErrorCode, message: String },
}

impl ClientError {
    /// The cluster's answer, where there was one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether asking again may help, with what the metadata say then. A request whose connection
    /// broke may have been carried out: only what may be done twice is to be asked again.
    pub fn is_retriable(&self) -> bool {
        match self {
            ClientError::Refused { code, .. } => code.is_retriable(),
            ClientError::Connect { .. }
            | ClientError::Broken { .. }
            | ClientError::UnknownBroker { .. } => true,
            ClientError::Address { .. }
            | ClientError::Lookup { .. }
            | ClientError::NoAnswer { .. }
            | ClientError::Version { .. }
            | ClientError::Encode { .. } => false,
        }
    }
}

/// Whether an answer's `error_code` about `what` says that it went well; `message` is the cluster's own
/// text, if it gave one.
pub fn check(what: &str, error_code: i16, message: Option<&str>) -> Result<(), ClientError> {
    if error_code == ErrorCode::None.code() {
        return Ok(());
    }
    let (code, message) = match ErrorCode::try_from(error_code) {
        Ok(code) => (code, message.unwrap_or_default().to_owned()),
        Err(_) => {
            let text = message.unwrap_or("an error code that is newer than this client");
            (ErrorCode::UnknownServerError, format!("{error_code}: {text}"))
        }
    };
    Err(ClientError::Refused { what: what.to_owned(), code, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_failed_and_why() {
        for (code, message, want) in [
            (0, None, None),
            (36, None, Some("topic a: TOPIC_ALREADY_EXISTS")),
            (36, Some("it is there."), Some("topic a: TOPIC_ALREADY_EXISTS: it is there.")),
            (
                9999,
                None,
                Some(
                    "topic a: UNKNOWN_SERVER_ERROR: 9999: an error code that is newer than this \
                     client",
                ),
            ),
        ] {
            let said = check("topic a", code, message).err().map(|error| error.to_string());
            assert_eq!(said.as_deref(), want, "{code} {message:?}");
        }
    }
}
