//! What tests of several modules share: pages of `docs/` that are made of tables are held to what the tables say.

use std::path::Path;

/// Panics unless `docs/{name}` is `page`; where `UPDATE_EXPECT` is set it is written first.
#[expect(clippy::disallowed_methods, reason = "a test reads and writes the page on disk")]
pub fn assert_page(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, page).expect("docs can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(committed, page, "{name}: run: UPDATE_EXPECT=1 cargo test -p broker");
}
