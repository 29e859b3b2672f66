//! What the machine draws while it mines, where it tells: Linux's powercap counters (RAPL). Elsewhere there is no reading.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder of the counters.
const POWERCAP: &str = "/sys/class/powercap";

/// The processors' energy counters: one for each package, with everything that runs on it.
#[derive(Debug)]
pub struct PowerMeter {
    packages: Vec<Package>,
    last: Option<Duration>,
}

#[derive(Debug)]
struct Package {
    counter: PathBuf,
    /// Where the counter begins anew, in microjoules.
    range: u64,
    before: u64,
}

impl PowerMeter {
    /// Finds the counters that may be read. `None` where there is none: without RAPL, in most virtual machines, or without the right to read it.
    pub fn find() -> Option<Self> {
        Self::find_in(Path::new(POWERCAP))
    }

    fn find_in(folder: &Path) -> Option<Self> {
        let entries = fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path());
        let packages: Vec<_> = entries.filter(|path| is_package(path)).filter_map(Package::open).collect();
        (!packages.is_empty()).then_some(Self { packages, last: None })
    }

    /// Returns the mean power since the last call, in watts; `None` at the first call, and where a counter cannot be read any more.
    pub fn watts(&mut self, now: Duration) -> Option<f64> {
        let mut micros = 0_u64;
        for package in &mut self.packages {
            micros = micros.saturating_add(package.spent()?);
        }
        let since = now.saturating_sub(self.last.replace(now)?).as_secs_f64();
        (since > 0.0).then(|| micros as f64 / 1e6 / since)
    }
}

impl Package {
    fn open(folder: PathBuf) -> Option<Self> {
        let (counter, range) = (folder.join("energy_uj"), number(&folder.join("max_energy_range_uj"))?);
        let before = number(&counter)?;
        Some(Self { counter, range, before })
    }

    /// Returns the energy since the last call, in microjoules.
    fn spent(&mut self) -> Option<u64> {
        let now = number(&self.counter)?;
        let before = std::mem::replace(&mut self.before, now);
        Some(now.checked_sub(before).unwrap_or_else(|| self.range.saturating_sub(before).saturating_add(now)))
    }
}

/// Tells `intel-rapl:0` from the parts of that package, `intel-rapl:0:0`, which it counts already. AMD's processors use the same names.
fn is_package(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("intel-rapl:"));
    name.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A folder as Linux shows it.
    struct Machine(PathBuf);

    impl Machine {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("adit-power-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn set(&self, zone: &str, energy: u64) {
            let zone = self.0.join(zone);
            fs::create_dir_all(&zone).unwrap();
            fs::write(zone.join("max_energy_range_uj"), "1000000000\n").unwrap();
            fs::write(zone.join("energy_uj"), format!("{energy}\n")).unwrap();
        }
    }

    impl Drop for Machine {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[track_caller]
    fn check(watts: Option<f64>, want: f64) {
        assert!(watts.is_some_and(|watts| (watts - want).abs() < 1e-6), "{watts:?} is not {want}");
    }

    #[test]
    fn packages_are_added_up_and_their_parts_are_not() {
        let machine = Machine::new("sum");
        for zone in ["intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0", "intel-rapl-mmio:0"] {
            machine.set(zone, 5);
        }
        let mut meter = PowerMeter::find_in(&machine.0).unwrap();
        assert_eq!(meter.watts(SECOND), None, "one reading is no difference");
        machine.set("intel-rapl:0", 40_000_005);
        machine.set("intel-rapl:1", 20_000_005);
        machine.set("intel-rapl:0:0", 30_000_005);
        check(meter.watts(3 * SECOND), 30.0);
        check(meter.watts(4 * SECOND), 0.0);
    }

    #[test]
    fn a_counter_that_begins_anew_goes_on() {
        let machine = Machine::new("wrap");
        machine.set("intel-rapl:0", 999_000_000);
        let mut meter = PowerMeter::find_in(&machine.0).unwrap();
        meter.watts(SECOND);
        machine.set("intel-rapl:0", 9_000_000);
        check(meter.watts(2 * SECOND), 10.0);
    }

    #[test]
    fn a_machine_that_tells_nothing_has_no_meter() {
        let machine = Machine::new("none");
        assert!(PowerMeter::find_in(&machine.0).is_none());
        assert!(PowerMeter::find_in(&machine.0.join("missing")).is_none());
        machine.set("intel-rapl:0:0", 5);
        assert!(PowerMeter::find_in(&machine.0).is_none());
    }

    #[test]
    fn a_counter_that_has_gone_gives_no_reading() {
        let machine = Machine::new("gone");
        machine.set("intel-rapl:0", 5);
        let mut meter = PowerMeter::find_in(&machine.0).unwrap();
        meter.watts(SECOND);
        fs::remove_file(machine.0.join("intel-rapl:0/energy_uj")).unwrap();
        assert_eq!(meter.watts(2 * SECOND), None);
    }
}
