//! The writer thread: takes batches in the order of their arrival and writes them in groups.
//!
//! A commit never waits for company. Company gathers by itself: what arrives while the disk syncs one group is the next one, so a
//! lone commit costs one sync, and a crowd shares one.

use adit_primitives::storage::{Batch, Committed, StorageError};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// How many batches may wait for the writer. A committer beyond them waits for a place.
const QUEUED_BATCHES_MAX: usize = 1_024;

/// A group is closed when it holds this many changes, whole batches only: one huge group would make its first caller wait for its last.
const GROUP_CHANGES_MAX: usize = 1_000;

/// A batch on its way, with who waits for its answer.
struct Request {
    batch: Batch,
    waiting: Waiting,
}

/// Who is to be told how a commit ended: also where the thread panics, or has ended.
struct Waiting(Option<Committed>);

impl Waiting {
    fn tell(mut self, result: Result<(), StorageError>) {
        if let Some(committed) = self.0.take() {
            committed(result);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(committed) = self.0.take() {
            committed(Err(StorageError { detail: "the writer thread has ended".to_owned() }));
        }
    }
}

/// The handle of the writer thread. Dropping it lets the thread finish what is queued, and waits for that, unless it is that thread itself which drops
/// it: by a [`Committed`] that had the last handle. Then the thread goes on to the end of the queue by itself.
pub struct Writer {
    queue: Option<SyncSender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. `write` makes a group durable, all batches of it or none, later ones over earlier ones.
    pub fn start<W>(write: W) -> io::Result<Self>
    where
        W: FnMut(Vec<Batch>) -> Result<(), StorageError> + Send + 'static,
    {
        let (queue, requests) = sync_channel(QUEUED_BATCHES_MAX);
        let thread = Builder::new().name("store-writer".to_owned()).spawn(move || serve(&requests, write))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Hands a batch over, and returns when it is durable or when it is known that it is not.
    pub fn commit(&self, batch: Batch) -> Result<(), StorageError> {
        let (done, answer) = sync_channel(1);
        // Whoever waits takes the one answer.
        self.commit_later(batch, Box::new(move |result| drop(done.send(result))));
        answer.recv().expect("a commit ends with an answer")
    }

    /// Hands a batch over. It waits for a place where too many are on their way, and for nothing else.
    pub fn commit_later(&self, batch: Batch, committed: Committed) {
        let queue = self.queue.as_ref().expect("the queue is taken only by drop");
        // Where the thread has ended, what comes back tells of it as it is dropped.
        drop(queue.send(Request { batch, waiting: Waiting(Some(committed)) }));
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        // A thread that waited for itself would wait for ever.
        let other = |thread: &JoinHandle<()>| thread.thread().id() != std::thread::current().id();
        if let Some(thread) = self.thread.take().filter(other) {
            // A panic of the writer has reached every caller as an error already.
            let _ = thread.join();
        }
    }
}

/// Writes groups until every sender is gone. After a failure nothing more is written: what the disk holds is no longer known.
fn serve<W>(requests: &Receiver<Request>, mut write: W)
where
    W: FnMut(Vec<Batch>) -> Result<(), StorageError>,
{
    let mut failure: Option<StorageError> = None;
    while let Ok(first) = requests.recv() {
        let (batches, waiting) = gather(first, requests);
        let result = match &failure {
            Some(error) => Err(error.clone()),
            None => write(batches),
        };
        if let Err(error) = &result {
            failure
                .get_or_insert_with(|| StorageError { detail: format!("an earlier write failed: {}", error.detail) });
        }
        waiting.into_iter().for_each(|waiting| waiting.tell(result.clone()));
    }
}

/// Takes what has queued up behind `first`, up to the size of a group.
fn gather(first: Request, requests: &Receiver<Request>) -> (Vec<Batch>, Vec<Waiting>) {
    let mut changes = first.batch.changes.len();
    let (mut batches, mut waiting) = (vec![first.batch], vec![first.waiting]);
    while changes < GROUP_CHANGES_MAX {
        let Ok(next) = requests.try_recv() else { break };
        changes += next.batch.changes.len();
        batches.push(next.batch);
        waiting.push(next.waiting);
    }
    (batches, waiting)
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::storage::Table;
    use std::sync::{Arc, Barrier, Mutex};

    fn batch(changes: u32) -> Batch {
        let mut batch = Batch::default();
        for number in 0..changes {
            batch.put(Table::Meta, number.to_be_bytes(), *b"value");
        }
        batch
    }

    fn request(changes: u32) -> (Request, Receiver<Result<(), StorageError>>) {
        let (done, answer) = sync_channel(1);
        let waiting = Waiting(Some(Box::new(move |result| drop(done.send(result)))));
        (Request { batch: batch(changes), waiting }, answer)
    }

    /// Serves requests that were all queued beforehand, and returns the sizes of the groups written.
    fn groups_of(sizes: &[u32]) -> Vec<Vec<usize>> {
        let (queue, requests) = sync_channel(sizes.len());
        for size in sizes {
            queue.send(request(*size).0).expect("the queue has room for all");
        }
        drop(queue);
        let mut groups = Vec::new();
        serve(&requests, |batches: Vec<Batch>| {
            groups.push(batches.iter().map(|batch| batch.changes.len()).collect());
            Ok(())
        });
        groups
    }

    #[test]
    fn what_is_queued_shares_one_write() {
        assert_eq!(groups_of(&[1, 2, 3]), [vec![1, 2, 3]]);
    }

    #[test]
    fn a_group_closes_at_its_size_and_never_splits_a_batch() {
        assert_eq!(groups_of(&[600, 600, 1, 5000, 1]), [vec![600, 600], vec![1, 5000], vec![1]]);
    }

    #[test]
    fn a_failed_write_reaches_every_caller_of_its_group_and_all_later_ones() {
        let (queue, requests) = sync_channel(4);
        let (first, first_answer) = request(1_000);
        let (second, second_answer) = request(1);
        let (third, third_answer) = request(1);
        for each in [first, second, third] {
            queue.send(each).expect("the queue has room");
        }
        drop(queue);
        let mut calls = 0;
        serve(&requests, |_| {
            calls += 1;
            Err(StorageError { detail: "disk full".to_owned() })
        });
        assert_eq!(calls, 1, "nothing is written after a failure");
        let detail = |answer: Receiver<Result<(), StorageError>>| answer.recv().unwrap().unwrap_err().detail;
        assert_eq!(detail(first_answer), "disk full");
        assert_eq!(detail(second_answer), "an earlier write failed: disk full");
        assert_eq!(detail(third_answer), "an earlier write failed: disk full");
    }

    #[test]
    fn a_panicking_write_is_an_error_for_its_caller_and_later_ones() {
        let writer = Writer::start(|_| panic!("a bug in the engine")).unwrap();
        let ended = Err(StorageError { detail: "the writer thread has ended".to_owned() });
        assert_eq!(writer.commit(batch(1)), ended);
        assert_eq!(writer.commit(batch(1)), ended);
    }

    #[test]
    fn commits_that_arrive_during_a_write_become_one_group() {
        const CROWD: usize = 8;
        let (started, hold) = (Arc::new(Barrier::new(2)), Arc::new(Mutex::new(())));
        let groups = Arc::new(Mutex::new(Vec::new()));
        let (thread_started, thread_hold, thread_groups) = (started.clone(), hold.clone(), groups.clone());
        let mut first = true;
        let writer = Writer::start(move |batches| {
            if std::mem::take(&mut first) {
                thread_started.wait();
                let _held = thread_hold.lock().unwrap();
            }
            thread_groups.lock().unwrap().push(batches.len());
            Ok(())
        })
        .unwrap();
        let held = hold.lock().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| writer.commit(batch(1)).unwrap());
            started.wait();
            let crowd: Vec<_> = (0..CROWD).map(|_| request(1)).collect();
            let mut answers = Vec::new();
            for (request, answer) in crowd {
                writer.queue.as_ref().unwrap().send(request).unwrap();
                answers.push(answer);
            }
            drop(held);
            for answer in answers {
                answer.recv().unwrap().unwrap();
            }
        });
        assert_eq!(*groups.lock().unwrap(), [1, CROWD]);
    }

    #[test]
    fn a_writer_that_its_own_thread_drops_writes_what_is_queued() {
        let (started, hold) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let (thread_started, thread_hold) = (started.clone(), hold.clone());
        let mut first = true;
        let writer = Writer::start(move |_| {
            if std::mem::take(&mut first) {
                thread_started.wait();
                thread_hold.wait();
            }
            Ok(())
        });
        let writer = Arc::new(writer.unwrap());
        let (last, (done, answer)) = (writer.clone(), sync_channel(1));
        writer.commit_later(batch(1), Box::new(move |_| drop(last)));
        started.wait();
        writer.commit_later(batch(1), Box::new(move |result| drop(done.send(result))));
        drop(writer);
        hold.wait();
        assert_eq!(answer.recv(), Ok(Ok(())));
    }

    #[test]
    fn dropping_the_writer_writes_what_is_queued() {
        let written = Arc::new(Mutex::new(0));
        let count = written.clone();
        let writer = Writer::start(move |batches| {
            *count.lock().unwrap() += batches.len();
            Ok(())
        })
        .unwrap();
        let answers: Vec<_> = (0..100)
            .map(|_| {
                let (request, answer) = request(1);
                writer.queue.as_ref().unwrap().send(request).unwrap();
                answer
            })
            .collect();
        drop(writer);
        assert_eq!(*written.lock().unwrap(), 100);
        assert!(answers.into_iter().all(|answer| answer.recv() == Ok(Ok(()))));
    }
}
