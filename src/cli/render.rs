//! `render`: the desired state as one Compose file, the same as `docker compose config` prints.

use super::args::{Global, RenderArgs, RenderFormat};
use super::failure::ExitStatus;
use super::output::Output;
use super::select;
use crate::manifest::{MissingVariables, Model, Reveal, Show};

pub(super) async fn render(global: &Global, args: &RenderArgs, output: Output) -> anyhow::Result<ExitStatus> {
    if args.desired {
        let resolved = select::resolved(global, MissingVariables::Placeholder, output).await?;
        match args.format {
            RenderFormat::Yaml if !output.json => output.data(&resolved.to_yaml()),
            RenderFormat::Json | RenderFormat::Yaml => output.value(&resolved.to_json()),
        }
        return Ok(ExitStatus::Done);
    }
    // No value of the host is shown, so it may be missing as well.
    let missing =
        if args.reveal_variables { MissingVariables::Refuse } else { MissingVariables::Placeholder };
    let (model, folder) = select::model(global, missing, !args.no_interpolate, output).await?;
    let reveal = if args.reveal_variables { Reveal::All } else { Reveal::Hidden };
    let show = Show { reveal, folder: &folder, interpolated: !args.no_interpolate };
    match names(args, &model, &show) {
        Some(names) if output.json => output.value(&serde_json::Value::from(names)),
        Some(names) => {
            output.data(&names.iter().map(|name| format!("{name}\n")).collect::<Vec<_>>().concat());
        }
        None if output.json || args.format == RenderFormat::Json => output.value(&model.to_json(&show)),
        None => output.data(&model.to_yaml(&show)),
    }
    Ok(ExitStatus::Done)
}

/// The list that the options ask for instead of the whole.
fn names(args: &RenderArgs, model: &Model, show: &Show<'_>) -> Option<Vec<String>> {
    let RenderArgs {
        format: _,
        desired: _,
        no_interpolate: _,
        services,
        images,
        volumes,
        networks,
        profiles,
        hash,
        reveal_variables: _,
    } = args;
    match hash {
        Some(of) => {
            let wanted = |name: &str| of == "*" || of.split(',').any(|one| one.trim() == name);
            let hashes = model.hashes(show).into_iter().filter(|(name, _)| wanted(name));
            Some(hashes.map(|(name, hash)| format!("{name} {hash}")).collect())
        }
        None if *services => Some(model.services()),
        None if *images => Some(model.images()),
        None if *volumes => Some(model.volumes()),
        None if *networks => Some(model.networks()),
        None if *profiles => Some(model.profiles()),
        None => None,
    }
}
