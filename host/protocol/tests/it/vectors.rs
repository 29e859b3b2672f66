//! Facts of Bitcoin's chain: block 100,000 as a job.

use crate::sessions::{settings, space};
use adit_primitives::contract::shares::ShareDifficulty;
use adit_primitives::{BlockId, Timestamp, sha256d};
use adit_protocol::stratum::job::{Announcement, Choice, JobId, Notify};
use adit_protocol::stratum::message::Message;
use adit_protocol::stratum::server::{Effect, Session};

/// The line that a pool would have sent: block 99,999's id with the bytes of each word reversed, the coinbase without two bytes of
/// its script, the second transaction, and the digest over the third and the fourth.
const LINE: &str = concat!(
    r#"{"id":null,"method":"mining.notify","params":["100","1901125004612a1701c3a621d930d31d36b607df1fccc2160002d01c00000000","#,
    r#""01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff08044c86041b02","#,
    r#""ffffffff0100f2052a010000004341041b0e8c2567c12536aa13357b79a073dc4444acb83c4ec7a0e2f99dd7457516c581"#,
    r#"7242da796924ca4e99947d087fedf9ce467cb9f7c6287078f801df276fdf84ac00000000","#,
    r#"["c40297f730dd7b5a99567eb8d27b78758f607507c52292d02d4031895b52f2ff","#,
    r#""49aef42d78e3e9999c9e6ec9e1dddd6cb880bf3b076a03be1318ca789089308e"],"00000001","1b04864c","4d1b2237",true]}"#,
    "\n",
);

fn notify() -> Notify {
    match Message::parse(LINE.as_bytes()) {
        Ok(Message::Request(request)) => Notify::parse(&request.params).unwrap(),
        other => panic!("the line is a request: {other:?}"),
    }
}

#[test]
fn a_real_blocks_job_hashes_to_its_id() {
    let Notify { id, job, clean } = notify();
    assert_eq!((&*id, clean), ("100", true));
    let coinbase = job.coinbase(&[0x06], &[0x02]);
    let root = job.merkle_root(&coinbase);
    let root_text = "f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766";
    assert_eq!(BlockId(root).to_string(), root_text);
    let header = job.header(&root, Choice { version: 1, time: 1_293_623_863, nonce: 274_148_111 });
    let id = "000000000003ba27aa200b1cecaad478d2b00432346c3f1f3986da1afd33e506";
    assert_eq!(BlockId(sha256d(&header)).to_string(), id);
}

#[test]
fn a_job_is_written_as_it_was_read() {
    let now = Timestamp::from_millis(0);
    let mut session = Session::new(settings(), ShareDifficulty::from_log2_hashes(32), now);
    let (mut out, mut effects) = (Vec::new(), Vec::new());
    session.receive(br#"{"id":1,"method":"mining.subscribe","params":[]}"#, now, &mut out, &mut effects);
    let Some(Effect::Subscribe(subscription)) = effects.pop() else { panic!("a subscription is asked for") };
    session.subscribed(subscription, "s", space(&[1]), &mut out);
    out.clear();
    session.job(&Announcement::new(JobId(1), &notify().job), true, &mut out);
    let sent = String::from_utf8(out).unwrap();
    assert_eq!(sent.split_once('\n').unwrap().1, LINE, "after the line with the difficulty");
}
