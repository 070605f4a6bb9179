//! What serves beside a test, on a thread and a runtime of its own, until it is dropped.

use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::oneshot;

/// What serves. All that it has spawned ends with it: what is open then breaks off.
#[derive(Debug)]
pub(crate) struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Serves by what this makes on the thread.
    pub(crate) fn serve<F>(serving: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()>,
    {
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default())
                .unwrap();
            runtime.block_on(async move {
                tokio::select! {
                    () = serving() => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
        let joined = self.thread.take().map(JoinHandle::join);
        assert!(
            joined.is_none_or(|joined| joined.is_ok()) || thread::panicking(),
            "what served in the background panicked"
        );
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop();
    }
}
