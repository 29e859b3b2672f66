//! Registration: a plain plot counts some blocks after a header has named it.

use crate::farm::{Attempt, Chain, Plain, Plot, plain_chain, rule, win, win_registering, winning};
use adit_plugin_sdk::space::{PlotPlace, Registration};
use adit_plugin_sdk::{BlockId, Consensus, Hash256, Height, ProofOfSpace, Timestamp, Violation};

/// How old a registration must be on these chains.
const AGE: u64 = 3;

/// Says where the plot of an attempt was registered.
fn registered(attempt: &mut Attempt, at: u64) {
    match &mut attempt.claim.place {
        PlotPlace::Plain { registered, .. } => *registered = Height(at),
        PlotPlace::Hard { .. } => panic!("a plain plot"),
    }
}

/// Lets a plot win over `parent`, with a registration at a height.
fn win_as(chain: &mut Chain, plot: &Plain, parent: BlockId, at: u64) -> Result<BlockId, Violation> {
    let (mut attempt, _) = winning(chain, plot, parent, Timestamp::default());
    registered(&mut attempt, at);
    let header = attempt.header(chain, plot.owner())?;
    chain.place(&header)
}

/// Lets a plot win over `parent` from a time on, registering nothing.
fn win_unregistered(chain: &mut Chain, plot: &Plain, parent: BlockId, from: Timestamp) -> Result<BlockId, Violation> {
    let (mut attempt, _) = winning(chain, plot, parent, from);
    attempt.claim.registrations.clear();
    let header = attempt.header(chain, plot.owner())?;
    chain.place(&header)
}

/// A chain whose block 1 is won by the first plot, whose block 3 registers the second, and whose next block is the first that needs a registration.
fn grown() -> (Chain, [Plain; 2], BlockId) {
    let mut chain = plain_chain(&[]);
    let plots = [Plain::new(1, 1), Plain::new(2, 1)];
    let mut tip = chain.genesis();
    tip = win(&mut chain, &plots[0], tip);
    tip = win(&mut chain, &Plain::new(7, 1), tip);
    let more = [plots[1].registration(), Plain::new(9, 9).registration()];
    tip = win_registering(&mut chain, &Plain::new(7, 1), tip, &more);
    (chain, plots, tip)
}

#[test]
fn a_chain_begins_with_plots_that_nobody_registered() {
    let mut chain = plain_chain(&[]);
    let plot = Plain::new(1, 1);
    let mut tip = chain.genesis();
    for _ in 0..AGE {
        let (_, asked) = winning(&chain, &plot, tip, Timestamp::default());
        assert_eq!((asked.registered_by, asked.registrations_max), (None, 8));
        assert_eq!(rule(win_as(&mut chain, &plot, tip, 1)).as_deref(), Some("registration"));
        assert_eq!(
            rule(win_unregistered(&mut chain, &plot, tip, Timestamp::default())).as_deref(),
            Some("registration")
        );
        tip = win_as(&mut chain, &plot, tip, 0).expect("no registration is needed");
    }
    let (_, asked) = winning(&chain, &plot, tip, Timestamp::default());
    assert_eq!(asked.registered_by, Some(Height(1)));
    assert_eq!(rule(win_as(&mut chain, &plot, tip, 0)).as_deref(), Some("registration"));
    win_as(&mut chain, &plot, tip, 1).expect("it registered itself");
}

#[test]
fn a_plot_counts_once_its_registration_is_old_enough() {
    let (mut chain, [old, young], mut tip) = grown();
    // Height 4: what was registered by height 1.
    assert_eq!(rule(win_as(&mut chain, &young, tip, 3)).as_deref(), Some("registration"));
    tip = win_as(&mut chain, &old, tip, 1).expect("registered three blocks ago");
    assert_eq!(rule(win_as(&mut chain, &young, tip, 3)).as_deref(), Some("registration"));
    tip = win_as(&mut chain, &old, tip, 1).expect("registered four blocks ago");
    // Height 6: what was registered by height 3.
    win_as(&mut chain, &young, tip, 3).expect("registered three blocks ago");
}

