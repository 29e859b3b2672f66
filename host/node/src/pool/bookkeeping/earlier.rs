//! Payout schemes that were left: those that blocks or shares of their time still wait for are loaded at a start.

use super::super::LoadScheme;
use super::{Bookkeeping, BooksFailure};
use adit_pool::money::schemes::Asked;
use std::sync::{Arc, PoisonError};

const LOADED: &str = "an earlier payout scheme is loaded for what is open under it";
const LOST: &str = "an earlier payout scheme cannot be loaded: what is open under it waits, and nothing of it is lost";

impl Bookkeeping {
    /// Loads the schemes that something is still to be asked of, though another is in force. Where one cannot be loaded, what is open under it
    /// waits in the books, and the operator is told so. After [`Bookkeeping::recover`], which may bring blocks of their time.
    pub async fn load_earlier(self: &Arc<Self>, load: LoadScheme) -> Result<(), BooksFailure> {
        let loaded = self.step(move |keeper| {
            let mut schemes = keeper.schemes.lock().unwrap_or_else(PoisonError::into_inner);
            for (scheme, Asked { blocks, shares, may_split }) in keeper.rounds().asked()? {
                if schemes.contains_key(&scheme) {
                    continue;
                }
                match load(&scheme) {
                    Ok(engine) => {
                        tracing::info!(scheme, blocks, shares, may_split, "{LOADED}");
                        schemes.insert(scheme, engine);
                    }
                    Err(why) => tracing::error!(scheme, blocks, shares, may_split, why, "{LOST}"),
                }
            }
            Ok(())
        });
        loaded.await
    }
}
