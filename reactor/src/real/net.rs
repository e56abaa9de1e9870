use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;

use super::core::RealCore;

pub(crate) struct Listener {}
pub(crate) struct Accepted {}
pub(crate) struct Stream {}

impl Listener {
    pub(crate) fn bind(
        _core: &Rc<RealCore>,
        _address: SocketAddr,
        _backlog: usize,
    ) -> io::Result<Self> {
        todo!()
    }
    pub(crate) fn local_address(&self) -> SocketAddr {
        todo!()
    }
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        todo!()
    }
}

impl Accepted {
    pub(crate) fn peer_address(&self) -> SocketAddr {
        todo!()
    }
    pub(crate) fn into_stream(self, _core: &Rc<RealCore>) -> io::Result<Stream> {
        todo!()
    }
}

impl Stream {
    pub(crate) async fn connect(_core: &Rc<RealCore>, _address: SocketAddr) -> io::Result<Self> {
        todo!()
    }
    pub(crate) fn peer_address(&self) -> SocketAddr {
        todo!()
    }
    pub(crate) fn local_address(&self) -> SocketAddr {
        todo!()
    }
    pub(crate) async fn read(&self, _buffer: &mut [u8]) -> io::Result<usize> {
        todo!()
    }
    pub(crate) async fn write_all(&self, _parts: &[Bytes]) -> io::Result<()> {
        todo!()
    }
    pub(crate) fn shutdown(&self) {
        todo!()
    }
}
