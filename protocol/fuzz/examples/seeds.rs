//! Writes the fuzzers' first corpus: Kafka's own batches from `protocol/testdata`, and each request and
//! response in each version with default values. `cargo run --example seeds`, in this folder.

use std::fs;
use std::io::Result;
use std::path::{Path, PathBuf};

use protocol::header::{encode_request, encode_response};
use protocol::wire::Request;

fn main() -> Result<()> {
    write_batches()?;
    write_messages()
}

fn write_batches() -> Result<()> {
    let corpus = corpus("batch")?;
    let batches = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/batches");
    for entry in fs::read_dir(batches)? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        let Some((_description, hex)) = text.split_once("\nbytes\n") else { continue };
        let digits: Vec<u8> =
            hex.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
        let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        fs::write(corpus.join(path.file_stem().unwrap_or_default()), bytes)?;
    }
    Ok(())
}

macro_rules! write_messages {
    ($($api:ident: $request:ident, $response:ident;)*) => {
        fn write_messages() -> Result<()> {
            let (requests, responses) = (corpus("request")?, corpus("response")?);
            $(
                write_message::<protocol::messages::$request>(&requests, &responses)?;
            )*
            Ok(())
        }
    };
}
protocol::for_each_api!(write_messages);

fn write_message<R: Request + Default>(requests: &Path, responses: &Path) -> Result<()>
where
    R::Response: Default,
{
    const LENGTH_SIZE_BYTES: usize = 4;
    for version in R::VERSIONS {
        let name = format!("{}-{version}", R::API_KEY);
        // A default that a version cannot carry leaves no seed.
        if let Ok(frame) = encode_request(1, Some("client"), &R::default(), version) {
            fs::write(requests.join(&name), &frame.contiguous()[LENGTH_SIZE_BYTES..])?;
        }
        if let Ok(frame) = encode_response(1, &R::Response::default(), version) {
            let mut seed = i16::from(R::API_KEY).to_be_bytes().to_vec();
            seed.extend_from_slice(&version.to_be_bytes());
            seed.extend_from_slice(&frame.contiguous()[LENGTH_SIZE_BYTES..]);
            fs::write(responses.join(&name), seed)?;
        }
    }
    Ok(())
}

fn corpus(target: &str) -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
