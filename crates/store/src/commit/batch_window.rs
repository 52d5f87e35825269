//! The batch window: where events arrive fast, their commit waits a little for more of them,
//! because a commit costs several times as much as one more row in it.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// The divisor for the weight of one group in the average: an eighth.
const WEIGHT: u32 = 8;

/// The rate of writes, and the wait that follows from it.
pub(super) struct BatchWindow {
    /// The longest wait of a write for others.
    most: Duration,
    /// The average time between two writes, bounded.
    gap: Duration,
    /// The time at which the last group was complete.
    last: Instant,
}

impl BatchWindow {
    /// Creates a window of `most`, to which the runtime's clock adds up to a millisecond.
    pub(super) fn new(most: Duration) -> Self {
        Self {
            most,
            gap: most,
            last: Instant::now(),
        }
    }

    /// Waits until as many writes are taken as usually arrive within the longest wait. A write that
    /// is likely to be alone does not wait, and neither does a group that contains one that
    /// `is_urgent`.
    pub(super) async fn fill<W>(
        &mut self,
        taken: &mut Vec<W>,
        writes: &mut mpsc::Receiver<W>,
        group: usize,
        is_urgent: impl Fn(&W) -> bool,
    ) {
        let wanted = self.expected().min(group);
        let (before, mut looked_at, mut in_time) = (taken.len(), 0, true);
        if before < wanted {
            let mut over = std::pin::pin!(sleep(self.most));
            while in_time && taken.len() < wanted && !taken[looked_at..].iter().any(&is_urgent) {
                looked_at = taken.len();
                tokio::select! {
                    biased;
                    more = writes.recv_many(taken, group - looked_at) => in_time = more > 0,
                    () = &mut over => in_time = false,
                }
            }
        }
        self.note(taken.len());
        if !in_time && taken.len() == before {
            // There is no other writer: a run has one write under way, and is fast all the same.
            self.gap = self.most;
        }
    }

    fn expected(&self) -> usize {
        let expected = self.most.as_nanos() / self.gap.as_nanos().max(1);
        usize::try_from(expected).unwrap_or(usize::MAX)
    }

    fn note(&mut self, count: usize) {
        let now = Instant::now();
        let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
        // A pause of any length only shows that writes do not arrive fast.
        let gap = ((now - self.last) / count).min(self.most * WEIGHT);
        self.gap = (self.gap * (WEIGHT - 1) + gap) / WEIGHT;
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_millis(10);
    const GROUP: usize = 256;

    /// The number of writes in the next group, and its wait.
    async fn next(
        window: &mut BatchWindow,
        writes: &mut mpsc::Receiver<bool>,
    ) -> (usize, Duration) {
        let mut taken = Vec::new();
        writes.recv_many(&mut taken, GROUP).await;
        let come = Instant::now();
        let is_urgent = |urgent: &bool| *urgent;
        window.fill(&mut taken, writes, GROUP, is_urgent).await;
        (taken.len(), come.elapsed())
    }

    /// Sends a write every `gap`.
    fn writes(gap: Duration, urgent: bool) -> mpsc::Receiver<bool> {
        let (sender, writes) = mpsc::channel(GROUP);
        tokio::spawn(async move {
            while sender.send(urgent).await.is_ok() {
                sleep(gap).await;
            }
        });
        writes
    }

    #[tokio::test(start_paused = true)]
    async fn fast_writes_share_a_window() {
        let mut window = BatchWindow::new(MOST);
        let mut fast = writes(Duration::from_millis(1), false);
        for _ in 0..100 {
            let (_, waited) = next(&mut window, &mut fast).await;
            assert!(waited <= MOST + Duration::from_millis(1));
        }
        let (count, _) = next(&mut window, &mut fast).await;
        assert!((8..=11).contains(&count), "{count}");
    }

    #[tokio::test(start_paused = true)]
    async fn slow_and_urgent_writes_do_not_wait() {
        for (gap_ms, urgent) in [(7, false), (1, true)] {
            let mut window = BatchWindow::new(MOST);
            let mut writes = writes(Duration::from_millis(gap_ms), urgent);
            for _ in 0..100 {
                assert_eq!(next(&mut window, &mut writes).await, (1, Duration::ZERO));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_writer_that_waits_for_each_write_is_seldom_kept_waiting() {
        let (sender, mut writes) = mpsc::channel(1);
        let mut window = BatchWindow::new(MOST);
        let mut kept_waiting = 0;
        for _ in 0..100 {
            sleep(Duration::from_millis(1)).await;
            sender.send(false).await.unwrap();
            let (_, waited) = next(&mut window, &mut writes).await;
            kept_waiting += u32::from(waited > Duration::ZERO);
        }
        assert!(kept_waiting <= 20, "{kept_waiting}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_time_nothing_waits() {
        let mut window = BatchWindow::new(Duration::ZERO);
        let mut fast = writes(Duration::from_millis(1), false);
        for _ in 0..100 {
            assert_eq!(next(&mut window, &mut fast).await, (1, Duration::ZERO));
        }
    }
}
