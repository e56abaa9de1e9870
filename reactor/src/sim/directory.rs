use std::io;
use std::path::Path;
use std::rc::Rc;

use super::core::SimCore;
use crate::directory::Entry;

pub(crate) struct Lock {}

pub(crate) async fn create_all(_core: &Rc<SimCore>, _path: &Path) -> io::Result<()> {
    todo!()
}

pub(crate) async fn list(_core: &Rc<SimCore>, _path: &Path) -> io::Result<Vec<Entry>> {
    todo!()
}

pub(crate) async fn rename(_core: &Rc<SimCore>, _from: &Path, _to: &Path) -> io::Result<()> {
    todo!()
}

pub(crate) async fn remove_file(_core: &Rc<SimCore>, _path: &Path) -> io::Result<()> {
    todo!()
}

pub(crate) async fn remove_all(_core: &Rc<SimCore>, _path: &Path) -> io::Result<()> {
    todo!()
}

pub(crate) async fn sync(_core: &Rc<SimCore>, _path: &Path) -> io::Result<()> {
    todo!()
}

pub(crate) async fn read(_core: &Rc<SimCore>, _path: &Path) -> io::Result<Vec<u8>> {
    todo!()
}

pub(crate) async fn write_atomic(
    _core: &Rc<SimCore>,
    _path: &Path,
    _contents: &[u8],
) -> io::Result<()> {
    todo!()
}

pub(crate) async fn free_bytes(_core: &Rc<SimCore>, _path: &Path) -> io::Result<u64> {
    todo!()
}

pub(crate) async fn lock(_core: &Rc<SimCore>, _path: &Path) -> io::Result<Lock> {
    todo!()
}
