//! System calls on TCP sockets, none of which blocks: every socket here is `O_NONBLOCK` and closed on
//! exec.

use std::io::{self, IoSlice};
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use bytes::BytesMut;
use libc::{c_int, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage, socklen_t};

/// A socket of `address`'s family.
pub(super) fn open(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: takes no pointer; the descriptor that it returns is ours alone.
    unsafe { owned(libc::socket(family, kind, 0)) }
}

pub(super) fn set(socket: &OwnedFd, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: `value` is an integer of the length that is told.
    check(unsafe {
        let size = mem::size_of::<c_int>() as socklen_t;
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), size)
    })
}

pub(super) fn bind(socket: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    let (storage, size) = encode(address);
    // SAFETY: `storage` holds an address of `size` bytes.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const storage).cast(), size) })
}

pub(super) fn listen(socket: &OwnedFd, backlog: usize) -> io::Result<()> {
    let backlog = c_int::try_from(backlog).unwrap_or(c_int::MAX);
    // SAFETY: takes no pointer.
    check(unsafe { libc::listen(socket.as_raw_fd(), backlog) })
}

pub(super) fn connect(socket: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    let (storage, size) = encode(address);
    // SAFETY: `storage` holds an address of `size` bytes.
    check(unsafe { libc::connect(socket.as_raw_fd(), (&raw const storage).cast(), size) })
}

/// The error of a connect that went on after its call, if it failed.
pub(super) fn pending_error(socket: &OwnedFd) -> io::Result<()> {
    let mut error: c_int = 0;
    let mut size = mem::size_of::<c_int>() as socklen_t;
    // SAFETY: `error` is an integer of `size` bytes that the call may write.
    check(unsafe {
        let error = (&raw mut error).cast();
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ERROR, error, &mut size)
    })?;
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

pub(super) fn accept(socket: &OwnedFd) -> io::Result<(OwnedFd, SocketAddr)> {
    let mut accepted = None;
    let peer = address_from(|storage, size| {
        // SAFETY: `storage` and `size` are `address_from`'s; the descriptor is ours alone.
        unsafe {
            let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
            let accepted_fd = libc::accept4(socket.as_raw_fd(), storage, size, flags);
            accepted = Some(owned(accepted_fd)?);
        }
        Ok(())
    })?;
    Ok((accepted.expect("set where the call succeeds"), peer))
}

pub(super) fn local_address(socket: &OwnedFd) -> io::Result<SocketAddr> {
    address_from(|storage, size| {
        // SAFETY: `storage` and `size` are `address_from`'s.
        check(unsafe { libc::getsockname(socket.as_raw_fd(), storage, size) })
    })
}

pub(super) fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: `buffer` is writable for its length.
    count(unsafe {
        let start = buffer.as_mut_ptr().cast();
        libc::recv(socket.as_raw_fd(), start, buffer.len(), libc::MSG_DONTWAIT)
    })
}

/// Receives into the spare capacity of `buffer`, which need not be initialised first.
pub(super) fn receive_into(socket: &OwnedFd, buffer: &mut BytesMut) -> io::Result<usize> {
    let spare = buffer.spare_capacity_mut();
    // SAFETY: `spare` is writable for its length; the kernel reads none of it.
    let received = count(unsafe {
        let start = spare.as_mut_ptr().cast();
        libc::recv(socket.as_raw_fd(), start, spare.len(), libc::MSG_DONTWAIT)
    })?;
    // SAFETY: the kernel has written the first `received` bytes of the spare capacity.
    unsafe { buffer.set_len(buffer.len() + received) };
    Ok(received)
}

pub(super) fn send(socket: &OwnedFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    // SAFETY: zero is a valid msghdr. An IoSlice is an iovec by its documentation; the call only reads
    // the slices, though the field is a mutable pointer.
    count(unsafe {
        let mut message: libc::msghdr = mem::zeroed();
        message.msg_iov = slices.as_ptr().cast_mut().cast();
        message.msg_iovlen = slices.len() as _;
        libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
    })
}

/// A socket that is not connected any more is left as it is.
pub(super) fn shutdown(socket: &OwnedFd, how: Shutdown) {
    let how = match how {
        Shutdown::Read => libc::SHUT_RD,
        Shutdown::Write => libc::SHUT_WR,
        Shutdown::Both => libc::SHUT_RDWR,
    };
    // SAFETY: takes no pointer.
    unsafe { libc::shutdown(socket.as_raw_fd(), how) };
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn count(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// # Safety
/// `fd` is -1, or a descriptor that nobody else owns.
unsafe fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    check(fd)?;
    // SAFETY: the caller's promise.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn encode(address: SocketAddr) -> (sockaddr_storage, socklen_t) {
    // SAFETY: zero is a valid sockaddr_storage, which is large and aligned enough for every kind of
    // address.
    unsafe {
        let mut storage: sockaddr_storage = mem::zeroed();
        let size = match address {
            SocketAddr::V4(address) => {
                let v4 = &mut *(&raw mut storage).cast::<sockaddr_in>();
                v4.sin_family = libc::AF_INET as _;
                v4.sin_port = address.port().to_be();
                v4.sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
                mem::size_of::<sockaddr_in>()
            }
            SocketAddr::V6(address) => {
                let v6 = &mut *(&raw mut storage).cast::<sockaddr_in6>();
                v6.sin6_family = libc::AF_INET6 as _;
                v6.sin6_port = address.port().to_be();
                v6.sin6_addr.s6_addr = address.ip().octets();
                v6.sin6_flowinfo = address.flowinfo();
                v6.sin6_scope_id = address.scope_id();
                mem::size_of::<sockaddr_in6>()
            }
        };
        (storage, size as socklen_t)
    }
}

/// The address that `call` writes.
fn address_from(
    call: impl FnOnce(*mut sockaddr, &mut socklen_t) -> io::Result<()>,
) -> io::Result<SocketAddr> {
    // SAFETY: as in `encode`; the family says which kind of address was written.
    unsafe {
        let mut storage: sockaddr_storage = mem::zeroed();
        let mut size = mem::size_of::<sockaddr_storage>() as socklen_t;
        call((&raw mut storage).cast(), &mut size)?;
        match c_int::from(storage.ss_family) {
            libc::AF_INET => {
                let v4 = &*(&raw const storage).cast::<sockaddr_in>();
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Ok(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            libc::AF_INET6 => {
                let v6 = &*(&raw const storage).cast::<sockaddr_in6>();
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                let port = u16::from_be(v6.sin6_port);
                // An IPv4 peer of a `[::]` listener is shown, and matched by rules, as what it is.
                Ok(match ip.to_ipv4_mapped() {
                    Some(ip) => SocketAddrV4::new(ip, port).into(),
                    None => SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into(),
                })
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}
