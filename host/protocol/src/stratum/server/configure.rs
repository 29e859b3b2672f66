//! BIP310: the extensions that a miner may ask for before it subscribes, and what it is granted.

use super::{Effect, Session, Wish};
use crate::hex;
use crate::stratum::difficulty::Decimal;
use crate::stratum::message::{self, Params};
use serde_json::{Map, Value};

impl Session {
    /// Returns the answer, as JSON: every extension named is answered, unknown ones with `false`.
    pub(super) fn configure(&mut self, params: &Params<'_>, effects: &mut Vec<Effect>) -> Vec<u8> {
        let mut names: Vec<String> = params.read_as(0).unwrap_or_default();
        names.sort_unstable();
        names.dedup();
        let wishes: Map<String, Value> = params.read_as(1).unwrap_or_default();
        let mut out = vec![b'{'];
        for name in names {
            if out.len() > 1 {
                out.push(b',');
            }
            message::write_text(&name, &mut out);
            out.push(b':');
            let granted = match name.as_str() {
                "version-rolling" => self.roll_versions(&wishes),
                "minimum-difficulty" => self.wish_least(&wishes, effects),
                "subscribe-extranonce" => {
                    self.takes_extranonce = true;
                    true
                }
                "info" => true,
                _ => false,
            };
            out.extend_from_slice(if granted { b"true" } else { b"false" });
            if granted && name == "version-rolling" {
                out.extend_from_slice(b",\"version-rolling.mask\":");
                message::write_hex(&self.rolled().to_be_bytes(), &mut out);
            }
        }
        out.push(b'}');
        out
    }

    /// Grants the bits that both sides allow. How many the miner would need is not asked: one that gets fewer runs on, less well.
    ///
    /// Jobs sent already get the bits as well, because a miner rolls them from then on.
    fn roll_versions(&mut self, wishes: &Map<String, Value>) -> bool {
        let asked = match wishes.get("version-rolling.mask") {
            Some(mask) => mask.as_str().and_then(hex::number).and_then(|mask| u32::try_from(mask).ok()).unwrap_or(0),
            None => u32::MAX,
        };
        self.version_mask = asked & self.settings.version_mask;
        let rolled = self.rolled();
        for job in &mut self.jobs {
            job.version_mask |= rolled;
        }
        self.version_mask != 0
    }

    fn wish_least(&self, wishes: &Map<String, Value>, effects: &mut Vec<Effect>) -> bool {
        let number = match wishes.get("minimum-difficulty.value") {
            Some(Value::String(text)) => Decimal::parse(text),
            Some(Value::Number(number)) => Decimal::parse(&number.to_string()),
            _ => None,
        };
        effects.extend(number.map(|number| Effect::Wish(Wish::Least(self.settings.base.difficulty(number)))));
        number.is_some()
    }
}
