//! A timeout that is fair to what is waited for.

use std::pin::pin;
use std::time::Duration;

/// How many times within a timeout the clock is looked at.
const SLICES: u32 = 8;

/// Waits for the work at most so long, not counting the time in which this thread did not run.
///
/// A thread that is kept from running wakes to find both the answer and the end of the timeout behind it, or, worse,
/// only the first step of the exchange done. So the timeout is waited for in slices, each begun when the one before
/// was seen to end: a stall costs at most the rest of one slice, and after it the work always gets its turn first.
pub(crate) async fn within<T>(timeout: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    for _ in 0..SLICES {
        if let Ok(done) = tokio::time::timeout(timeout / SLICES, work.as_mut()).await {
            return Some(done);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use tokio::time::{Instant, advance, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_takes_longer_than_the_timeout_is_given_up() {
        let began = Instant::now();
        let done = within(Duration::from_secs(1), sleep(Duration::from_secs(2))).await;
        assert_eq!(done, None);
        let took = began.elapsed();
        assert!(
            took >= Duration::from_secs(1) && took < Duration::from_millis(1_020),
            "{took:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_the_thread_did_not_run_is_not_counted() {
        let (tell, told) = oneshot::channel();
        let waiting = tokio::spawn(within(Duration::from_secs(1), told));
        tokio::task::yield_now().await;
        advance(Duration::from_secs(30)).await;
        sleep(Duration::from_millis(500)).await;
        tell.send("answer").unwrap();
        assert_eq!(waiting.await.unwrap(), Some(Ok("answer")));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_came_while_the_thread_did_not_run_counts() {
        let (tell, told) = oneshot::channel();
        let waiting = tokio::spawn(within(Duration::from_secs(1), told));
        sleep(Duration::from_millis(990)).await;
        tell.send("answer").unwrap();
        advance(Duration::from_secs(30)).await;
        assert_eq!(waiting.await.unwrap(), Some(Ok("answer")));
    }
}
