//! What a crash left in a log's files, before anyone repairs it.
//!
//! In each segment every byte is the one that was appended there, or zero: whatever else stood there
//! could be taken for records one day.

use std::path::Path;

use protocol::model::Offset;
use reactor::file::{File, Open};

use super::model::{LogModel, Presence};
use crate::verdict::Failure;

/// Checks the segments of `log`, which lies in `directory`. Nothing is open there.
pub async fn check_segments(directory: &Path, log: &LogModel) -> Result<(), Failure> {
    // What is cut while the power fails may be there or not, and be followed by neither.
    let is_known = log.cut_to.is_none() && !log.rot.is_in_segments();
    if log.presence != Presence::Present || !is_known {
        return Ok(());
    }
    let directory = directory.join(log.name.to_string());
    let Ok(entries) = reactor::directory::list(&directory).await else { return Ok(()) };
    let mut segments: Vec<(Offset, String)> = entries
        .into_iter()
        .filter_map(|entry| {
            let offset = entry.name.strip_suffix(".log")?.parse().ok()?;
            Some((Offset(offset), entry.name))
        })
        .collect();
    segments.sort();
    for (index, (base_offset, name)) in segments.iter().enumerate() {
        let next = segments.get(index + 1).map(|(next, _)| *next);
        let image = log.image(*base_offset, next);
        let unreadable =
            |error: std::io::Error| Failure::crash(format!("{}/{name}: {error}", log.name));
        let file = File::open(&directory.join(name), Open::Existing).await.map_err(unreadable)?;
        let found = file.read_range(0..file.size()).await.map_err(unreadable)?;
        let wrong = found
            .iter()
            .enumerate()
            .find(|&(position, &byte)| byte != 0 && image.get(position) != Some(&byte));
        if let Some((position, _)) = wrong {
            let what = format!(
                "{}/{name} position={position}: neither what was appended there nor zero; appended are {} bytes of {}",
                log.name,
                image.len(),
                found.len()
            );
            return Err(Failure::broken(2, what));
        }
    }
    Ok(())
}
