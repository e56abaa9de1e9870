//! Real sockets: whole vectored writes, exclusive listeners, prompt ends.

mod support;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use reactor::net::{TcpListener, TcpStream};
use reactor::{Settings, launch, spawn};
use support::on_core;

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Two ends of one connection on this core.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(loopback(), 8).unwrap();
    let connecting = spawn(TcpStream::connect(listener.local_address()));
    let accepted = listener.accept().await.unwrap();
    let here = connecting.await.unwrap();
    assert_eq!(accepted.peer_address(), here.local_address());
    (here, accepted.into_stream().unwrap())
}

async fn read_to_end(stream: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = vec![0; 100_000];
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => return all,
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
}

#[test]
fn many_slices_beyond_the_socket_buffer_arrive_whole_and_in_order() {
    on_core(|| async {
        let (sender, receiver) = pair().await;
        // More slices than one call takes, empty ones among them, then some larger than one send.
        let mut parts: Vec<Bytes> = (0..3_000_usize)
            .map(|n| Bytes::from(vec![n as u8; if n.is_multiple_of(5) { 0 } else { n % 97 }]))
            .collect();
        parts.extend((0..6_usize).map(|n| Bytes::from(vec![n as u8; 3_000_000 + n])));
        let want = parts.concat();
        let sending = spawn(async move {
            sender.write_all(&parts).await.unwrap();
            sender.write_all(&[]).await.unwrap();
        });
        let got = read_to_end(&receiver).await;
        sending.await;
        assert!(got == want, "{} bytes arrived, {} were sent", got.len(), want.len());
    });
}

#[test]
fn one_task_reads_while_another_writes() {
    on_core(|| async {
        let (here, there) = pair().await;
        let here = Rc::new(here);
        let echo = spawn(async move {
            let mut buffer = [0; 4_096];
            while let Ok(count @ 1..) = there.read(&mut buffer).await {
                there.write_all(&[Bytes::copy_from_slice(&buffer[..count])]).await.unwrap();
            }
        });
        const SIZE: usize = 20 << 20;
        let reading = spawn({
            let here = here.clone();
            async move {
                let mut buffer = vec![0; 1 << 16];
                let mut total = 0;
                while total < SIZE {
                    let count = here.read(&mut buffer).await.unwrap();
                    assert!(buffer[..count].iter().all(|&byte| byte == 9));
                    total += count;
                }
            }
        });
        let chunk = Bytes::from(vec![9; 1 << 20]);
        for _ in 0..SIZE >> 20 {
            here.write_all(std::slice::from_ref(&chunk)).await.unwrap();
        }
        reading.await;
        here.shutdown();
        echo.await;
    });
}

#[test]
fn a_second_listener_on_the_same_port_is_refused() {
    on_core(|| async {
        let first = TcpListener::bind(loopback(), 8).unwrap();
        for second in [first.local_address(), ([0, 0, 0, 0], first.local_address().port()).into()] {
            let refused = TcpListener::bind(second, 8).err().map(|error| error.kind());
            assert_eq!(refused, Some(io::ErrorKind::AddrInUse), "{second}");
        }
        // What a connection leaves behind does not keep the next process from the port.
        let address = first.local_address();
        let client = spawn(TcpStream::connect(address));
        drop(first.accept().await.unwrap());
        drop((client.await, first));
        TcpListener::bind(address, 8).unwrap();
    });
}

#[test]
fn an_ipv4_peer_of_a_dual_stack_listener_has_its_ipv4_address() {
    on_core(|| async {
        let Ok(listener) = TcpListener::bind("[::]:0".parse().unwrap(), 8) else {
            return; // No IPv6 on this host.
        };
        let port = listener.local_address().port();
        let client = spawn(TcpStream::connect(([127, 0, 0, 1], port).into()));
        assert!(listener.accept().await.unwrap().peer_address().is_ipv4());
        client.await.unwrap();
    });
}

#[test]
fn a_port_without_a_listener_refuses() {
    on_core(|| async {
        let address = TcpListener::bind(loopback(), 8).unwrap().local_address();
        let refused = TcpStream::connect(address).await.err().map(|error| error.kind());
        assert_eq!(refused, Some(io::ErrorKind::ConnectionRefused));
    });
}

#[test]
fn shutdown_ends_a_pending_read_and_a_dropped_stream_ends_its_peer() {
    on_core(|| async {
        let (here, there) = pair().await;
        let here = Rc::new(here);
        let pending = spawn({
            let here = here.clone();
            async move { here.read(&mut [0; 8]).await }
        });
        reactor::yield_now().await;
        here.shutdown();
        assert_eq!(pending.await.unwrap(), 0);
        assert_eq!(there.read(&mut [0; 8]).await.unwrap(), 0);

        // Also with a read in flight that is dropped with its stream.
        let (here, there) = pair().await;
        let mut buffer = [0; 8];
        let mut read = Box::pin(here.read(&mut buffer));
        assert!(futures_lite::future::poll_once(&mut read).await.is_none());
        drop(read);
        drop(here);
        assert_eq!(there.read(&mut [0; 8]).await.unwrap(), 0);
        let refused = async {
            loop {
                if let Err(error) = there.write_all(&[Bytes::from_static(&[0; 1_000])]).await {
                    return error.kind();
                }
            }
        };
        let refused = refused.await;
        assert!(
            matches!(refused, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset),
            "{refused}"
        );
    });
}

#[test]
fn an_accepted_connection_moves_to_another_core_or_closes() {
    let (connections, moved) = flume::bounded(8);
    let cores = launch(
        Settings::default(),
        vec![(Some(connections), None), (None, Some(moved))],
        |_, (connections, moved): (Option<flume::Sender<_>>, Option<flume::Receiver<_>>)| async move {
            if let Some(connections) = connections {
                let listener = TcpListener::bind(loopback(), 8).unwrap();
                let address = listener.local_address();
                let kept = spawn(TcpStream::connect(address));
                connections.send(listener.accept().await.unwrap()).unwrap();
                let kept = kept.await.unwrap();
                let mut answer = [0; 5];
                assert_eq!(kept.read(&mut answer).await.unwrap(), 5);
                assert_eq!(&answer, b"moved");
                let dropped = spawn(TcpStream::connect(address));
                drop(listener.accept().await.unwrap());
                assert_eq!(dropped.await.unwrap().read(&mut answer).await.unwrap(), 0);
            } else if let Some(moved) = moved {
                let accepted: reactor::net::Accepted = moved.recv_async().await.unwrap();
                let stream = accepted.into_stream().unwrap();
                stream
                    .write_all(&[Bytes::from_static(b"mo"), Bytes::from_static(b"ved")])
                    .await
                    .unwrap();
            }
        },
    );
    cores.unwrap().join();
}
