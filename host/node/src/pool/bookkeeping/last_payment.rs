//! The payment that was sent last, noted beside the books: books put back from an older copy do not know of it, and would pay again what it paid.
//!
//! The note is on the disk before the bytes of a payment leave. It says nothing of what is owed, and no step is taken by it: where the books
//! do not have what it names, no payment is made until a person has decided.

use adit_primitives::TxId;
use adit_primitives::accounts::{Accounts, AccountsError, PaymentNumber};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The name of the file.
const NAME: &str = "last-payment";

/// The most bytes that are read of it.
const BYTES_MAX: usize = 256;

/// Why no payment is made.
#[derive(Debug, thiserror::Error)]
pub enum LastPaymentError {
    #[error(
        "payment {number} was sent as transaction {transaction} and is not in the books: they are an older copy, by which it would be paid \
         again. Put the newer books back, or see to what was paid and remove {}", file.display()
    )]
    OlderBooks { number: PaymentNumber, transaction: TxId, file: PathBuf },
    #[error("{} does not say which payment was sent last: see to what was paid, and remove it", file.display())]
    Damaged { file: PathBuf },
    #[error("{}: {error}", file.display())]
    File { file: PathBuf, error: io::Error },
    #[error(transparent)]
    Books(#[from] AccountsError),
}

/// The file with the note: number and transaction, as text.
#[derive(Debug)]
pub struct LastPayment {
    file: PathBuf,
}

impl LastPayment {
    /// Names the file beside the folder of a pool's notes.
    pub fn beside(folder: &Path) -> Self {
        Self { file: folder.with_file_name(NAME) }
    }

    /// Notes a payment that is about to be sent, unless it or a later one is noted. When this returns, the note survives a loss of power.
    pub fn note(&self, number: PaymentNumber, transaction: TxId) -> Result<(), LastPaymentError> {
        if self.read()?.is_some_and(|(noted, _)| noted >= number) {
            return Ok(());
        }
        let write = || {
            let unfinished = self.file.with_extension("part");
            let mut file = File::create(&unfinished)?;
            writeln!(file, "{number} {transaction}")?;
            file.sync_all()?;
            std::fs::rename(&unfinished, &self.file)?;
            self.file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        };
        write().map_err(|error| self.failed(error))
    }

    /// Refuses books that do not have the payment that was sent last, as it was sent.
    pub fn check(&self, books: &dyn Accounts) -> Result<(), LastPaymentError> {
        let Some((number, transaction)) = self.read()? else { return Ok(()) };
        let signed = books.payment(number)?.and_then(|payment| payment.signed);
        match signed.is_some_and(|signed| signed.id == transaction) {
            true => Ok(()),
            false => Err(LastPaymentError::OlderBooks { number, transaction, file: self.file.clone() }),
        }
    }

    fn read(&self) -> Result<Option<(PaymentNumber, TxId)>, LastPaymentError> {
        let text = match std::fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        let text = std::str::from_utf8(&text).ok().filter(|text| text.len() <= BYTES_MAX);
        let parts = text.and_then(|text| text.trim_end().split_once(' '));
        let noted = parts.and_then(|(number, id)| Some((PaymentNumber(number.parse().ok()?), id.parse().ok()?)));
        noted.map(Some).ok_or_else(|| LastPaymentError::Damaged { file: self.file.clone() })
    }

    fn failed(&self, error: io::Error) -> LastPaymentError {
        LastPaymentError::File { file: self.file.clone(), error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::accounts::{Change, MemoryAccounts, Payment, PaymentOutput, PaymentState, SignedPayment};
    use adit_primitives::{Amount, Timestamp};

    const NOW: Timestamp = Timestamp::from_secs(1);

    /// Books with one payment, which is signed as a transaction where there is one.
    fn books(signed: Option<TxId>) -> MemoryAccounts {
        let books = MemoryAccounts::default();
        let account = books.account_of("alice", NOW).unwrap();
        let number = PaymentNumber(1);
        let output = PaymentOutput { account, address: "alice".to_owned(), amount: Amount::from_atoms(5) };
        let state = PaymentState::Planned;
        books
            .commit(&[Change::Plan(Payment { number, state, planned: NOW, outputs: vec![output], signed: None })])
            .unwrap();
        if let Some(id) = signed {
            let signed = SignedPayment { id, raw: vec![1], fee: Amount::ZERO };
            books.commit(&[Change::Sign { number, signed }]).unwrap();
        }
        books
    }

    fn noted() -> (tempfile::TempDir, LastPayment) {
        let folder = tempfile::tempdir().unwrap();
        let last = LastPayment::beside(&folder.path().join("solved"));
        (folder, last)
    }

    const FIRST: TxId = TxId([1; 32]);

    #[test]
    fn books_that_have_what_was_sent_may_pay() {
        let (_folder, last) = noted();
        assert!(last.check(&books(None)).is_ok(), "nothing was sent");
        last.note(PaymentNumber(1), FIRST).unwrap();
        assert!(last.check(&books(Some(FIRST))).is_ok());
        last.note(PaymentNumber(1), FIRST).unwrap();
        assert!(last.check(&books(Some(FIRST))).is_ok(), "it is sent again as long as it is not in a block");
    }

    #[test]
    fn books_that_lack_what_was_sent_may_not_pay() {
        #[track_caller]
        fn check(number: u64, books: &MemoryAccounts) {
            let (_folder, last) = noted();
            last.note(PaymentNumber(number), FIRST).unwrap();
            assert!(matches!(last.check(books), Err(LastPaymentError::OlderBooks { transaction: FIRST, .. })));
        }
        check(1, &MemoryAccounts::default());
        check(2, &books(Some(FIRST)));
        check(1, &books(None));
        check(1, &books(Some(TxId([2; 32]))));
    }

    #[test]
    fn an_earlier_payment_does_not_take_the_place_of_a_later_one() {
        let (_folder, last) = noted();
        last.note(PaymentNumber(2), TxId([2; 32])).unwrap();
        last.note(PaymentNumber(1), FIRST).unwrap();
        assert_eq!(last.read().unwrap(), Some((PaymentNumber(2), TxId([2; 32]))));
    }

    #[test]
    fn a_note_that_cannot_be_read_stops_payments_and_is_not_written_over() {
        let (_folder, last) = noted();
        for text in ["", "1", "1 ab", "x 00"] {
            std::fs::write(&last.file, text).unwrap();
            assert!(matches!(last.check(&books(Some(FIRST))), Err(LastPaymentError::Damaged { .. })), "{text:?}");
            assert!(last.note(PaymentNumber(1), FIRST).is_err());
        }
    }
}
