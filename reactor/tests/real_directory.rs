//! Real directories: names, small files, the lock that Apache Kafka respects.

mod support;

use std::io;
use std::path::Path;

use reactor::directory;
use support::on_core;

#[test]
fn names_come_and_go() {
    let root = tempfile::tempdir().unwrap();
    let base = root.path().to_path_buf();
    on_core(move || async move {
        let deep = base.join("a/b/c");
        directory::create_all(&deep).await.unwrap();
        directory::create_all(&deep).await.unwrap();
        directory::write_atomic(&deep.join("two"), b"22").await.unwrap();
        directory::write_atomic(&deep.join("one"), b"1").await.unwrap();
        directory::create_all(&deep.join("three")).await.unwrap();
        directory::sync(&deep).await.unwrap();
        let names: Vec<_> = directory::list(&deep)
            .await
            .unwrap()
            .into_iter()
            .map(|entry| (entry.name, entry.is_directory))
            .collect();
        let want = [("one", false), ("three", true), ("two", false)];
        assert_eq!(names, want.map(|(name, directory)| (name.to_owned(), directory)));

        directory::rename(&deep.join("one"), &deep.join("two")).await.unwrap();
        assert_eq!(directory::read(&deep.join("two")).await.unwrap(), b"1");
        directory::remove_file(&deep.join("two")).await.unwrap();
        let gone = directory::read(&deep.join("two")).await.unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
        directory::remove_all(&base.join("a")).await.unwrap();
        assert!(directory::list(&base).await.unwrap().is_empty());
        let space = directory::space(&base).await.unwrap();
        assert!(0 < space.free_bytes && space.free_bytes <= space.total_bytes, "{space:?}");
    });
}

#[test]
fn a_directory_is_not_made_where_a_file_is() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, b"").unwrap();
    on_core(move || async move {
        for path in [file.clone(), file.join("below")] {
            let refused = directory::create_all(&path).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::NotADirectory, "{path:?}");
        }
    });
}

#[test]
fn a_failed_write_leaves_the_old_file_and_nothing_beside_it() {
    let root = tempfile::tempdir().unwrap();
    let base = root.path().to_path_buf();
    on_core(move || async move {
        let path = base.join("state");
        directory::write_atomic(&path, b"old").await.unwrap();
        // A directory cannot be replaced by a file.
        directory::create_all(&base.join("full/below")).await.unwrap();
        directory::write_atomic(&base.join("full"), b"new").await.unwrap_err();
        directory::write_atomic(&path, b"new").await.unwrap();
        assert_eq!(directory::read(&path).await.unwrap(), b"new");
        let names: Vec<_> =
            directory::list(&base).await.unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["full", "state"]);
    });
}

#[test]
fn a_small_file_has_a_size_limit() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("large");
    std::fs::File::create(&path).unwrap().set_len((16 << 20) + 1).unwrap();
    on_core(move || async move {
        let refused = directory::read(&path).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    });
}

#[test]
fn a_lock_excludes_the_next_one_until_it_is_dropped() {
    let root = tempfile::tempdir().unwrap();
    let base = root.path().to_path_buf();
    on_core(move || async move {
        let lock = directory::lock(&base).await.unwrap();
        let refused = directory::lock(&base).await.err().map(|error| error.kind());
        assert_eq!(refused, Some(io::ErrorKind::WouldBlock));
        drop(lock);
        directory::lock(&base).await.unwrap();
        assert!(Path::new(&base).join(".lock").exists());
    });
}
