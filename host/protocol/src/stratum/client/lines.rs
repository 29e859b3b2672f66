//! What pools say, and what a client makes of it.

use super::{Asked, Assignment, Client, CloseReason, EXTRANONCE_BYTES_MAX, Event, ShareId};
use crate::hex;
use crate::stratum::difficulty::Decimal;
use crate::stratum::job::Notify;
use crate::stratum::message::{self, Answer, Id, Params, Refusal, Request};
use adit_primitives::Timestamp;
use serde_json::{Map, Value};
use std::sync::Arc;

impl Client {
    pub(super) fn answered(&mut self, answer: &Answer<'_>, now: Timestamp, out: &mut Vec<u8>, events: &mut Vec<Event>) {
        let Some((id, waiting)) = answer.id.number().and_then(|id| Some((id, self.waiting.remove(&id)?))) else {
            return;
        };
        match waiting.asked {
            Asked::Configure => {
                self.granted(answer);
                self.subscribe(now, out);
            }
            Asked::Subscribe => match self.placed(answer) {
                Ok(()) => self.authorize(now, out),
                Err(reason) => self.close(reason, events),
            },
            Asked::Authorize if answer.is_true() => {
                self.authorized = true;
                events.push(Event::Authorized);
            }
            Asked::Authorize => {
                let text = answer.refusal().text.into();
                self.close(CloseReason::NotAuthorized { text }, events);
            }
            Asked::Extranonce => {}
            Asked::Share => {
                self.shares_waiting -= 1;
                let share = ShareId(id);
                events.push(if answer.is_true() {
                    Event::Accepted(share)
                } else {
                    Event::Refused(share, answer.refusal())
                });
            }
        }
    }

    /// Takes the bits that the pool grants, of those that were asked for.
    fn granted(&mut self, answer: &Answer<'_>) {
        let granted: Option<Map<String, Value>> =
            answer.result.and_then(|result| serde_json::from_str(result.get()).ok());
        let mask = granted
            .as_ref()
            .filter(|granted| granted.get("version-rolling") == Some(&Value::Bool(true)))
            .and_then(|granted| granted.get("version-rolling.mask")?.as_str().and_then(read_mask));
        self.version_mask = mask.unwrap_or(0) & self.settings.version_mask;
    }

    fn placed(&mut self, answer: &Answer<'_>) -> Result<(), CloseReason> {
        if answer.error.is_some() {
            return Err(CloseReason::NotSubscribed { text: answer.refusal().text.into() });
        }
        let result = Params::of(answer.result);
        let (extranonce1, extranonce2_bytes) =
            read_space(&result, 1).ok_or(CloseReason::NoExtranonce { max: EXTRANONCE_BYTES_MAX })?;
        (self.extranonce1, self.extranonce2_bytes) = (extranonce1, extranonce2_bytes);
        self.subscribed = true;
        self.session = read_session(&result);
        Ok(())
    }

    pub(super) fn told(&mut self, request: Request<'_>, out: &mut Vec<u8>, events: &mut Vec<Event>) {
        let Request { id, method, params } = request;
        match method.as_ref() {
            "mining.notify" => match Notify::parse(&params) {
                Ok(notify) => self.assign(notify, events),
                Err(_) => self.malformed(events),
            },
            "mining.set_difficulty" => match params.text(0).and_then(|text| Decimal::parse(&text)) {
                Some(number) => self.target = self.settings.base.target(number),
                None => self.malformed(events),
            },
            "mining.set_extranonce" => match read_space(&params, 0) {
                Some((extranonce1, bytes)) => (self.extranonce1, self.extranonce2_bytes) = (extranonce1, bytes),
                None => self.malformed(events),
            },
            "mining.set_version_mask" => match params.text(0).as_deref().and_then(read_mask) {
                Some(mask) => self.mask(mask, events),
                None => self.malformed(events),
            },
            "client.reconnect" => events.push(Event::Reconnect {
                host: params.text(0).filter(|host| !host.is_empty()).map(Box::from),
                port: params.text(1).and_then(|port| port.parse().ok()).filter(|port| *port != 0),
                wait_s: params.text(2).and_then(|wait| wait.parse().ok()).unwrap_or(0),
            }),
            "client.show_message" => events.extend(params.text(0).map(|text| Event::Message(text.into()))),
            "client.get_version" => {
                message::write_result(&id, out, |out| message::write_text(&self.settings.agent, out));
            }
            "mining.ping" => message::write_result(&id, out, |out| message::write_text("pong", out)),
            _ if id == Id::Null => {}
            _ => message::write_refusal(&id, &Refusal::UNKNOWN_METHOD, out),
        }
    }

    fn assign(&mut self, notify: Notify, events: &mut Vec<Event>) {
        // Without its extranonce a job cannot be mined.
        if !self.subscribed {
            return;
        }
        self.begin(
            Assignment {
                notify,
                target: self.target,
                extranonce1: self.extranonce1.clone(),
                extranonce2_bytes: self.extranonce2_bytes,
                version_mask: self.version_mask,
            },
            events,
        );
    }

    /// Changes the bits that may be rolled, at once: the work of the moment begins anew with them.
    fn mask(&mut self, mask: u32, events: &mut Vec<Event>) {
        self.version_mask = mask & self.settings.version_mask;
        if let Some(current) = self.current.take() {
            let mut work = Arc::unwrap_or_clone(current);
            work.version_mask = self.version_mask;
            self.begin(work, events);
        }
    }

    fn begin(&mut self, work: Assignment, events: &mut Vec<Event>) {
        let work = Arc::new(work);
        self.current = Some(Arc::clone(&work));
        events.push(Event::Work(work));
    }
}

fn read_mask(text: &str) -> Option<u32> {
    hex::number(text)?.try_into().ok()
}

/// Reads an extranonce and the length of the miner's part, the second parameter after it.
fn read_space(params: &Params<'_>, index: usize) -> Option<(Box<[u8]>, usize)> {
    let extranonce1 = hex::bytes(&params.text(index)?).filter(|bytes| bytes.len() <= EXTRANONCE_BYTES_MAX)?;
    let extranonce2_bytes = params.text(index + 1)?.parse().ok().filter(|bytes| *bytes <= EXTRANONCE_BYTES_MAX)?;
    Some((extranonce1.into(), extranonce2_bytes))
}

/// Reads the session out of `[["mining.notify", "session"], …]`, which some pools send as one pair without the outer list.
fn read_session(result: &Params<'_>) -> Option<Box<str>> {
    let pairs: Vec<(String, String)> = result.read_as(0).or_else(|| result.read_as(0).map(|pair| vec![pair]))?;
    let session = pairs.into_iter().find(|(method, session)| method == "mining.notify" && !session.is_empty());
    session.map(|(_, session)| session.into())
}
