//! What a directory lies on, by `/proc/self/mountinfo`.

use std::path::Path;

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// `ext4` and the like.
    pub kind: String,
    /// The device, or what stands for one.
    pub source: String,
    /// Of the mount and of the file system, separated by commas.
    options: String,
}

impl FileSystem {
    /// The one that `path`, which is absolute and has no links in it, lies on, by the text of a
    /// `mountinfo`. Source: proc_pid_mountinfo(5).
    pub fn of(path: &Path, mountinfo: &str) -> Option<FileSystem> {
        let mut deepest: Option<(usize, FileSystem)> = None;
        for line in mountinfo.lines() {
            // The optional fields between have no fixed number: a lone hyphen ends them.
            let Some((mount, device)) = line.split_once(" - ") else { continue };
            let mut mount = mount.split(' ').skip(4);
            let (Some(point), Some(own)) = (mount.next(), mount.next()) else { continue };
            let mut device = device.split(' ');
            let (Some(kind), Some(source)) = (device.next(), device.next()) else { continue };
            let point = unescaped(point);
            let depth = Path::new(&point).components().count();
            // Of several at one place the last hides the others.
            if path.starts_with(&point) && deepest.as_ref().is_none_or(|(it, _)| depth >= *it) {
                let options = format!("{own},{}", device.next().unwrap_or_default());
                let (kind, source) = (kind.to_owned(), unescaped(source));
                deepest = Some((depth, FileSystem { kind, source, options }));
            }
        }
        deepest.map(|(_, found)| found)
    }

    /// Why it should not keep acknowledged records, and what to do; `None` where nothing speaks against it.
    pub fn objection(&self) -> Option<(String, &'static str)> {
        const LOCAL: &str = "put log.dirs on ext4 or xfs on a disk of this host";
        let kind = &self.kind;
        let has = |option| self.options.split(',').any(|it| it == option);
        if has("nobarrier") || has("barrier=0") {
            let what = format!("{kind} mounted with nobarrier: flushes do not reach the disk");
            return Some((what, "mount it without that option"));
        }
        let what = match kind.as_str() {
            "ext4" | "xfs" => return None,
            "tmpfs" | "ramfs" => {
                format!("{kind} is memory: nothing there outlives this host's next start")
            }
            "overlay" => {
                let what = "overlay: a container's own layer, which ends with the container";
                return Some((what.to_owned(), "mount a volume there"));
            }
            "btrfs" | "zfs" | "bcachefs" => {
                format!("{kind} copies on write: flushes are slower, and direct I/O may be none")
            }
            "9p" | "afs" | "ceph" | "cifs" | "nfs" | "nfs4" | "smb3" | "virtiofs" => {
                format!("{kind}: another host keeps the files, and says when they are flushed")
            }
            _ if kind.starts_with("fuse") => {
                format!("{kind}: a program keeps the files, and says when they are flushed")
            }
            _ => format!("{kind} is not tested"),
        };
        Some((what, LOCAL))
    }
}

/// `\040` and its like stand for the characters that end a field.
fn unescaped(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &str = "\
        22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
        23 22 0:5 / /dev rw,nosuid shared:2 - devtmpfs udev rw,size=8k\n\
        30 22 8:1 / /data rw shared:3 master:1 - ext4 /dev/sda1 rw,nobarrier\n\
        31 30 8:2 / /data rw - xfs /dev/sdb1 rw\n\
        32 22 0:40 / /my\\040disk rw - nfs4 host:/disk rw,vers=4.2\n\
        33 22 0:41 / /half\n";

    #[test]
    fn the_deepest_mount_and_the_last_there_is_it() {
        for (path, want) in [
            ("/", "ext4 /dev/vda"),
            ("/var/lib", "ext4 /dev/vda"),
            ("/database", "ext4 /dev/vda"),
            ("/data", "xfs /dev/sdb1"),
            ("/data/a/b", "xfs /dev/sdb1"),
            ("/my disk/logs", "nfs4 host:/disk"),
            ("/half", "ext4 /dev/vda"),
        ] {
            let found = FileSystem::of(Path::new(path), MOUNTINFO).expect(path);
            assert_eq!(format!("{} {}", found.kind, found.source), want, "{path}");
        }
        assert_eq!(FileSystem::of(Path::new("/data"), ""), None);
    }

    #[test]
    fn what_loses_records_is_objected_to() {
        for (kind, options, want) in [
            ("ext4", "rw,relatime,rw", None),
            ("xfs", "rw", None),
            ("ext4", "rw,nobarrier", Some("flushes do not reach the disk")),
            ("ext4", "rw,barrier=0", Some("flushes do not reach the disk")),
            ("tmpfs", "rw", Some("memory")),
            ("overlay", "rw", Some("container")),
            ("zfs", "rw", Some("copies on write")),
            ("nfs4", "rw", Some("another host")),
            ("fuse.sshfs", "rw", Some("a program")),
            ("vfat", "rw", Some("not tested")),
        ] {
            let (kind, options) = (kind.to_owned(), options.to_owned());
            let said = FileSystem { kind, source: String::new(), options }.objection();
            match (&said, want) {
                (None, None) => {}
                (Some((what, _)), Some(want)) if what.contains(want) => {}
                _ => panic!("{said:?} instead of {want:?}"),
            }
        }
    }
}
