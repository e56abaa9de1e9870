//! A core's checkpoints, apart from those that its volumes write while records come.

use super::core::Core;

/// Brings the checkpoints of the core's volumes up to what its logs are now. A failure is in the log: it
/// costs the next start time, and nothing else.
pub async fn write_checkpoints(core: &Core) {
    let partitions = core.partitions();
    for (index, volume) in core.volumes.iter().enumerate() {
        let logs: Vec<_> = partitions
            .iter()
            .filter(|(_, partition)| partition.directory == index)
            .map(|(_, partition)| partition.log().clone())
            .collect();
        if let Err(error) = volume.write_checkpoint(&logs).await {
            let directory = volume.path().display();
            tracing::warn!(%directory, %error, "cannot write the core checkpoint");
        }
    }
}
