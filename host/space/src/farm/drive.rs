//! Which drive a file lies on, so that none is asked for two plots at once.
//!
//! A file system has a number of its own, and a drive may carry several: partitions, volumes, subvolumes. Linux tells by `/sys/dev/block` what lies on
//! what; where it does not, as for a network's file systems, each file system counts as a drive.

use super::round::Disk;
use rustix::fs::{major, makedev, minor};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What may lie on one another: a partition, under an encrypted volume, under a logical one, under an array.
const LAYERS_MAX: usize = 16;

/// Tells drives apart. Remembers what it found.
pub struct Drives {
    sys: PathBuf,
    mounts: PathBuf,
    known: BTreeMap<u64, Disk>,
}

impl Drives {
    /// Asks this machine.
    pub fn new() -> Self {
        Self { sys: "/sys".into(), mounts: "/proc/self/mountinfo".into(), known: BTreeMap::new() }
    }

    /// Returns the drive of a file, whose file system has the number `device`. Of several drives behind one file system it is the first by name.
    pub fn of(&mut self, device: u64, path: &Path) -> Disk {
        if let Some(disk) = self.known.get(&device) {
            return *disk;
        }
        let disk = self.drive(device).or_else(|| self.drive(self.mounted_from(path)?)).unwrap_or(device);
        self.known.insert(device, disk);
        disk
    }

    /// `None` where the number is no block device's.
    fn drive(&self, device: u64) -> Option<Disk> {
        let mut node = self.sys.join(format!("dev/block/{}:{}", major(device), minor(device))).canonicalize().ok()?;
        for _ in 0..LAYERS_MAX {
            if node.join("partition").exists() {
                node = node.parent()?.to_owned();
            }
            let slaves = fs::read_dir(node.join("slaves")).into_iter().flatten().flatten();
            let Some(below) = slaves.map(|slave| slave.path()).min() else { break };
            node = below.canonicalize().ok()?;
        }
        let number = fs::read_to_string(node.join("dev")).ok()?;
        let (major, minor) = number.trim().split_once(':')?;
        Some(makedev(major.parse().ok()?, minor.parse().ok()?))
    }

    /// Returns the number of the device that a file's file system is mounted from: some give their files numbers that no device has.
    fn mounted_from(&self, path: &Path) -> Option<u64> {
        let path = path.canonicalize().ok()?;
        let text = fs::read_to_string(&self.mounts).ok()?;
        let mounts = text.lines().filter_map(|line| {
            let (place, source) = line.split_once(" - ")?;
            Some((PathBuf::from(plain(place.split(' ').nth(4)?)), source.split(' ').nth(1)?))
        });
        // What is mounted over another stands below it.
        let (_, source) =
            mounts.filter(|(place, _)| path.starts_with(place)).max_by_key(|(place, _)| place.components().count())?;
        let device = fs::metadata(plain(source)).ok().filter(|_| source.starts_with('/'))?.rdev();
        (device != 0).then_some(device)
    }
}

/// Blanks in names are written as octal numbers.
fn plain(name: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(name.to_owned(), |name, (written, meant)| name.replace(written, meant))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A made-up machine: what it is asked for lies in a folder.
    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Self {
            let machine = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(machine.path("dev/block")).unwrap();
            machine
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Adds a device by its number, which lies on others.
        fn add(&self, name: &str, minor: u32, below: &[&str]) {
            let node = self.path(&format!("devices/{name}"));
            fs::create_dir_all(node.join("slaves")).unwrap();
            fs::write(node.join("dev"), format!("8:{minor}\n")).unwrap();
            symlink(&node, self.path(&format!("dev/block/8:{minor}"))).unwrap();
            for below in below {
                let (_, short) = below.rsplit_once('/').unwrap_or(("", below));
                symlink(self.path(&format!("devices/{below}")), node.join("slaves").join(short)).unwrap();
            }
        }

        fn partition(&self, name: &str, minor: u32) {
            self.add(name, minor, &[]);
            fs::write(self.path(&format!("devices/{name}/partition")), "1").unwrap();
        }

        fn drives(&self) -> Drives {
            Drives { sys: self.0.path().into(), mounts: self.path("mountinfo"), known: BTreeMap::new() }
        }
    }

    #[test]
    fn what_lies_on_one_drive_is_one_disk() {
        let machine = Machine::new();
        machine.add("sda", 0, &[]);
        machine.partition("sda/sda1", 1);
        machine.partition("sda/sda2", 2);
        machine.add("sdb", 16, &[]);
        machine.add("dm-0", 100, &["sda/sda2"]);
        machine.add("dm-1", 101, &["dm-0"]);
        machine.add("md0", 102, &["sdb", "sda/sda1"]);
        let mut drives = machine.drives();
        let mut of = |minor| drives.of(makedev(8, minor), Path::new("/nowhere"));
        let [sda, sdb] = [makedev(8, 0), makedev(8, 16)];
        assert_eq!([0, 1, 2, 16].map(&mut of), [sda, sda, sda, sdb]);
        // A volume in an encrypted one in a partition, and an array of a partition and a drive.
        assert_eq!([100, 101, 102].map(&mut of), [sda, sda, sda]);
        // Of what is unknown, each file system is a disk.
        assert_eq!([7, 9].map(of), [makedev(8, 7), makedev(8, 9)]);
    }

    #[test]
    fn what_lies_on_itself_ends() {
        let machine = Machine::new();
        machine.add("dm-0", 1, &["dm-1"]);
        machine.add("dm-1", 2, &["dm-0"]);
        machine.drives().of(makedev(8, 1), Path::new("/nowhere"));
    }

    #[test]
    fn a_file_systems_source_says_its_drive_where_its_number_does_not() {
        let machine = Machine::new();
        let place = machine.0.path().canonicalize().unwrap();
        let within = place.join("a disk");
        fs::create_dir(&within).unwrap();
        // The only device that is there on every machine: it is of characters, and serves as well.
        let null = fs::metadata("/dev/null").unwrap().rdev();
        let node = machine.path("devices/null");
        fs::create_dir_all(&node).unwrap();
        fs::write(node.join("dev"), "8:77").unwrap();
        symlink(node, machine.path(&format!("dev/block/{}:{}", major(null), minor(null)))).unwrap();
        let mount = |place: &Path, source: &str| {
            let place = place.display().to_string().replace(' ', "\\040");
            format!("31 22 0:40 /sub {place} rw,noatime shared:1 - btrfs {source} rw,space_cache\n")
        };
        let text = mount(Path::new("/"), "none") + &mount(&within, "/dev/null") + &mount(&place, "tank/plots");
        fs::write(machine.path("mountinfo"), text).unwrap();
        let mut drives = machine.drives();
        assert_eq!(drives.of(makedev(0, 40), &within), makedev(8, 77));
        assert_eq!(drives.of(makedev(0, 41), &place), makedev(0, 41), "what is no device is none");
    }
}
