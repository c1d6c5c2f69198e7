//! `schema`: the JSON Schema of a file that people write.

use super::args::{SchemaArgs, SchemaOf};
use super::failure::ExitStatus;
use super::output::Output;
use crate::manifest::schema;

pub(super) fn schema(args: &SchemaArgs, output: Output) -> ExitStatus {
    let printed = match args.of {
        SchemaOf::Manifest => schema::manifest(),
        SchemaOf::Environment => schema::environment(),
        SchemaOf::Project => schema::project(),
        SchemaOf::Agent => schema::agent(),
    };
    output.value(&printed);
    ExitStatus::Done
}
