//! Questions to the disk: on threads where waiting is allowed, few at a time.
//!
//! A read cannot be stopped: it has its place until it ends, although the request that wanted it may be over.

use super::error::ApiError;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The places of those that read.
pub struct Reads {
    places: Arc<Semaphore>,
}

impl Reads {
    /// Lets so many read at once.
    pub fn new(at_once: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(at_once)) }
    }

    /// Runs what may read the disk when it is its turn.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
        let read = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        read.await.unwrap_or_else(|panic| Err(ApiError::internal(&panic)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_read_that_nobody_waits_for_keeps_its_place_until_it_ends() {
        let reads = Reads::new(1);
        let ((go, gate), (begun, begins)) = (mpsc::channel(), oneshot::channel());
        let first = reads.run(move || {
            begun.send(()).unwrap();
            gate.recv().unwrap();
            Ok(())
        });
        tokio::select! {
            _ = first => unreachable!("it waits at the gate"),
            begins = begins => begins.unwrap(),
        }
        assert_eq!(reads.places.available_permits(), 0);
        go.send(()).unwrap();
        assert_eq!(reads.run(|| Ok(2)).await, Ok(2));
    }
}
