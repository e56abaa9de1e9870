//! What it costs to grow a file by writing behind its end, against writing into blocks that were
//! allocated before: wall and CPU time of direct writes with a flush after each group, four writes at
//! a time. Run it where the log directories are:
//!
//! ```text
//! cargo run --release -p reactor --example file_growth -- /var/lib/millrace
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use reactor::buffer::AlignedBuffer;
use reactor::directory;
use reactor::file::{File, Open};
use reactor::{Settings, launch, now, spawn};

/// How the blocks of a file come about.
#[derive(Clone, Copy, Debug)]
enum Growth {
    /// By the writes.
    Written,
    /// All at once, before the first write.
    Allocated,
    /// In steps of 64 KiB that double up to 64 MiB, each when the writes come to it.
    Steps,
    /// Zeros written before: the floor.
    Zeroed,
}

const GROWTHS: [Growth; 4] = [Growth::Written, Growth::Allocated, Growth::Steps, Growth::Zeroed];
/// `(bytes of one write, bytes of one group, bytes of the file)`.
const LOADS: [(usize, usize, usize); 4] = [
    (4 << 10, 4 << 10, 8 << 20),
    (64 << 10, 256 << 10, 256 << 20),
    (256 << 10, 4 << 20, 512 << 20),
    (1 << 20, 8 << 20, 512 << 20),
];

fn main() {
    let directory = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    println!(
        "{:>8}{:>8}  {:<10}{:>9}{:>12}{:>14}",
        "write", "group", "growth", "MB/s", "group, us", "CPU ms/GB"
    );
    let started = launch(Settings::default(), vec![directory], |_, directory| async move {
        for load in LOADS {
            for growth in GROWTHS {
                if let Err(error) = measure(&directory, growth, load).await {
                    return eprintln!("file_growth: {error}");
                }
            }
        }
    });
    match started {
        Ok(cores) => cores.join(),
        Err(error) => eprintln!("file_growth: {error}"),
    }
}

async fn measure(
    directory: &Path,
    growth: Growth,
    (write, group, total): (usize, usize, usize),
) -> std::io::Result<()> {
    let path = directory.join("file_growth.tmp");
    let file = File::open(&path, Open::New).await?;
    let bytes = AlignedBuffer::zeroed(group).into_bytes();
    match growth {
        Growth::Written | Growth::Steps => {}
        Growth::Allocated => file.allocate(0..total as u64).await?,
        Growth::Zeroed => {
            for start in (0..total).step_by(group) {
                file.write_at(bytes.clone(), start as u64).await?;
            }
        }
    }
    file.flush().await?;
    let (began, cpu_began) = (now(), cpu_time());
    let mut allocated = 0;
    for start in (0..total).step_by(group) {
        if matches!(growth, Growth::Steps) && start + group > allocated {
            let step = allocated.clamp(64 << 10, 64 << 20).max(group);
            file.allocate(allocated as u64..(allocated + step) as u64).await?;
            allocated += step;
        }
        let writes: Vec<_> = (0..group)
            .step_by(write)
            .map(|at| {
                let (file, bytes) = (file.clone(), bytes.slice(at..at + write));
                spawn(async move { file.write_at(bytes, (start + at) as u64).await })
            })
            .collect();
        for write in writes {
            write.await?;
        }
        file.flush().await?;
    }
    let (wall, cpu) = (now() - began, cpu_time() - cpu_began);
    let groups = (total / group) as f64;
    println!(
        "{:>7}K{:>7}K  {:<10}{:>9.0}{:>12.0}{:>14.0}",
        write >> 10,
        group >> 10,
        format!("{growth:?}"),
        total as f64 / 1e6 / wall.as_secs_f64(),
        wall.as_secs_f64() * 1e6 / groups,
        cpu.as_secs_f64() * 1e3 / (total as f64 / 1e9),
    );
    drop(file);
    directory::remove_file(&path).await
}

/// User and system time of the process, the kernel's workers on its behalf among it.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = behind_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|it| it.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}