#[test]
fn a_plot_was_registered_where_its_owner_says() {
    let (mut chain, [old, _], mut tip) = grown();
    for _ in 0..2 {
        tip = win_as(&mut chain, &old, tip, 1).expect("registered at height 1");
    }
    for wrong in [0, 2, 3] {
        assert_eq!(rule(win_as(&mut chain, &old, tip, wrong)).as_deref(), Some("registration"), "height {wrong}");
    }
    for late in [4, 5, 6, 1_000, u64::MAX] {
        assert_eq!(rule(win_as(&mut chain, &old, tip, late)).as_deref(), Some("registration"), "height {late}");
    }
}

#[test]
fn where_nobody_has_won_for_long_a_plot_that_nobody_registered_goes_on_with_the_chain() {
    let mut chain = plain_chain(&[("registration-rounds", 20.into())]);
    let (gone, new) = (Plain::new(1, 1), Plain::new(2, 1));
    let mut tip = chain.genesis();
    for height in 1..=AGE + 1 {
        tip = win_as(&mut chain, &gone, tip, u64::from(height > AGE)).expect("the first plot is registered");
    }
    let begun = chain.rules().decode(chain.header(tip)).expect("a placed header decodes").time.to_millis();
    let rounds = |rounds: u64| Timestamp::from_millis(begun + 5_000 * rounds);
    let (early, late) = (rounds(0), rounds(20));
    let (_, asked) = winning(&chain, &new, tip, late);
    assert_eq!(asked.registered_by, None);
    assert_eq!(rule(win_unregistered(&mut chain, &new, tip, late)).as_deref(), Some("registration"));
    let (attempt, asked) = winning(&chain, &new, tip, early);
    let verdict = attempt.header(&chain, new.owner()).and_then(|header| chain.place(&header));
    assert_eq!(rule(verdict).is_some(), asked.registered_by.is_some(), "in an early round it counts not yet");
    let (attempt, _) = winning(&chain, &new, tip, late);
    let header = attempt.header(&chain, new.owner()).expect("a sound draft");
    tip = chain.place(&header).expect("the chain goes on");
    assert_eq!(chain.rules().registered(chain.header(tip)), Ok(vec![new.registration()]));
}

#[test]
fn another_plot_of_the_owner_is_another_registration() {
    let (mut chain, _, tip) = grown();
    assert_eq!(rule(win_as(&mut chain, &Plain::new(1, 2), tip, 1)).as_deref(), Some("registration"));
}

#[test]
fn a_registration_holds_on_its_own_branch_alone() {
    let (mut chain, [old, _], _) = grown();
    let mut tip = chain.genesis();
    for _ in 0..AGE {
        tip = win(&mut chain, &Plain::new(3, 1), tip);
    }
    assert_eq!(rule(win_as(&mut chain, &old, tip, 1)).as_deref(), Some("registration"));
}

#[test]
fn a_header_says_which_plots_it_registers() {
    let (chain, [_, young], tip) = grown();
    let of = |header: &[u8]| chain.rules().registered(header).expect("the header is sound");
    let registered = [Plain::new(7, 1), young, Plain::new(9, 9)].map(|plot| plot.registration());
    assert_eq!(of(chain.header(tip)), registered);
    assert_eq!(of(chain.header(chain.genesis())), []);
    assert!(chain.rules().registered(&chain.header(tip)[..90]).is_err());
}

#[test]
fn a_header_registers_no_more_than_allowed_none_twice_and_none_that_cannot_be() {
    let (mut chain, [old, _], tip) = grown();
    let plot = |number: u8| Registration { seed: Hash256([number; 32]), ..old.registration() };
    let mut check = |plots: Vec<Registration>, want: Option<&str>| {
        let (mut attempt, _) = winning(&chain, &old, tip, Timestamp::default());
        registered(&mut attempt, 1);
        attempt.claim.registrations = plots;
        let verdict = attempt.header(&chain, old.owner()).and_then(|header| chain.place(&header));
        assert_eq!(rule(verdict).as_deref(), want);
    };
    check((0..8).map(plot).collect(), None);
    check((0..9).map(plot).collect(), Some("registrations"));
    check((0..200).map(plot).collect(), Some("header-length"));
    check(vec![plot(1), plot(2), plot(1)], Some("registrations"));
    for leaves in [0, 1_000, 1_025, u64::MAX] {
        check(vec![plot(1), Registration { leaves, ..plot(2) }], Some("plot-size"));
    }
}
