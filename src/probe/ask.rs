//! One probe: a question to an address, and its answer within the timeout.

use std::sync::Arc;
use std::time::Duration;

use crate::config::model::ProbeAction;
use crate::dial::Way;
#[cfg(test)]
use crate::location::Location;
use crate::probe::answer::Answer;
use crate::probe::exec::{self, Program, Turn};
use crate::probe::grpc::{self, Check};
use crate::probe::http::{self, Get};
use crate::probe::plan::Aim;
use crate::probe::tcp;
use crate::probe::within::within;
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
    Tcp(Box<Way>),
    Grpc(Box<Check>),
    Exec(Arc<Program>),
    /// It cannot be asked at all: always a failure, for this reason.
    None(Answer),
}

impl Question {
    /// Makes a probe ready.
    pub(crate) fn new(aim: &Aim) -> Self {
        let means = match &aim.probe.action {
            ProbeAction::TcpSocket { .. } => Means::Tcp(Box::new(aim.way())),
            ProbeAction::HttpGet { path, headers, .. } => {
                match Get::try_new(aim.way(), path, headers) {
                    Ok(get) => Means::Http(Box::new(get)),
                    Err(_) => Means::None(Answer::failure(format!("path {path} is not valid"))),
                }
            }
            ProbeAction::Grpc { service, .. } => {
                match Check::try_new(aim.way(), service, aim.probe.timeout) {
                    Ok(check) => Means::Grpc(Box::new(check)),
                    Err(_) => Means::None(Answer::failure(format!("{} is no authority", aim.to))),
                }
            }
            ProbeAction::Exec { command } => {
                let pool = aim.pool.clone().unwrap_or_default();
                Means::Exec(Arc::new(Program::new(command, pool, &aim.to)))
            }
        };
        Self {
            timeout: aim.probe.timeout,
            means,
        }
    }

    /// Where it goes, if anywhere.
    #[cfg(test)]
    pub(crate) fn to(&self) -> Option<Location> {
        match &self.means {
            Means::Http(get) => Some(get.to().clone()),
            Means::Tcp(way) => Some(way.to.clone()),
            Means::Grpc(check) => Some(check.to().clone()),
            Means::Exec(_) | Means::None(_) => None,
        }
    }

    /// Waits until it may be asked: only so many programs run at once. It has ended when what this gives is dropped.
    pub(crate) async fn turn(&self) -> Option<Turn> {
        match self.means {
            Means::Exec(_) => exec::turn().await,
            Means::Http(_) | Means::Tcp(_) | Means::Grpc(_) | Means::None(_) => None,
        }
    }
}

/// Sends a probe, on a connection of its own or to a program, and waits for the answer. Dropped on the way, it closes
/// the connection or kills the program.
pub(crate) async fn ask(question: Arc<Question>) -> Answer {
    let timeout = question.timeout;
    let answer = match &question.means {
        Means::Http(get) => within(timeout, http::ask(get)).await,
        Means::Tcp(way) => within(timeout, tcp::ask(way)).await,
        Means::Grpc(check) => within(timeout, grpc::ask(check)).await,
        Means::Exec(program) => exec::ask(program, timeout).await,
        Means::None(answer) => Some(answer.clone()),
    };
    answer.unwrap_or_else(|| {
        let timeout = print_duration(timeout);
        Answer::failure(format!("timeout after {timeout}"))
    })
}
