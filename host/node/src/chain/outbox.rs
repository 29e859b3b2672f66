//! What is told only when all that it rests on is durable: answers, snapshots, news.
//!
//! The disk syncs what was taken while the chain's thread takes more: a slow disk makes larger commits, and the thread never waits for it. One commit is
//! under way at a time; when it has ended, what was taken meanwhile is the next one. A crash loses what nobody was told of.

use super::Request;
use adit_chain::{Chain, GATHERED_BYTES_MAX};
use adit_primitives::storage::StorageError;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use tokio::sync::mpsc::Sender;

/// Telling somebody.
type Message = Box<dyn FnOnce() + Send>;

/// What waits for its commit.
pub struct Outbox {
    /// Rests on what was taken since something was handed over last.
    waiting: Vec<Message>,
    /// Where the commit that is under way says how it ended. What rests on it is told then, by the thread that knows first.
    under_way: Option<Receiver<Result<(), StorageError>>>,
    /// Wakes the chain's thread.
    mailbox: Sender<Request>,
}

impl Outbox {
    /// Begins empty. `mailbox` leads to the thread that owns it.
    pub fn new(mailbox: Sender<Request>) -> Self {
        Self { waiting: Vec::new(), under_way: None, mailbox }
    }

    /// Tells when everything that the chain has taken until now is durable.
    pub fn tell(&mut self, message: impl FnOnce() + Send + 'static) {
        self.waiting.push(Box::new(message));
    }

    /// Hands over what the chain has taken, unless an earlier commit is under way. Where nothing was taken, tells at once.
    ///
    /// # Errors
    /// Where the last commit failed: nobody was told of anything that rests on it.
    pub fn turn(&mut self, chain: &mut Chain) -> Result<(), StorageError> {
        if let Some(under_way) = &self.under_way {
            let ended = match under_way.try_recv() {
                // What is in memory alone is bounded.
                Err(TryRecvError::Empty) if chain.gathered_bytes() >= GATHERED_BYTES_MAX => under_way.recv().ok(),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => None,
                Ok(ended) => Some(ended),
            };
            ended.unwrap_or_else(|| Err(StorageError { detail: "a commit came to no end".to_owned() }))?;
            self.under_way = None;
        }
        let messages = std::mem::take(&mut self.waiting);
        if chain.gathered_bytes() == 0 {
            messages.into_iter().for_each(|tell| tell());
            return Ok(());
        }
        let ((done, under_way), mailbox) = (sync_channel(1), self.mailbox.clone());
        let committed = move |ended: Result<(), StorageError>| {
            if ended.is_ok() {
                messages.into_iter().for_each(|tell| tell());
            }
            // Nobody waits for it where the thread has ended; and one whose mailbox is full is awake.
            drop(done.send(ended));
            drop(mailbox.try_send(Request::Turn));
        };
        chain.hand_over(Box::new(committed))?;
        self.under_way = Some(under_way);
        Ok(())
    }

    /// Makes everything durable, tells of it, and returns then.
    pub fn close(mut self, chain: &mut Chain) -> Result<(), StorageError> {
        chain.keep_all()?;
        if let Some(Ok(ended)) = self.under_way.take().map(|under_way| under_way.recv()) {
            ended?;
        }
        self.waiting.into_iter().for_each(|tell| tell());
        Ok(())
    }
}
