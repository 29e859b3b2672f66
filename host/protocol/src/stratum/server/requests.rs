//! What miners say, and what a session makes of it.

use super::{
    AGENT_BYTES_MAX, CloseReason, Effect, Extranonce, HELD_BYTES_MAX, Login, MALFORMED_MAX, SHARES_WAITING_MAX,
    SUBSCRIPTIONS_WAITING_MAX, Session, Submission, Subscription, Ticket, USER_BYTES_MAX, VERSION_ID, WORKERS_MAX,
    Wish,
};
use crate::hex;
use crate::stratum::difficulty::{Base, Decimal, target_difficulty};
use crate::stratum::message::{self, Answer, Id, Message, Params, Refusal, Request};
use adit_primitives::contract::shares::ShareDifficulty;
use adit_primitives::{Target, Timestamp, U256};
use serde_json::value::RawValue;
use std::sync::Arc;

impl Session {
    /// Takes a line from the miner. What is to be sent is appended to `out`, what the caller is to do to `effects`, in order.
    pub fn receive(&mut self, line: &[u8], now: Timestamp, out: &mut Vec<u8>, effects: &mut Vec<Effect>) {
        if self.closed {
            return;
        }
        self.heard = now;
        match Message::parse(line) {
            Ok(Message::Request(request)) => self.request(request, out, effects),
            Ok(Message::Answer(answer)) => hear(&answer, effects),
            Err(error) => self.malformed(error.into(), out, effects),
        }
        if self.held.len() > HELD_BYTES_MAX {
            self.close(CloseReason::Flood { max: HELD_BYTES_MAX }, effects);
        }
    }

    fn malformed(&mut self, refusal: Refusal, out: &mut Vec<u8>, effects: &mut Vec<Effect>) {
        self.malformed += 1;
        // What speaks something else is told nothing: it might take that for an answer.
        if self.space.is_none() {
            self.close(CloseReason::NotStratum, effects);
        } else {
            self.answer(&Id::Null, Err(refusal), out);
            if self.malformed >= MALFORMED_MAX {
                self.close(CloseReason::Malformed { count: self.malformed }, effects);
            }
        }
    }

    fn request(&mut self, request: Request<'_>, out: &mut Vec<u8>, effects: &mut Vec<Effect>) {
        let Request { id, method, params } = request;
        let verdict = match method.as_ref() {
            "mining.submit" => return self.submit(id, &params, out, effects),
            "mining.subscribe" => return self.subscribe(id, &params, effects),
            "mining.authorize" => return self.authorize(id, &params, out, effects),
            "mining.configure" => {
                let result = self.configure(&params, effects);
                return message::write_result(&id, self.answers(out), |out| out.extend_from_slice(&result));
            }
            "mining.ping" => {
                return message::write_result(&id, self.answers(out), |out| message::write_text("pong", out));
            }
            "mining.get_version" | "client.get_version" => {
                let settings = Arc::clone(&self.settings);
                return message::write_result(&id, self.answers(out), |out| {
                    message::write_text(&settings.version, out)
                });
            }
            "mining.extranonce.subscribe" => {
                self.takes_extranonce = true;
                Ok(())
            }
            "mining.suggest_difficulty" => wish(read_difficulty(self.settings.base, &params, 0), effects),
            "mining.suggest_target" => wish(read_target(&params), effects),
            _ => Err(Refusal::UNKNOWN_METHOD),
        };
        self.answer(&id, verdict, out);
    }

    fn subscribe(&mut self, id: Id, params: &Params<'_>, effects: &mut Vec<Effect>) {
        if self.subscribing >= SUBSCRIPTIONS_WAITING_MAX {
            return self.close(CloseReason::Subscriptions { count: self.subscribing }, effects);
        }
        self.subscribing += 1;
        let text = |index| params.text(index).filter(|text| text.len() <= AGENT_BYTES_MAX).map(Box::from);
        effects.push(Effect::Subscribe(Subscription {
            ticket: Ticket(id),
            agent: text(0).unwrap_or_default(),
            session: text(1),
        }));
    }

    fn authorize(&mut self, id: Id, params: &Params<'_>, out: &mut Vec<u8>, effects: &mut Vec<Effect>) {
        let user = params.text(0).filter(|user| !user.is_empty() && user.len() <= USER_BYTES_MAX);
        let refusal = match user {
            None => Refusal::other("the worker's name is missing or too long"),
            Some(_) if self.workers.len() + usize::from(self.authorizing) >= WORKERS_MAX => {
                Refusal::other("too many workers on one connection")
            }
            Some(user) => {
                self.authorizing += 1;
                let password = params.text(1).unwrap_or_default();
                let difficulty = password_difficulty(self.settings.base, &password);
                let (ticket, user, password) = (Ticket(id), user.into(), password.into());
                return effects.push(Effect::Authorize(Login { ticket, user, password, difficulty }));
            }
        };
        self.answer(&id, Err(refusal), out);
    }

