//! What a plan is made from: the record and the host.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

use super::{DeployError, Machine, off_the_loop};
use crate::apply::last_words::last_words;
use crate::apply::ledger::LedgerError;
use crate::apply::secrets::Secrets;
use crate::engine::Engine;
use crate::engine::observe::observe;
use crate::model::adopted::Adopted;
use crate::model::desired::Desired;
use crate::model::grant::Grant;
use crate::model::live::Live;
use crate::model::name::{ContainerId, StackName};
use crate::plan::adopt::recognise;
use crate::plan::{LastApplied, normal};

/// What the ledger knows of a stack.
pub(super) struct Known {
    pub(super) last: LastApplied,
    pub(super) adopted: Adopted,
}

impl<E: Engine> Machine<E> {
    pub(super) fn no_open_deploy(&self, stack: &StackName) -> Result<(), DeployError> {
        match off_the_loop(|| self.ledger.open_deploy(stack))? {
            None => Ok(()),
            Some(open) => {
                Err(DeployError::Unfinished { deploy: open.deploy.id.to_string(), stack: stack.clone() })
            }
        }
    }

    pub(super) fn known(&self, stack: &StackName) -> Result<Known, LedgerError> {
        off_the_loop(|| {
            Ok(Known { last: self.ledger.last_applied(stack)?, adopted: self.ledger.adopted(stack)? })
        })
    }

    pub(super) fn normal_host<'a>(&'a self, files: &'a str) -> normal::Host<'a> {
        normal::Host { key: &self.key, files }
    }

    /// The last lines that a container of `live` wrote, without what is sensitive. None where it can't be asked.
    pub async fn last_words(&self, stack: &StackName, live: &Live, container: &ContainerId) -> Vec<String> {
        let last = self.known(stack).map(|known| known.last).unwrap_or_default();
        last_words(&self.engine, container, &Secrets::of_recorded(live, &last)).await
    }

    /// Looks at the host, for a plan of `desired` where the stack has `adopted` something.
    pub(super) async fn look(&self, desired: &Desired, adopted: &Adopted) -> Result<Live, DeployError> {
        let images = desired.services.values().flat_map(|service| service.spec.images().cloned());
        let references = images.collect::<BTreeSet<_>>();
        let mut live = observe(&self.engine, &desired.stack, adopted, &references).await?;
        let files = self.files.root().to_string_lossy();
        let host = self.normal_host(&files);
        recognise(&mut live, adopted, (desired, host), has_content);
        Ok(live)
    }
}

/// Whether the file of the host at `path` has just the content of `grant`.
fn has_content(path: &str, grant: &Grant) -> bool {
    let wanted = grant.content.expose();
    let is_as_long = fs::metadata(path).is_ok_and(|file| {
        file.is_file() && usize::try_from(file.size()).is_ok_and(|size| size == wanted.len())
    });
    is_as_long && fs::read(path).is_ok_and(|content| content == wanted)
}
