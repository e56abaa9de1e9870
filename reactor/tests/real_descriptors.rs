//! A process that has many descriptors open takes no more connections, and can open files still. The child
//! process has its limit lowered, so that few are many.
#![expect(unsafe_code, reason = "a limit is set between fork and exec")]

mod support;

use std::env;
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use reactor::net::TcpListener;
use support::on_core;

const CHILD: &str = "REACTOR_TEST_DESCRIPTORS_CHILD";
const LIMIT: u64 = 400;
/// The kernel answers for the listener meanwhile.
const BACKLOG: usize = 8;

#[test]
fn child_runs_out_of_descriptors() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    on_core(|| async {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), BACKLOG).unwrap();
        let address = listener.local_address();
        let mut clients = Vec::new();
        let mut accepted = Vec::new();
        let refused = loop {
            clients.push(TcpStream::connect(address).unwrap());
            match listener.accept().await {
                Ok(connection) => accepted.push(connection),
                Err(error) => break error,
            }
        };
        assert_eq!(refused.raw_os_error(), Some(libc::EMFILE));
        let spare = (0..LIMIT / 4 - 2).map(|_| File::open("/dev/null")).filter(Result::is_ok);
        let spare: Vec<_> = spare.collect();
        assert!(spare.len() > LIMIT as usize / 5, "{} files beside connections", spare.len());
        // The one that was not taken waits, and nobody behind it is told of.
        assert!(listener.accept().await.is_err());
        drop(accepted.pop());
        accepted.push(listener.accept().await.unwrap());
        let nobody = reactor::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(nobody.is_err(), "an answer where nobody has come");
        println!("answer: {} of {}", accepted.len(), clients.len());
    });
}

#[test]
fn the_last_descriptors_are_for_files() {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "child_runs_out_of_descriptors", "--nocapture"]).env(CHILD, "");
    // SAFETY: one system call, which is allowed between fork and exec.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: LIMIT, rlim_max: LIMIT };
            match libc::setrlimit(libc::RLIMIT_NOFILE, &limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("answer: "), "{output:?}");
}
