//! Who is preferred, by each strategy.

use super::{Failover, FailoverStrategy};
use crate::id::Moment;
use std::time::Duration;

impl Failover {
    /// Returns the best of those that `fit`: the first of the list among equals.
    pub(super) fn best(&self, now: Moment, fit: impl Fn(usize) -> bool) -> Option<usize> {
        let key = |member: &usize| {
            let health = &self.health[*member];
            match self.settings.strategy {
                FailoverStrategy::Geographic => (self.is_abroad(*member), health.latency()),
                FailoverStrategy::Adaptive => (false, health.cost(now)),
                _ => (false, Duration::ZERO),
            }
        };
        (0..self.members.len()).filter(|member| fit(*member)).min_by_key(key)
    }

    /// Tells whether a member is to take the turn from another, though that is well: by the list, by the region, or for being faster by a margin.
    pub(super) fn is_better(&self, now: Moment, member: usize, than: usize) -> bool {
        let faster = |mine: Duration, other: Duration| {
            mine.as_micros() * (100 + u128::from(self.settings.margin_percent)) < other.as_micros() * 100
        };
        let (mine, other) = (&self.health[member], &self.health[than]);
        match self.settings.strategy {
            FailoverStrategy::Immediate | FailoverStrategy::Graceful => member < than,
            FailoverStrategy::Weighted => false,
            FailoverStrategy::Geographic => match (self.is_abroad(member), self.is_abroad(than)) {
                (false, true) => true,
                (true, false) => false,
                _ => faster(mine.latency(), other.latency()),
            },
            FailoverStrategy::Adaptive => faster(mine.cost(now), other.cost(now)),
        }
    }

    /// Tells whether it is speed, and not the list or the region, that speaks for `to`.
    pub(super) fn is_faster_reason(&self, from: usize, to: usize) -> bool {
        match self.settings.strategy {
            FailoverStrategy::Geographic => self.is_abroad(from) == self.is_abroad(to),
            strategy => strategy == FailoverStrategy::Adaptive,
        }
    }

    /// Tells whether trying a member is of use: it failed, or could be preferred to the one that has the turn.
    pub(super) fn wants_probe(&self, member: usize) -> bool {
        let by_list = matches!(self.settings.strategy, FailoverStrategy::Immediate | FailoverStrategy::Graceful);
        let preferable = !by_list || self.current.is_none_or(|current| member < current);
        !self.health[member].is_struck()
            && (self.current != Some(member) && preferable || !self.health[member].is_closed())
    }

    pub(super) fn probe_due(&self, member: usize) -> Moment {
        self.health[member].probe_due(self.settings.probe_interval)
    }

    /// Gives the turn by smooth weighted round robin (as in nginx): everybody earns its weight, scaled by its health, and who has most pays for all.
    pub(super) fn weighted(&mut self, now: Moment) -> Option<usize> {
        let well: Vec<_> = (0..self.members.len()).filter(|member| self.is_well(now, *member)).collect();
        let mut total = 0_i64;
        for member in &well {
            let health = &mut self.health[*member];
            let share = u64::from(self.members[*member].weight.max(1)) * health.answered_permille();
            let share = i64::try_from(share).expect("32 bits times 1,000");
            health.credit = health.credit.saturating_add(share);
            total = total.saturating_add(share);
        }
        let most = well.into_iter().rev().max_by_key(|member| self.health[*member].credit)?;
        self.health[most].credit = self.health[most].credit.saturating_sub(total);
        Some(most)
    }

    fn is_abroad(&self, member: usize) -> bool {
        self.settings.region.is_none() || self.members[member].region != self.settings.region
    }
}
