//! What a host lacks is said in one line that names the remedy. Each case runs in a child process
//! whose limits are lowered, so the test's own process keeps its own.
#![expect(unsafe_code, reason = "limits and filters are set between fork and exec")]

use std::env;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use reactor::host;

const CHILD: &str = "REACTOR_TEST_HOST_CHILD";

/// What the child processes do: check for one core, print the answer.
#[test]
fn child_prints_its_check() {
    let Some(directory) = env::var_os(CHILD) else {
        return;
    };
    match host::check(1, &[Path::new(&directory)]) {
        Ok(report) => println!("answer: {} buffered", report.buffered_directories.len()),
        Err(refused) => println!("answer: {refused}"),
    }
}

/// Lowers something for the process that calls it; 0 where that worked.
type Prepare = fn() -> i32;

/// The child's answer with `prepare` done before its exec.
fn answer(directory: &Path, prepare: Prepare) -> String {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "child_prints_its_check", "--nocapture"]).env(CHILD, directory);
    // SAFETY: each `prepare` makes system calls only, which is allowed between fork and exec.
    unsafe {
        command.pre_exec(move || match prepare() {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let output = command.output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let answer = printed.lines().find_map(|line| line.split_once("answer: "));
    answer.unwrap_or_else(|| panic!("no answer in {printed}")).1.to_owned()
}

fn limit(resource: libc::__rlimit_resource_t, soft: u64, hard: u64) -> i32 {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `limit` is only read.
    unsafe { libc::setrlimit(resource, &limit) }
}

/// Has `io_uring_setup` answer `errno` from now on.
fn forbid_io_uring(errno: u32) -> i32 {
    const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut steps = [
        step(LOAD_WORD, 0, 0, 0), // seccomp_data.nr
        step(JUMP_EQUAL, 0, 1, libc::SYS_io_uring_setup as u32),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | errno),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: `program` points to its steps, which the kernel copies.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            | libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program)
    }
}

#[test]
fn each_lack_is_named_with_its_remedy() {
    let good = tempfile::tempdir().unwrap();
    let file = good.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let missing = good.path().join("missing");
    let seccomp = "io_uring is forbidden (a seccomp filter): allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp profile (docker: `--security-opt seccomp=unconfined`)";
    let cases: [(&Path, Prepare, String); 6] = [
        (good.path(), || forbid_io_uring(libc::EPERM as u32), seccomp.to_owned()),
        (good.path(), || forbid_io_uring(libc::ENOSYS as u32), seccomp.to_owned()),
        (
            good.path(),
            || limit(libc::RLIMIT_MEMLOCK, 1 << 16, 1 << 16),
            "memlock limit is 65536 bytes, 524288 are needed: raise it with `ulimit -l` or LimitMEMLOCK=".to_owned(),
        ),
        (
            good.path(),
            || limit(libc::RLIMIT_NOFILE, 100, 100),
            "file descriptor limit is 100, 320 are needed: raise it with `ulimit -n` or LimitNOFILE=".to_owned(),
        ),
        (
            &missing,
            || 0,
            format!("cannot use data directory {}: No such file or directory (os error 2)", missing.display()),
        ),
        (
            &file,
            || 0,
            format!("cannot use data directory {}: Not a directory (os error 20)", file.display()),
        ),
    ];
    for (directory, prepare, want) in cases {
        assert_eq!(answer(directory, prepare), want);
    }
}

#[test]
fn soft_limits_are_raised_and_the_probe_leaves_nothing_behind() {
    let good = tempfile::tempdir().unwrap();
    let lowered =
        || limit(libc::RLIMIT_NOFILE, 100, 1_000) | limit(libc::RLIMIT_MEMLOCK, 1 << 16, 1 << 20);
    let found = answer(good.path(), lowered);
    assert!(found.ends_with(" buffered"), "{found}");
    assert_eq!(std::fs::read_dir(good.path()).unwrap().count(), 0);
}
