use std::io;
use std::path::Path;
use std::rc::Rc;

use super::core::RealCore;
use crate::directory::Entry;

pub(crate) struct Lock {}

pub(crate) async fn create_all(_core: &Rc<RealCore>, _path: &Path) -> io::Result<()> {
    todo!()
}

pub(crate) async fn list(_core: &Rc<RealCore>, _path: &Path) -> io::Result<Vec<Entry>> {
    todo!()
}

pub(crate) async fn rename(_core: &Rc<RealCore>, _from: &Path, _to: &Path) -> io::Result<()> {
    todo!()
}

pub(crate) async fn remove_file(_core: &Rc<RealCore>, _path: &Path) -> io::Result<()> {
    todo!()
}

pub(crate) async fn remove_all(_core: &Rc<RealCore>, _path: &Path) -> io::Result<()> {
    todo!()
}

pub(crate) async fn sync(_core: &Rc<RealCore>, _path: &Path) -> io::Result<()> {
    todo!()
}

pub(crate) async fn read(_core: &Rc<RealCore>, _path: &Path) -> io::Result<Vec<u8>> {
    todo!()
}

pub(crate) async fn write_atomic(
    _core: &Rc<RealCore>,
    _path: &Path,
    _contents: &[u8],
) -> io::Result<()> {
    todo!()
}

pub(crate) async fn free_bytes(_core: &Rc<RealCore>, _path: &Path) -> io::Result<u64> {
    todo!()
}

pub(crate) async fn lock(_core: &Rc<RealCore>, _path: &Path) -> io::Result<Lock> {
    todo!()
}
