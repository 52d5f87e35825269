//! The selection of turns that fit.

/// The selected messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fit {
    /// The index of the first one.
    pub(crate) from: usize,
    /// The tokens of the selection, `fixed` included.
    pub(crate) tokens: u64,
}

/// Selects the newest turns that fit into `room`. `starts` marks the messages that start a turn,
/// `fixed` counts tokens that are always included, and `tokens` counts a message; messages older
/// than the first that does not fit are not counted. None if the newest turn does not fit.
pub(crate) fn fit(
    starts: &[bool],
    fixed: u64,
    room: u64,
    mut tokens: impl FnMut(usize) -> u64,
) -> Option<Fit> {
    let mut whole = None;
    let mut sum = fixed;
    for (at, starts_turn) in starts.iter().enumerate().rev() {
        sum = sum.saturating_add(tokens(at));
        if sum > room {
            return whole;
        }
        // Messages before the first turn belong to none and are not selected.
        if *starts_turn {
            whole = Some(Fit {
                from: at,
                tokens: sum,
            });
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A message: the number of its turn, its tokens, and the call that it makes or answers.
    #[derive(Debug, Clone)]
    struct Said {
        turn: usize,
        starts: bool,
        tokens: u64,
        call: Option<usize>,
    }

    fn conversation() -> impl Strategy<Value = Vec<Said>> {
        let turn = (
            0..40_u64,
            prop::collection::vec((0..40_u64, 0..40_u64), 0..4),
            0..40_u64,
        );
        prop::collection::vec(turn, 1..8).prop_map(|turns| {
            let mut said = Vec::new();
            for (number, (asked, calls, answered)) in turns.into_iter().enumerate() {
                let mut say = |starts, tokens, call| {
                    said.push(Said {
                        turn: number,
                        starts,
                        tokens,
                        call,
                    });
                };
                say(true, asked, None);
                for (call, (made, told)) in calls.into_iter().enumerate() {
                    say(false, made, Some(number * 10 + call));
                    say(false, told, Some(number * 10 + call));
                }
                say(false, answered, None);
            }
            said
        })
    }

    proptest! {
        #[test]
        fn whole_turns_are_shown_the_newest_first_and_never_too_many(
            said in conversation(), fixed in 0..60_u64, room in 0..400_u64,
        ) {
            let starts: Vec<_> = said.iter().map(|one| one.starts).collect();
            let sum = |from: usize| fixed + said[from..].iter().map(|one| one.tokens).sum::<u64>();
            let newest = starts.iter().rposition(|starts| *starts).unwrap();
            let Some(fitted) = fit(&starts, fixed, room, |at| said[at].tokens) else {
                prop_assert!(sum(newest) > room);
                return Ok(());
            };
            prop_assert!(fitted.tokens == sum(fitted.from) && fitted.tokens <= room);
            prop_assert!(starts[fitted.from], "a turn is shown whole");
            // No call without its result, and no result without its call.
            for one in &said[fitted.from..] {
                let kin = said.iter().filter(|other| one.call.is_some() && other.call == one.call);
                prop_assert!(kin.clone().count() == said[fitted.from..].iter()
                    .filter(|other| one.call.is_some() && other.call == one.call).count());
            }
            // One more turn would have been too many.
            if fitted.from > 0 {
                let before = starts[..fitted.from].iter().rposition(|starts| *starts).unwrap();
                prop_assert!(sum(before) > room);
                prop_assert!(said[before].turn + 1 == said[fitted.from].turn);
            }
        }
    }

    #[test]
    fn what_has_no_room_is_not_counted() {
        let mut counted = Vec::new();
        let starts = [true, false, true, false];
        let fitted = fit(&starts, 1, 25, |at| {
            counted.push(at);
            10
        });
        assert_eq!(
            fitted,
            Some(Fit {
                from: 2,
                tokens: 21
            })
        );
        assert_eq!(counted, [3, 2, 1]);
    }
}