    fn submit(&mut self, id: Id, params: &Params<'_>, out: &mut Vec<u8>, effects: &mut Vec<Effect>) {
        match self.read_share(&id, params) {
            Ok(share) => {
                self.shares_waiting += 1;
                effects.push(Effect::Submit(share));
            }
            Err(refusal) => self.answer(&id, Err(refusal), out),
        }
    }

    fn read_share(&self, id: &Id, params: &Params<'_>) -> Result<Submission, Refusal> {
        if self.space.is_none() {
            return Err(Refusal::NOT_SUBSCRIBED);
        }
        let name = params.text(0).unwrap_or_default();
        let worker = self.workers.iter().find(|worker| ***worker == *name).ok_or(Refusal::UNAUTHORIZED)?;
        let job_id = params.text(1).and_then(|text| hex::number(&text)).ok_or(Refusal::UNKNOWN_JOB)?;
        // The newest first: that is what nearly all shares are for.
        let job = *self.jobs.iter().rev().find(|sent| sent.wire_id() == job_id).ok_or(Refusal::UNKNOWN_JOB)?;
        if self.shares_waiting >= SHARES_WAITING_MAX {
            return Err(Refusal::TOO_MANY);
        }
        Ok(Submission {
            ticket: Ticket(id.clone()),
            worker: Arc::clone(worker),
            job: job.id,
            difficulty: job.difficulty,
            extranonce1: job.space.extranonce1,
            extranonce2: read_extranonce(params, job.space.extranonce2_bytes)?,
            version_mask: job.version_mask,
            version_bits: read_version(params)?,
            time: params.bytes(3).map(u32::from_be_bytes).ok_or(Refusal::other("time is not 8 hexadecimal digits"))?,
            nonce: short_number(params, 4).ok_or(Refusal::other("nonce is not 8 hexadecimal digits"))?,
        })
    }
}

fn read_extranonce(params: &Params<'_>, length: u8) -> Result<Extranonce, Refusal> {
    let mut bytes = [0; Extranonce::BYTES_MAX];
    let bytes = &mut bytes[..usize::from(length).min(Extranonce::BYTES_MAX)];
    let read = params.text(2).is_some_and(|text| hex::read(&text, bytes));
    let digits = 2 * bytes.len();
    let refusal = || Refusal { code: 20, text: format!("extranonce2 is not {digits} hexadecimal digits").into() };
    read.then(|| Extranonce::from_bytes(bytes)).flatten().ok_or_else(refusal)
}

/// Reads the version's bits, for which miners that roll none have nothing, `null` or an empty text.
fn read_version(params: &Params<'_>) -> Result<Option<u32>, Refusal> {
    match params.raw(5).map(RawValue::get) {
        None | Some("null" | "\"\"") => Ok(None),
        Some(_) => short_number(params, 5).map(Some).ok_or(Refusal::other("version is not 8 hexadecimal digits")),
    }
}

/// Reads a number of at most 8 digits: there is firmware that drops leading zeros (NerdMiner).
fn short_number(params: &Params<'_>, index: usize) -> Option<u32> {
    let text = params.text(index).filter(|text| text.len() <= 8)?;
    hex::number(&text)?.try_into().ok()
}

fn hear(answer: &Answer<'_>, effects: &mut Vec<Effect>) {
    if answer.id == VERSION_ID
        && let Some(version) = answer.result.and_then(|result| serde_json::from_str::<String>(result.get()).ok())
    {
        effects.extend((version.len() <= AGENT_BYTES_MAX).then(|| Effect::Version(version.into())));
    }
}

fn wish(difficulty: Option<ShareDifficulty>, effects: &mut Vec<Effect>) -> Result<(), Refusal> {
    let difficulty = difficulty.ok_or(Refusal::other("the difficulty is not a positive number"))?;
    effects.push(Effect::Wish(Wish::Start(difficulty)));
    Ok(())
}

fn read_difficulty(base: Base, params: &Params<'_>, index: usize) -> Option<ShareDifficulty> {
    Decimal::parse(&params.text(index)?).map(|number| base.difficulty(number))
}

fn read_target(params: &Params<'_>) -> Option<ShareDifficulty> {
    let bytes: [u8; 32] = params.bytes(0)?;
    Some(target_difficulty(Target(U256::from_be_bytes(bytes))))
}

/// Finds `d=512` or `diff=512` in a password, alone or among other settings.
fn password_difficulty(base: Base, password: &str) -> Option<ShareDifficulty> {
    let parts = password.split([',', ';', '&', ' ']);
    let number = parts
        .filter_map(|part| part.strip_prefix("d=").or_else(|| part.strip_prefix("diff=")))
        .find_map(Decimal::parse);
    number.map(|number| base.difficulty(number))
}
