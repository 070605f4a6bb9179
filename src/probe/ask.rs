//! One probe: a question to an address, and its answer within the timeout.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::config::model::ProbeAction;
use crate::probe::answer::Answer;
use crate::probe::http::{self, Get};
use crate::probe::plan::Aim;
use crate::probe::tcp;
use crate::units::print_duration;

/// A probe made ready to be sent again and again.
#[derive(Debug)]
pub(crate) struct Question {
    timeout: Duration,
    means: Means,
}

#[derive(Debug)]
enum Means {
    Http(Box<Get>),
    Tcp(std::net::SocketAddr),
    /// It cannot be asked at all: always a failure, for this reason.
    None(Answer),
}

impl Question {
    /// Makes a probe ready.
    pub(crate) fn new(aim: &Aim) -> Self {
        let means = match &aim.probe.action {
            ProbeAction::TcpSocket { .. } => Means::Tcp(aim.to),
            ProbeAction::HttpGet { path, headers, .. } => {
                match Get::try_new(aim.to, path, headers) {
                    Ok(get) => Means::Http(Box::new(get)),
                    Err(_) => Means::None(Answer::failure(format!("path {path} is not valid"))),
                }
            }
        };
        Self {
            timeout: aim.probe.timeout,
            means,
        }
    }

    /// Where it goes, if anywhere.
    #[cfg(test)]
    pub(crate) fn to(&self) -> Option<std::net::SocketAddr> {
        match &self.means {
            Means::Http(get) => Some(get.to()),
            Means::Tcp(to) => Some(*to),
            Means::None(_) => None,
        }
    }
}

/// Sends a probe on a connection of its own and waits for the answer. Dropped on the way, it closes the connection.
pub(crate) async fn ask(question: Arc<Question>) -> Answer {
    let answer = async {
        match &question.means {
            Means::Http(get) => http::ask(get).await,
            Means::Tcp(to) => tcp::ask(*to).await,
            Means::None(answer) => answer.clone(),
        }
    };
    match within(question.timeout, answer).await {
        Some(answer) => answer,
        None => {
            let timeout = print_duration(question.timeout);
            Answer::failure(format!("timeout after {timeout}"))
        }
    }
}

/// How many times within a timeout the clock is looked at.
const SLICES: u32 = 8;

/// Waits for the work at most so long, not counting the time in which this thread did not run.
///
/// A thread that is kept from running wakes to find both the answer and the end of the timeout behind it, or, worse,
/// only the first step of the exchange done. So the timeout is waited for in slices, each begun when the one before
/// was seen to end: a stall costs at most the rest of one slice, and after it the work always gets its turn first.
async fn within<T>(timeout: Duration, work: impl Future<Output = T>) -> Option<T> {
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
