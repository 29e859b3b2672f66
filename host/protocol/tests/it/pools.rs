//! The miner's side, against pools as they behave in the field.

use crate::script::{Log, Side, play};
use adit_primitives::Timestamp;
use adit_protocol::line::{LINE_BYTES_MAX, LineBuffer};
use adit_protocol::stratum::client::{Assignment, Client, Dialect, Event, Settings};
use adit_protocol::stratum::difficulty::Base;
use adit_protocol::stratum::job::Choice;
use std::sync::Arc;

#[test]
fn pools_of_the_field_are_spoken_to_in_exactly_these_lines() {
    play("pools", || Miner {
        client: None,
        lines: LineBuffer::new(LINE_BYTES_MAX),
        now: 0,
        work: None,
        out: Vec::new(),
    });
}

pub fn settings() -> Arc<Settings> {
    Arc::new(Settings {
        agent: "adit/0.1.0".to_owned(),
        user: "address.rig".to_owned(),
        password: "x".to_owned(),
        base: Base::Sha256,
        version_mask: 0x1fff_e000,
        answer_ms_max: 30_000,
        silence_ms_max: 150_000,
    })
}

struct Miner {
    client: Option<Client>,
    lines: LineBuffer,
    now: u64,
    work: Option<Arc<Assignment>>,
    out: Vec<u8>,
}

impl Miner {
    fn client(&mut self) -> &mut Client {
        self.client.as_mut().expect("the script opens a connection first")
    }

    fn open(&mut self, dialect: Dialect, session: Option<&str>) {
        let now = Timestamp::from_millis(self.now);
        self.client = Some(Client::open(settings(), dialect, session, now, &mut self.out));
    }

    fn note(&mut self, events: Vec<Event>, log: &mut Log) {
        log.sent(&mut self.out);
        for event in events {
            log.happened(describe(&event));
            if let Event::Work(work) = event {
                self.work = Some(work);
            }
        }
    }

    fn submit(&mut self, extranonce2: &[u8], log: &mut Log) {
        let work = Arc::clone(self.work.as_ref().expect("there is work"));
        let choice = Choice { version: 0x3fff_ffff, time: work.notify.job.time + 1, nonce: 0xfeed };
        let now = Timestamp::from_millis(self.now);
        let client = self.client.as_mut().expect("the script opens a connection first");
        let submitted = client.submit(&work, extranonce2, choice, now, &mut self.out);
        log.sent(&mut self.out);
        match submitted {
            Ok(share) => log.happened(format!("submitted {}", share.0)),
            Err(error) => log.happened(format!("not submitted: {error}")),
        }
    }
}

impl Side for Miner {
    fn hear(&mut self, mut bytes: &[u8], log: &mut Log) {
        while let Some(line) = self.lines.next(&mut bytes).expect("pools in these scripts send no huge lines") {
            let (mut events, now) = (Vec::new(), Timestamp::from_millis(self.now));
            let client = self.client.as_mut().expect("the script opens a connection first");
            client.receive(line, now, &mut self.out, &mut events);
            self.note(events, log);
        }
    }

    fn act(&mut self, words: &[&str], log: &mut Log) {
        let mut events = Vec::new();
        match words {
            ["open"] => self.open(Dialect::Full, None),
            ["open", "plain"] => self.open(Dialect::Plain, None),
            ["open", "again"] => {
                let (dialect, session) = (self.client().next_dialect(), self.client().session().map(str::to_owned));
                self.open(dialect, session.as_deref());
            }
            ["submit"] => self.submit(&vec![0xe2; self.work.as_ref().map_or(0, |work| work.extranonce2_bytes)], log),
            ["submit", "short"] => self.submit(&[0xe2], log),
            ["wait", millis] => {
                self.now += millis.parse::<u64>().unwrap();
                let now = Timestamp::from_millis(self.now);
                self.client.as_mut().expect("open").tick(now, &mut self.out, &mut events);
            }
            other => panic!("the caller cannot {other:?}"),
        }
        self.note(events, log);
    }
}

fn describe(event: &Event) -> String {
    match event {
        Event::Authorized => "authorized".to_owned(),
        Event::Work(work) => {
            let extranonce1: String = work.extranonce1.iter().map(|byte| format!("{byte:02x}")).collect();
            let target = work.target.to_string();
            format!(
                "work: {:?}{} target {}…, {extranonce1}+{}, mask {:08x}",
                work.notify.id,
                if work.notify.clean { " clean" } else { "" },
                &target[..24],
                work.extranonce2_bytes,
                work.version_mask
            )
        }
        Event::Accepted(share) => format!("accepted {}", share.0),
        Event::Refused(share, refusal) => format!("refused {}: {} {}", share.0, refusal.code, refusal.text),
        Event::Unanswered(share) => format!("unanswered {}", share.0),
        Event::Reconnect { host, port, wait_s } => format!("reconnect: {host:?} {port:?} after {wait_s} s"),
        Event::Message(text) => format!("message: {text:?}"),
        Event::Close(reason) => format!("close: {reason}"),
    }
}
