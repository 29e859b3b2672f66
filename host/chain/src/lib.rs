//! The blocks, their order, the ledger, the mempool and templates.
