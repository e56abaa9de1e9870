//! What stands before the body of a request and of a response, and whole frames of both.

use crate::api::ApiKey;
pub use crate::messages::{RequestHeader, ResponseHeader};
use crate::wire::{
    ApiMessage, DecodeError, Decoder, EncodeError, Encoded, Encoder, Message, Request,
};

/// Reads a request's header; the body is what the decoder has left.
///
/// A version that the API does not have is no error here: the caller answers it (ApiVersions with
/// the versions that there are, KIP-511) or closes the connection, as Kafka does.
/// Errors: an API that is unknown, or that Kafka has removed, since its header cannot be told.
pub fn decode_request_header(
    decoder: &mut Decoder,
) -> Result<(ApiKey, RequestHeader), DecodeError> {
    // Key and version come first in every version of the header and say which one it is.
    let mut peek = decoder.clone();
    let (key, version) = (peek.i16()?, peek.i16()?);
    let api = ApiKey::try_from(key).map_err(|_| DecodeError::UnknownApiKey { key })?;
    if api.versions().is_none() {
        return Err(DecodeError::UnsupportedVersion { message: api.name(), version });
    }
    let header = RequestHeader::decode(decoder, api.request_header_version(version))?;
    Ok((api, header))
}

/// Reads the header of the answer to a request of `api` in `version`.
pub fn decode_response_header(
    decoder: &mut Decoder,
    api: ApiKey,
    version: i16,
) -> Result<ResponseHeader, DecodeError> {
    ResponseHeader::decode(decoder, api.response_header_version(version))
}

/// A whole response frame: length, header, body.
pub fn encode_response<R: ApiMessage>(
    correlation_id: i32,
    response: &R,
    version: i16,
) -> Result<Encoded, EncodeError> {
    let header = ResponseHeader { correlation_id };
    let header_version = R::API_KEY.response_header_version(version);
    Encoder::encode_framed(&|encoder| {
        header.encode(encoder, header_version)?;
        response.encode(encoder, version)
    })
}

/// A whole request frame: length, header, body.
pub fn encode_request<R: Request>(
    correlation_id: i32,
    client_id: Option<&str>,
    request: &R,
    version: i16,
) -> Result<Encoded, EncodeError> {
    let header = RequestHeader {
        request_api_key: R::API_KEY.into(),
        request_api_version: version,
        correlation_id,
        client_id: client_id.map(Into::into),
    };
    let header_version = R::API_KEY.request_header_version(version);
    Encoder::encode_framed(&|encoder| {
        header.encode(encoder, header_version)?;
        request.encode(encoder, version)
    })
}
