//! One row of the table: a field, and how it is written.

use std::fmt;
use std::net::Ipv4Addr;

use evenkeel::model::spec::{Attachment, Resources, RestartPolicy};

use super::stage::Moment;

/// A field of a container, with two values of it. The texts are entries of a service in YAML's flow form; words in
/// capitals stand for what a run chooses: see [`super::stage::Names`].
#[derive(Clone, Copy)]
pub struct Row {
    /// The field, as a plan names it.
    pub field: &'static str,
    /// What the service says besides, always.
    pub with: &'static str,
    /// The first value.
    pub one: &'static str,
    /// The second one.
    pub two: &'static str,
    /// What is said last: usually nothing.
    pub last: &'static str,
    /// The fields that a plan names from the first value to the second one; none means this field alone.
    pub to_two: &'static [&'static str],
    /// The same from the second value to the last.
    pub to_last: &'static [&'static str],
    /// Why the second value is given.
    pub because: &'static str,
    /// Whether the service is on the stack's network.
    pub on_network: bool,
    /// Whether the second value is given while the container runs.
    pub in_place: bool,
    /// How somebody changes it on the host.
    pub by_hand: Option<Hand>,
    /// The fields that a plan names then; none means this field alone.
    pub by_hand_named: &'static [&'static str],
    /// What a host must have for it.
    pub needs: Needs,
}

/// What somebody may do to a container on the host.
#[derive(Clone, Copy)]
pub enum Hand {
    /// `docker update` of limits.
    Limit(fn(&mut Resources)),
    /// `docker update --restart`.
    Restart(RestartPolicy),
    /// `docker rename`.
    Rename,
    /// `docker network disconnect` from the stack's network of this key.
    Leave(&'static str),
    /// `docker network connect`, after a `disconnect` if it was attached.
    Join(&'static str, fn(&mut Attachment, Ipv4Addr)),
    /// `docker stop`.
    Stop,
    /// `docker rm -f`.
    Remove,
}

/// What not every host has.
#[derive(Clone, Copy)]
pub enum Needs {
    /// Every host has it.
    Nothing,
    /// This version of the API, or a newer one.
    Api(u32, u32),
    /// What `docker info` tells of the kernel.
    Kernel(Feature),
}

/// A feature of the kernel's control groups.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    SwapLimit,
    OomKillDisable,
    /// Swappiness and the like, which only the first version of control groups has.
    FirstVersion,
    RealTime,
    BlockWeight,
    CpuSets,
    /// None of them is kept from containers.
    AllCapabilities,
}

/// A row whose second value replaces the container.
pub const fn row(field: &'static str, one: &'static str, two: &'static str) -> Row {
    Row {
        field,
        with: "",
        one,
        two,
        last: "",
        to_two: &[],
        to_last: &[],
        because: "git",
        on_network: false,
        in_place: false,
        by_hand: None,
        by_hand_named: &[],
        needs: Needs::Nothing,
    }
}

/// Says that there is nothing to name.
pub const NOTHING: &[&str] = &["nothing"];

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} | {} | {})", self.field, self.one, self.two, self.last)
    }
}

impl Row {
    /// What the service says at `moment`, besides what it says always.
    pub const fn at(&self, moment: Moment) -> &'static str {
        match moment {
            Moment::One => self.one,
            Moment::Two => self.two,
            Moment::Last => self.last,
        }
    }

    pub const fn with(self, with: &'static str) -> Self {
        Self { with, ..self }
    }

    pub const fn because(self, because: &'static str) -> Self {
        Self { because, ..self }
    }

    pub const fn in_place(self) -> Self {
        Self { in_place: true, ..self }
    }

    pub const fn by_hand(self, hand: Hand) -> Self {
        Self { by_hand: Some(hand), ..self }
    }

    pub const fn by_hand_named(self, names: &'static [&'static str]) -> Self {
        Self { by_hand_named: names, ..self }
    }

    pub const fn on_network(self) -> Self {
        Self { on_network: true, ..self }
    }

    pub const fn needs(self, needs: Needs) -> Self {
        Self { needs, ..self }
    }

    pub const fn to_two(self, names: &'static [&'static str]) -> Self {
        Self { to_two: names, ..self }
    }

    /// What is said last, and the fields that a plan names then.
    pub const fn last(self, last: &'static str, names: &'static [&'static str]) -> Self {
        Self { last, to_last: names, ..self }
    }
}

/// A switch: the second value is the same as none.
pub const fn switch(field: &'static str, one: &'static str, two: &'static str) -> Row {
    row(field, one, two).last("", NOTHING)
}

/// A limit that Docker changes in place.
pub const fn limit(
    field: &'static str,
    one: &'static str,
    two: &'static str,
    hand: fn(&mut Resources),
) -> Row {
    row(field, one, two).in_place().by_hand(Hand::Limit(hand))
}
