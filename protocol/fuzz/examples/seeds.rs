//! Writes the golden bytes of `protocol/testdata` as the fuzzer's first corpus:
//! `cargo run --example seeds`, in this folder.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = folder.join("corpus/batch");
    std::fs::create_dir_all(&corpus)?;
    for entry in std::fs::read_dir(folder.join("../testdata/batches"))? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?;
        let Some((_description, hex)) = text.split_once("\nbytes\n") else { continue };
        let digits: Vec<u8> =
            hex.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
        let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        std::fs::write(corpus.join(path.file_stem().unwrap_or_default()), bytes)?;
    }
    Ok(())
}
