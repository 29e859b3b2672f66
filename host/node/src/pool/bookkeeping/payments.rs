//! A payment's way: planned, signed, sent, followed until it is final, each step booked before the next is taken.
//!
//! What a wallet or a node does not do now is tried again after pauses that double, and told once. Nothing is given back for that: the sum is
//! still owed, and who is paid by it is decided. Books that do not have the payment which was sent last make none.

use super::super::upstream::WalletError;
use super::last_payment::LastPayment;
use super::{Bookkeeping, BooksFailure};
use adit_pool::money::payments::{self, Sighting, Step};
use adit_primitives::accounts::{OperatorChange, Payment, PaymentNumber};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How soon a step that came to nothing is tried again: at first, and at most, after pauses that double.
const PAUSE: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What one run remembers of payments.
#[derive(Default)]
pub(super) struct Paying {
    put_off: BTreeMap<PaymentNumber, PutOff>,
    /// Whether the books have the payment that was sent last: they are asked until they do, and nobody exchanges books that are open.
    may_pay: bool,
    /// Why they may not pay, as far as the operator was told.
    refusal: Option<String>,
}

/// A payment whose next step came to nothing.
struct PutOff {
    problem: String,
    pause: Duration,
    again: Instant,
}

impl Paying {
    fn is_due(&self, number: PaymentNumber) -> bool {
        self.put_off.get(&number).is_none_or(|put_off| put_off.again <= Instant::now())
    }

    /// Puts a payment off. Tells whether that is news for the operator.
    fn put_off(&mut self, number: PaymentNumber, problem: String) -> bool {
        let before = self.put_off.get(&number);
        let is_news = before.is_none_or(|before| before.problem != problem);
        let pause = before.map_or(PAUSE, |before| (before.pause * 2).min(PAUSE_MAX));
        self.put_off.insert(number, PutOff { problem, pause, again: Instant::now() + pause });
        is_news
    }
}

impl Bookkeeping {
    /// Tells whether payments may be made by these books.
    pub(super) async fn may_pay(self: &Arc<Self>, paying: &mut Paying) -> bool {
        if paying.may_pay {
            return true;
        }
        match self.step(|keeper| Ok(keeper.last_payment().check(&*keeper.books)?)).await {
            Ok(()) => paying.may_pay = true,
            Err(error) => {
                let refusal = Some(error.to_string());
                if paying.refusal != refusal {
                    tracing::error!(%error, "no payment is made");
                    paying.refusal = refusal;
                }
            }
        }
        paying.may_pay
    }

    fn last_payment(&self) -> LastPayment {
        LastPayment::beside(self.notes.folder())
    }

    pub(super) async fn plan_payment(self: &Arc<Self>) {
        let now = (self.clock)();
        match self.step(move |keeper| Ok(payments::plan(&*keeper.books, &keeper.terms().payments, now)?)).await {
            Ok(Some(Payment { number, outputs, .. })) => {
                tracing::info!(%number, outputs = outputs.len(), "a payment is planned");
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "no payment is planned"),
        }
    }

    pub(super) async fn follow_payments(self: &Arc<Self>, paying: &mut Paying) {
        let open = match self.step(|keeper| Ok(keeper.books.payments_open()?)).await {
            Ok(open) => open,
            Err(error) => return tracing::error!(%error, "the books do not say which payments are open"),
        };
        paying.put_off.retain(|number, _| open.iter().any(|payment| payment.number == *number));
        for payment in open {
            let number = payment.number;
            if !paying.is_due(number) {
                continue;
            }
            if let Err(error) = self.follow_payment(payment, paying).await {
                tracing::error!(%number, %error, "a payment waits");
            }
        }
    }

    /// Takes one payment as far as it goes now.
    async fn follow_payment(self: &Arc<Self>, payment: Payment, paying: &mut Paying) -> Result<(), BooksFailure> {
        let number = payment.number;
        let mut step = payments::next(&payment);
        loop {
            step = match step {
                Step::Make { outputs } => match self.upstreams.sign(&outputs).await {
                    Ok(signed) => {
                        paying.put_off.remove(&number);
                        let (now, fee) = ((self.clock)(), signed.fee);
                        tracing::info!(%number, transaction = %signed.id, fee = fee.to_atoms(), "a payment is signed");
                        self.step(move |keeper| Ok(payments::signed(&*keeper.books, number, signed, now)?)).await?
                    }
                    Err(WalletError::Address { address }) => return self.leave_out(number, address).await,
                    Err(error) => {
                        let problem = error.to_string();
                        if paying.put_off(number, problem.clone()) {
                            tracing::warn!(%number, problem, "the payment is not made now: it waits, and is tried again");
                        }
                        return Ok(());
                    }
                },
                Step::LookUp { id } => match self.upstreams.sighting(id).await {
                    Ok(sighting) => {
                        if sighting != Sighting::Unknown {
                            paying.put_off.remove(&number);
                        }
                        let now = (self.clock)();
                        let observe = move |keeper: &Self| {
                            Ok(payments::observed(&*keeper.books, number, sighting, &keeper.terms().payments, now)?)
                        };
                        self.step(observe).await?
                    }
                    Err(error) => {
                        tracing::debug!(%number, %error, "what became of the payment is not known now");
                        return Ok(());
                    }
                },
                Step::Send { id, raw } => {
                    self.step(move |keeper| Ok(keeper.last_payment().note(number, id)?)).await?;
                    if let Err(error) = self.upstreams.send(&raw).await
                        && paying.put_off(number, error.to_string())
                    {
                        tracing::warn!(
                            %number, transaction = %id, %error,
                            "the payment was not taken: it is looked up before it is sent again"
                        );
                    }
                    return self.step(move |keeper| Ok(payments::sent(&*keeper.books, number)?)).await;
                }
                Step::Wait => return Ok(()),
                Step::Done { state } => {
                    tracing::info!(%number, %state, "a payment");
                    self.metrics.payments.inc();
                    return Ok(());
                }
            };
        }
    }

    /// Takes a payment back that has an output which the wallet does not pay. The others are paid without it.
    async fn leave_out(self: &Arc<Self>, number: PaymentNumber, address: String) -> Result<(), BooksFailure> {
        tracing::error!(%number, address, "the wallet does not pay an address: the payment is planned again without it");
        let note = OperatorChange {
            time: (self.clock)(),
            who: "adit".to_owned(),
            what: format!("payment {number} cancelled"),
            reason: format!("the wallet does not pay {address}"),
        };
        self.terms.lock().unwrap_or_else(PoisonError::into_inner).payments.unpayable.insert(address);
        self.step(move |keeper| Ok(payments::cancel(&*keeper.books, number, Some(note.clone()), note.time)?)).await
    }
}
