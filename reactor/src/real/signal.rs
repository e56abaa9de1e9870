//! The stop signals, taken by a thread that waits for them.

use std::io;

fn stop_signals() -> libc::sigset_t {
    // SAFETY: the set is initialised by sigemptyset before anything reads it.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGINT);
        libc::sigaddset(&mut set, libc::SIGTERM);
        set
    }
}

pub(crate) fn block_stop_signals() {
    let set = stop_signals();
    // SAFETY: `set` is initialised and only read.
    let result = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
    assert!(result == 0, "cannot block signals: {}", io::Error::from_raw_os_error(result));
}

pub(crate) fn wait_for_stop_signal() -> &'static str {
    let set = stop_signals();
    loop {
        let mut signal = 0;
        // SAFETY: `set` is initialised, and `signal` is the call's to write.
        let result = unsafe { libc::sigwait(&set, &mut signal) };
        match (result, signal) {
            (0, libc::SIGINT) => return "SIGINT",
            (0, libc::SIGTERM) => return "SIGTERM",
            (0, _) | (libc::EINTR, _) => {}
            _ => panic!("cannot wait for signals: {}", io::Error::from_raw_os_error(result)),
        }
    }
}
