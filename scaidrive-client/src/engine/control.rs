//! Pausing, going on and stopping.

use tokio::sync::watch;

use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Running,
    Paused,
    Stopping,
}

/// What an engine listens to between steps.
#[derive(Clone, Debug)]
pub struct Control(watch::Receiver<Mode>);

/// What an engine is told with. An engine whose controller is gone runs on.
#[derive(Debug)]
pub struct Controller(watch::Sender<Mode>);

impl Controller {
    /// Returns a controller, and what it controls.
    pub fn new() -> (Self, Control) {
        let (sender, receiver) = watch::channel(Mode::Running);
        (Self(sender), Control(receiver))
    }

    /// Makes engines wait before their next step.
    pub fn pause(&self) {
        self.0.send_replace(Mode::Paused);
    }

    /// Makes engines go on.
    pub fn resume(&self) {
        self.0.send_replace(Mode::Running);
    }

    /// Makes engines stop before their next step.
    pub fn stop(&self) {
        self.0.send_replace(Mode::Stopping);
    }
}

impl Control {
    /// Returns a control that nobody holds.
    pub fn free() -> Self {
        Controller::new().1
    }

    /// Waits as long as it must; fails if it must stop.
    pub async fn check(&mut self) -> Result<()> {
        loop {
            let mode = *self.0.borrow_and_update();
            match mode {
                Mode::Running => return Ok(()),
                Mode::Stopping => return Err(Error::Stopped),
                Mode::Paused => {
                    if self.0.changed().await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Waits until it must stop.
    pub async fn stopped(&mut self) {
        if self.0.wait_for(|mode| *mode == Mode::Stopping).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_paused_engine_goes_on_when_it_may_and_stops_when_it_must() {
        let (controller, mut control) = Controller::new();
        controller.pause();
        {
            let mut waiting = std::pin::pin!(control.check());
            assert!(futures_util::poll!(waiting.as_mut()).is_pending());
            controller.resume();
            assert!(waiting.await.is_ok());
        }
        controller.stop();
        assert!(matches!(control.check().await, Err(Error::Stopped)));
    }
}
