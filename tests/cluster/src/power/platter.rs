//! What a disk holds: what was flushed, and a cache of what was only written.

use crate::Random;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What a cut may tear apart.
const SECTOR_SIZE_BYTES: usize = 512;

/// What becomes of written sectors that were not flushed when the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// None of them is on the disk.
    Nothing,
    /// Each is or is not, by chance.
    ByChance,
}

/// A disk. Reads see what was written last, as long as the power lasts.
#[derive(Debug)]
pub struct Platter {
    flushed: File,
    /// By sector number.
    cached: BTreeMap<u64, [u8; SECTOR_SIZE_BYTES]>,
    powered: bool,
    /// Whether a flush is one.
    honest: bool,
    /// Sectors that cuts have taken.
    lost_count: u64,
}

impl Platter {
    /// A disk that has what `image` has; it has power.
    pub fn new(image: File) -> Self {
        Self { flushed: image, cached: BTreeMap::new(), powered: true, honest: true, lost_count: 0 }
    }

    pub fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.flushed.metadata()?.len())
    }

    pub fn lost_count(&self) -> u64 {
        self.lost_count
    }

    /// The power goes: what is not flushed is lost but for what is `kept`, and nothing answers but with
    /// an error until [`Self::power_up`].
    pub fn cut(&mut self, kept: Kept, random: &mut Random) -> io::Result<()> {
        self.powered = false;
        for (sector, bytes) in std::mem::take(&mut self.cached) {
            if kept == Kept::ByChance && random.one_in(2) {
                self.flushed.write_all_at(&bytes, sector * SECTOR_SIZE_BYTES as u64)?;
            } else {
                self.lost_count += 1;
            }
        }
        Ok(())
    }

    pub fn power_up(&mut self) {
        self.powered = true;
        self.honest = true;
    }

    /// From here to the next cut flushes are confirmed and not done, as a disk does that lies.
    pub fn lie(&mut self) {
        self.honest = false;
    }

    pub fn read(&self, position: u64, size_bytes: usize) -> io::Result<Vec<u8>> {
        self.check_power()?;
        let size_left = self.size_bytes()?.saturating_sub(position);
        let mut bytes = vec![0; size_bytes.min(size_left as usize)];
        self.flushed.read_exact_at(&mut bytes, position)?;
        let first = position / SECTOR_SIZE_BYTES as u64;
        let end = (position + bytes.len() as u64).div_ceil(SECTOR_SIZE_BYTES as u64);
        for (sector, cached) in self.cached.range(first..end) {
            let (sector_bytes, within) = overlap(*sector, position, bytes.len());
            bytes[within].copy_from_slice(&cached[sector_bytes]);
        }
        Ok(bytes)
    }

    /// Into the cache.
    pub fn write(&mut self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.check_power()?;
        let first = position / SECTOR_SIZE_BYTES as u64;
        let end = (position + bytes.len() as u64).div_ceil(SECTOR_SIZE_BYTES as u64);
        for sector in first..end {
            let (sector_bytes, within) = overlap(sector, position, bytes.len());
            let mut whole = [0; SECTOR_SIZE_BYTES];
            if sector_bytes.len() < SECTOR_SIZE_BYTES {
                let at = sector * SECTOR_SIZE_BYTES as u64;
                whole.copy_from_slice(&self.read(at, SECTOR_SIZE_BYTES)?);
            }
            whole[sector_bytes].copy_from_slice(&bytes[within]);
            self.cached.insert(sector, whole);
        }
        Ok(())
    }

    /// What is cached is flushed on return, unless this disk lies.
    pub fn flush(&mut self) -> io::Result<()> {
        self.check_power()?;
        if !self.honest {
            return Ok(());
        }
        for (sector, bytes) in &self.cached {
            self.flushed.write_all_at(bytes, sector * SECTOR_SIZE_BYTES as u64)?;
        }
        self.cached.clear();
        Ok(())
    }

    fn check_power(&self) -> io::Result<()> {
        /// EIO.
        const IO_ERROR: i32 = 5;
        self.powered.then_some(()).ok_or_else(|| io::Error::from_raw_os_error(IO_ERROR))
    }
}

/// The bytes that `sector` and `size_bytes` at `position` have in common: as a part of the sector, and as
/// a part of the others.
fn overlap(
    sector: u64,
    position: u64,
    size_bytes: usize,
) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
    let sector_start = sector * SECTOR_SIZE_BYTES as u64;
    let start = sector_start.max(position);
    let end = (sector_start + SECTOR_SIZE_BYTES as u64).min(position + size_bytes as u64);
    let within = |origin: u64| (start - origin) as usize..(end - origin) as usize;
    (within(sector_start), within(position))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platter() -> Platter {
        let image = tempfile::tempfile().expect("a file");
        image.set_len(8 * 512).expect("it grows");
        Platter::new(image)
    }

    #[test]
    fn what_is_written_is_read_across_sectors() {
        let mut platter = platter();
        platter.write(700, &[7; 1000]).expect("written");
        platter.flush().expect("flushed");
        platter.write(1000, &[9; 100]).expect("written");
        let mut want = vec![0; 2048];
        want[700..1700].fill(7);
        want[1000..1100].fill(9);
        assert_eq!(platter.read(0, 2048).expect("read"), want);
        assert_eq!(platter.read(1001, 40).expect("read"), vec![9; 40]);
        assert_eq!(platter.read(8 * 512 - 10, 100).expect("the end").len(), 10);
    }

    #[test]
    fn a_cut_takes_what_was_not_flushed() {
        let mut platter = platter();
        platter.write(0, &[1; 1024]).expect("written");
        platter.flush().expect("flushed");
        platter.write(512, &[2; 512]).expect("written");
        platter.cut(Kept::Nothing, &mut Random::new(1)).expect("cut");
        assert!(platter.read(0, 1).is_err() && platter.write(0, &[3]).is_err());
        assert!(platter.flush().is_err(), "a flush without power is no flush");
        platter.power_up();
        assert_eq!(platter.read(0, 1024).expect("read"), vec![1; 1024]);
        assert_eq!(platter.lost_count(), 1);
    }

    #[test]
    fn by_chance_some_sectors_stay() {
        let mut platter = platter();
        platter.write(0, &[1; 8 * 512]).expect("written");
        platter.cut(Kept::ByChance, &mut Random::new(1)).expect("cut");
        platter.power_up();
        let bytes = platter.read(0, 8 * 512).expect("read");
        let whole = |sector: &[u8]| sector.iter().all(|&byte| byte == sector[0]);
        assert!(bytes.chunks(512).all(whole), "a sector is torn");
        assert!((1..8).contains(&platter.lost_count()), "{} of 8 lost", platter.lost_count());
    }
}
