//! Bytes as a response's body, behind the key and version of the API that was asked: what another
//! broker or controller may answer.
#![no_main]

mod messages;

use bytes::Bytes;
use libfuzzer_sys::{Corpus, fuzz_target};
use protocol::api::ApiKey;
use protocol::header::decode_response_header;
use protocol::wire::Decoder;

macro_rules! check_body {
    ($($api:ident: $request:ident, $response:ident;)*) => {
        fn check_body(api: ApiKey, version: i16, body: Bytes) -> bool {
            match api {
                $(ApiKey::$api => {
                    messages::check::<protocol::messages::$response>(body, version)
                })*
                _ => false,
            }
        }
    };
}
protocol::for_each_api!(check_body);

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((frame, api, version)) = messages::with_known_api(data) else { return Corpus::Reject };
    let mut decoder = Decoder::new(frame.slice(messages::API_SIZE_BYTES..));
    if decode_response_header(&mut decoder, api, version).is_err() {
        return Corpus::Reject;
    }
    check_body(api, version, decoder.into_rest());
    Corpus::Keep
});
