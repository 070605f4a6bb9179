//! What control has asked of the thread and the thread has not done yet.

use super::format::Style;
use super::lanes::Marks;
use super::output::Output;

/// What control wants of the thread.
#[derive(Debug, Default)]
pub(super) struct Orders {
    pub(super) steps: Vec<Step>,
    pub(super) close: bool,
}

/// A change, for what is logged after it.
#[derive(Debug)]
pub(super) struct Step {
    /// It holds for what was logged after these records.
    pub(super) after: Marks,
    pub(super) output: Option<Output>,
    pub(super) style: Option<Style>,
    pub(super) reopen: bool,
}

/// So many changes may wait for a thread that is stuck; further ones take the place of the last.
const STEPS: usize = 16;

impl Orders {
    /// Adds a change.
    pub(super) fn add(&mut self, step: Step) {
        if self.steps.len() < STEPS {
            self.steps.push(step);
        } else if let Some(last) = self.steps.last_mut() {
            last.after = step.after;
            last.output = step.output.or(last.output.take());
            last.style = step.style.or(last.style);
            last.reopen |= step.reopen;
        }
    }
}

/// Whether any of them goes to another output.
pub(super) fn changes_output(steps: &[Step]) -> bool {
    steps.iter().any(|step| step.output.is_some())
}
