//! Whose webhooks are called next when there are more calls than places.

use crate::ids::{AppId, UserId, WebhookId};
use std::collections::{HashMap, HashSet};

/// Calls at the same time, of all webhooks.
pub const AT_ONCE: usize = 64;
/// Calls at the same time for the apps of one owner. A receiver may hold a place for 10 s at each
/// call; so nobody's slow receivers hold up the webhooks of others.
pub const AT_ONCE_PER_OWNER: usize = 8;
/// Calls at the same time for one app, so that one app's slow receivers do not hold up the others
/// of its owner.
pub const AT_ONCE_PER_APP: usize = 4;

/// A call of a webhook that is due or under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    pub webhook: WebhookId,
    pub app: AppId,
    /// Who owns the app, or stands for the team that does. `None`: the app is gone; all of those
    /// count as one owner's.
    pub owner: Option<UserId>,
}

/// Returns which of the calls that are `due` to begin now, beside those `under_way`: never two of
/// one webhook, and first for the owners, and of those the apps, that have the fewest under way;
/// else in the order given.
#[must_use]
pub fn calls_to_begin(due: &[Call], under_way: &HashSet<Call>) -> Vec<usize> {
    let mut webhooks: HashSet<WebhookId> = under_way.iter().map(|call| call.webhook).collect();
    let mut owners: HashMap<Option<UserId>, usize> = HashMap::new();
    let mut apps: HashMap<AppId, usize> = HashMap::new();
    for call in under_way {
        *owners.entry(call.owner).or_default() += 1;
        *apps.entry(call.app).or_default() += 1;
    }
    let mut chosen = Vec::new();
    for _ in under_way.len()..AT_ONCE {
        let held = |call: &Call| {
            (
                owners.get(&call.owner).copied().unwrap_or(0),
                apps.get(&call.app).copied().unwrap_or(0),
            )
        };
        let may_begin = |call: &Call| {
            let (by_owner, by_app) = held(call);
            !webhooks.contains(&call.webhook)
                && by_owner < AT_ONCE_PER_OWNER
                && by_app < AT_ONCE_PER_APP
        };
        let waiting = due.iter().enumerate().filter(|(_, call)| may_begin(call));
        let Some((index, call)) = waiting.min_by_key(|(index, call)| (held(call), *index)) else {
            break;
        };
        chosen.push(index);
        webhooks.insert(call.webhook);
        *owners.entry(call.owner).or_default() += 1;
        *apps.entry(call.app).or_default() += 1;
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(app: AppId, owner: Option<UserId>, count: usize) -> Vec<Call> {
        let call = || Call { webhook: WebhookId::random(), app, owner };
        std::iter::repeat_with(call).take(count).collect()
    }

    fn chosen(due: &[Call], under_way: &[Call]) -> Vec<Call> {
        let under_way = under_way.iter().copied().collect();
        calls_to_begin(due, &under_way).into_iter().map(|index| due[index]).collect()
    }

    #[test]
    fn one_owners_slow_receivers_leave_places_for_everybody_else() {
        let (eve, ada) = (Some(UserId::random()), Some(UserId::random()));
        let slow: Vec<Call> = (0..20).flat_map(|_| calls(AppId::random(), eve, 10)).collect();
        let begun = chosen(&slow, &[]);
        assert_eq!(begun.len(), AT_ONCE_PER_OWNER);
        let due = [slow.as_slice(), &calls(AppId::random(), ada, 1)].concat();
        assert_eq!(chosen(&due, &begun), due[due.len() - 1..]);
    }

    #[test]
    fn one_apps_slow_receivers_leave_places_for_its_owners_others() {
        let ada = Some(UserId::random());
        let slow = calls(AppId::random(), ada, 10);
        let begun = chosen(&slow, &[]);
        assert_eq!(begun, slow[..AT_ONCE_PER_APP]);
        let others = calls(AppId::random(), ada, 1);
        assert_eq!(chosen(&[slow, others.clone()].concat(), &begun), others);
    }

    #[test]
    fn nobody_is_called_twice_at_once_and_the_oldest_comes_first() {
        let ada = Some(UserId::random());
        let due = calls(AppId::random(), ada, 3);
        assert_eq!(chosen(&due, &[]), due);
        assert_eq!(chosen(&due, &due[..1]), due[1..]);
        assert_eq!(chosen(&[due[0], due[0]], &[]), due[..1]);
    }

    #[test]
    fn places_are_shared_and_those_of_gone_apps_are_one_owners() {
        let gone: Vec<Call> = (0..20).flat_map(|_| calls(AppId::random(), None, 1)).collect();
        assert_eq!(chosen(&gone, &[]).len(), AT_ONCE_PER_OWNER);
        let crowd: Vec<Call> =
            (0..40).flat_map(|_| calls(AppId::random(), Some(UserId::random()), 2)).collect();
        let begun = chosen(&crowd, &[]);
        assert_eq!(begun.len(), AT_ONCE);
        let owners: HashSet<_> = begun.iter().map(|call| call.owner).collect();
        assert_eq!(owners.len(), 40, "everybody has one before anybody has two");
        assert_eq!(chosen(&gone, &begun), []);
    }
}
