use std::io;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;

use super::core::RealCore;
use crate::buffer::AlignedBuffer;
use crate::file::Open;

#[derive(Clone)]
pub(crate) struct File {}

impl File {
    pub(crate) async fn open(_core: &Rc<RealCore>, _path: &Path, _how: Open) -> io::Result<Self> {
        todo!()
    }
    pub(crate) fn size(&self) -> u64 {
        todo!()
    }
    pub(crate) async fn read_at(
        &self,
        _buffer: AlignedBuffer,
        _position: u64,
    ) -> (AlignedBuffer, io::Result<usize>) {
        todo!()
    }
    pub(crate) async fn write_at(&self, _data: Bytes, _position: u64) -> io::Result<()> {
        todo!()
    }
    pub(crate) async fn flush(&self) -> io::Result<()> {
        todo!()
    }
    pub(crate) async fn truncate(&self, _size: u64) -> io::Result<()> {
        todo!()
    }
    pub(crate) async fn allocate(&self, _range: Range<u64>) -> io::Result<()> {
        todo!()
    }
}
