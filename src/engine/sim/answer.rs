//! How a simulated engine answers a call: as it went, or as a test wants it.

use std::time::Duration;

use super::world::Refusal;
use super::{Call, Fault, Sim, Verb};
use crate::engine::EngineError;

/// After so long a call that hangs fails.
const HANG: Duration = Duration::from_secs(30);

impl Sim {
    /// Makes a call of the trait: notes it, asks the hook, and lets `act` happen accordingly.
    pub(super) async fn call<T>(
        &self,
        verb: Verb,
        object: String,
        act: impl AsyncFnOnce(&Self) -> Result<T, Refusal>,
    ) -> Result<T, EngineError> {
        let call = Call { verb, object };
        let operation = call.to_string();
        let unavailable = |message: &str| EngineError::Unavailable {
            operation: operation.clone(),
            message: message.to_owned(),
        };
        let refused = |refusal: fn(String) -> Refusal| refusal("as a test wants it (simulated)".to_owned());
        match self.fault(&call) {
            Fault::None => match self.answered(act).await {
                Some(answer) => answer.map_err(|refusal| refusal.of(operation)),
                None => Err(unavailable("nobody answers (simulated)")),
            },
            Fault::Error => Err(unavailable("nobody answers (simulated)")),
            Fault::NotFound => Err(refused(Refusal::NotFound).of(operation)),
            Fault::Conflict => Err(refused(Refusal::Conflict).of(operation)),
            Fault::Rejected => Err(refused(Refusal::Rejected).of(operation)),
            Fault::DoneButReplyLost => {
                // Whether it was done or refused is what nobody learns.
                drop(self.answered(act).await);
                Err(unavailable("the connection broke (simulated)"))
            }
            Fault::Hang => {
                tokio::time::sleep(HANG).await;
                Err(EngineError::TimedOut { operation, within: HANG })
            }
        }
    }

    /// Lets `act` happen. No answer comes from a daemon that is down, or ends meanwhile.
    async fn answered<T>(
        &self,
        act: impl AsyncFnOnce(&Self) -> Result<T, Refusal>,
    ) -> Option<Result<T, Refusal>> {
        let ends = {
            let world = self.world();
            (!world.daemon.is_down).then_some(world.daemon.ends)?
        };
        let answer = act(self).await;
        (self.world().daemon.ends == ends).then_some(answer)
    }
}
