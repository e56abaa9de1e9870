//! Bytes as a request's frame: header, then the body of its API in its version.
#![no_main]

mod messages;

use bytes::Bytes;
use libfuzzer_sys::{Corpus, fuzz_target};
use protocol::api::ApiKey;
use protocol::header::decode_request_header;
use protocol::wire::Decoder;

macro_rules! check_body {
    ($($api:ident: $request:ident, $response:ident;)*) => {
        fn check_body(api: ApiKey, version: i16, body: Bytes) -> bool {
            match api {
                $(ApiKey::$api => {
                    messages::check::<protocol::messages::$request>(body, version)
                })*
                _ => false,
            }
        }
    };
}
protocol::for_each_api!(check_body);

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((frame, api, version)) = messages::with_known_api(data) else { return Corpus::Reject };
    let mut decoder = Decoder::new(frame);
    let Ok((read_api, header)) = decode_request_header(&mut decoder) else { return Corpus::Reject };
    assert_eq!((read_api, header.request_api_version), (api, version));
    check_body(api, version, decoder.into_rest());
    Corpus::Keep
});
