//! Calls about volumes.

use bollard::query_parameters::{ListVolumesOptions, RemoveVolumeOptions};

use super::convert::objects;
use super::error::Asked;
use super::{Docker, deadline, readable, within};
use crate::engine::EngineError;
use crate::model::live::LiveVolume;
use crate::model::name::VolumeName;
use crate::model::spec::VolumeSpec;

impl Docker {
    /// Every volume whose name is one that Evenkeel could write; others can't be anybody's that it knows.
    pub(super) async fn all_volumes(&self) -> Result<Vec<LiveVolume>, EngineError> {
        let operation = "list the volumes".to_owned();
        let call = self.client.list_volumes(None::<ListVolumesOptions>);
        let answer = within(operation, deadline::QUICK, Asked::Plain, call).await?;
        let volumes = answer.volumes.unwrap_or_default();
        Ok(volumes.into_iter().filter_map(|volume| objects::volume(volume).ok()).collect())
    }

    /// Docker answers a creation of what is there already with the old volume, and some engines with what was asked
    /// for: only a look tells.
    pub(super) async fn new_volume(&self, spec: &VolumeSpec) -> Result<(), EngineError> {
        let operation = format!("create volume {}", spec.name);
        let call = self.client.create_volume(objects::volume_body(spec));
        within(operation.clone(), deadline::HEAVY, Asked::Plain, call).await?;
        let call = self.client.inspect_volume(spec.name.as_str());
        let volume = within(operation.clone(), deadline::QUICK, Asked::Plain, call).await?;
        let found = readable(&operation, objects::volume(volume))?.spec;
        let driver = spec.driver.as_deref().unwrap_or("local");
        if found.driver.as_deref() != Some(driver)
            || found.options != spec.options
            || found.labels != spec.labels
        {
            let message = "a volume of that name exists, with another driver, other options or other labels";
            return Err(EngineError::Conflict { operation, message: message.to_owned() });
        }
        Ok(())
    }

    pub(super) async fn drop_volume(&self, name: &VolumeName) -> Result<(), EngineError> {
        let operation = format!("remove volume {name}");
        let call = self.client.remove_volume(name.as_str(), None::<RemoveVolumeOptions>);
        match within(operation, deadline::HEAVY, Asked::Plain, call).await {
            Ok(()) | Err(EngineError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
